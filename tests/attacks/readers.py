"""Every reader of bytes that a stranger may have written, with whole, honest bytes of its format to begin the damage from.

`inside …` is what a hostile member can do: the seal over the damaged bytes is right, only what it holds is not.
The seeds lie in corpora/ and in ../golden/; a file that once broke a reader is added to corpora/ and stays.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crypto.identities import member_keys
from crypto.kit import secret_of
from crypto.linking import link_id, seal_request
from crypto.passphrase import unprotect
from crypto.sealing import Kind, open_sealed, plain_length, read_header, seal
from crypto.vault import FileVault
from query.bundle_import import import_bundle
from store import commits
from store.canonical import parse_canonical
from store.commits import NewerFormat
from store.frames import open_frame
from store.local import LocalStore
from store.manifest_rules import check_author
from store.manifests import open_manifest
from store.names import link_name
from store.node_parse import node_from_bytes
from store.packs import bytes_reader, open_pack, read_footer, scan_frames
from store.segments import read_segment
from store.stats import check_stats_author, open_stats
from sync.linking import LinkCode, _opened, parse_code
from sync.links import parse_link
from sync.membership import Bucket
from sync.validity import LogPoint, MemoryInRam, judge
from tapes.commands.kit_reading import _words
from tapes.config import Config, config_path
from tapes.identity import load_identity
from tapes.importers.claude.run import import_claude
from tapes.importers.codex.run import import_codex
from tapes.importers.gemini.run import import_gemini
from tapes.importers.report import ImportReport
from tests.sealing_keys import DEVICE, MEMBER, TEAM_KEY, digest

CORPORA = Path(__file__).parent / "corpora"
GOLDEN = Path(__file__).parents[1] / "golden"
_CODE = LinkCode(
    digest("code")[:16], digest("team"), DEVICE, 0, digest("head"), 0, Bucket("file:///b", None, None)
)
Read = Callable[[bytes, Path], object]  # (bytes, an empty folder) → whatever; our own errors only


@dataclass(frozen=True)
class Reader:
    """`examples`: how many damaged inputs the quick run gives it; those that make files are slow."""

    read: Read
    seeds: Callable[[], list[bytes]]
    examples: int = 120
    refuses: bool = (
        True  # whether unreadable bytes are an error; importers and the judge answer with a reason
    )


def kept(*names: str) -> Callable[[], list[bytes]]:
    """Seeds of corpora/, and everything there that once broke this reader."""
    return lambda: [path.read_bytes() for name in names for path in sorted(CORPORA.glob(name))]


def golden(name: str) -> Callable[[], list[bytes]]:
    """A golden file of a stored format."""
    return lambda: [(GOLDEN / "formats" / name).read_bytes()]


def inside(kind: Kind, name: str) -> Callable[[], list[bytes]]:
    """What a golden sealed object holds."""
    return lambda: [open_sealed(TEAM_KEY, kind, (GOLDEN / "formats" / name).read_bytes(), name)]


def _footers() -> list[bytes]:
    pack = golden("pack.bin")()[0]
    length = int.from_bytes(pack[-12:-8])
    return [open_sealed(TEAM_KEY, Kind.FOOTER, pack[-12 - length : -12], "footer")]


def _seal_header(data: bytes, _: Path) -> object:
    return plain_length(read_header(data, "object").kind, len(data), "object")


def _pack_without_key(data: bytes, _: Path) -> object:
    return scan_frames(data, "pack")


def _pack(data: bytes, _: Path) -> object:
    return [len(opened.nodes) for _, opened in open_pack(TEAM_KEY, data, "pack")]


def _footer(plain: bytes, _: Path) -> object:
    """A member's pack: honest frames, and whatever index they like."""
    whole = golden("pack.bin")()[0]
    length = int.from_bytes(whole[-12:-8])
    footer = seal(TEAM_KEY, Kind.FOOTER, plain)
    pack = whole[: -12 - length] + footer + len(footer).to_bytes(4) + whole[-8:]
    return read_footer(TEAM_KEY, bytes_reader(pack), len(pack), "pack")


def _frame(data: bytes, _: Path) -> object:
    return open_frame(TEAM_KEY, data, "frame")


def _manifest(data: bytes, _: Path) -> object:
    manifest = open_manifest(TEAM_KEY, data, "manifest")
    check_author(manifest, MEMBER, DEVICE, "manifest")
    return manifest.table.to_pylist()  # every value is looked at: a lying offset may hide until then


def _stats(data: bytes, _: Path) -> object:
    stats = open_stats(TEAM_KEY, data, "stats")
    check_stats_author(stats, DEVICE, 1_790_000_000_000, "stats")
    return [use.cost_usd_micro for day in stats.days for use in day.uses]


def _resealed(kind: Kind, read: Read) -> Read:
    return lambda plain, folder: read(seal(TEAM_KEY, kind, plain), folder)


@cache
def _log() -> list[bytes]:
    slots = json.loads((GOLDEN / "log" / "log.json").read_text())["slots"]
    return [slot.encode() for slot in slots]


def _commit(data: bytes, _: Path) -> object:
    return commits.parse(data, "log/1")


def _judged(data: bytes, _: Path) -> object:
    """The slot is judged at every length of a log; the verdict is pure, so a second one is the same."""
    point, memory = LogPoint(), MemoryInRam()
    for seq, slot in enumerate(_log()):
        try:
            first = judge(point, memory, seq, data)
        except NewerFormat:
            assert not point.valid_seq, "after the genesis only an admitted device can say that"
        else:
            assert (first.commit is None) == (first.void_reason is not None)
        point = judge(point, memory, seq, slot).point
    return point


def _request(plain: bytes, _: Path) -> object:
    sealed = seal_request(_CODE.secret, _CODE.team, plain)
    return _opened(_CODE, sealed)


def _sealed_request(data: bytes, _: Path) -> object:
    assert _CODE.place == link_name(link_id(_CODE.secret))
    return _opened(_CODE, data)


def _texts(read: Callable[[str], object]) -> Read:
    """What reaches the reader from a terminal, a file or argv: bytes that are no UTF-8 come as lone surrogates."""
    return lambda data, _: read(data.decode("utf-8", "surrogateescape"))


def _config(data: bytes, folder: Path) -> object:
    (folder / "config.toml").write_bytes(data)
    config = Config(config_path(folder), {})
    values = list(config.all())
    config.set({"ui.color": "never"})
    return values


def _identity(data: bytes, folder: Path) -> object:
    (folder / "identity.json").write_bytes(data)
    vault = FileVault(folder / "keys")
    vault.save("device-" + "0" * 32, bytes(64))
    return load_identity(folder / "identity.json", vault)


def _bundle(data: bytes, folder: Path) -> object:
    (folder / "b.tape").write_bytes(data)
    with LocalStore.open(folder / "tapes.db") as local:
        return import_bundle(local, folder / "b.tape", allow_unverified=True)


def _imported(importer: Callable[..., ImportReport], name: str) -> Read:
    def read(data: bytes, folder: Path) -> object:
        (folder / "chats").mkdir(exist_ok=True)
        log = folder / "chats" / name
        log.write_bytes(data)
        with LocalStore.open(folder / "tapes.db") as local:
            first = importer(local, [log])
            again = importer(local, [log])
        assert again.nodes_new == 0, "a second import of the same bytes finds nothing new"
        return first

    return read


READERS = {
    "seal header": Reader(_seal_header, golden("frame.bin")),
    "frame": Reader(_frame, golden("frame.bin")),
    "inside frame": Reader(_resealed(Kind.FRAME, _frame), inside(Kind.FRAME, "frame.bin"), 300),
    "pack": Reader(_pack, golden("pack.bin")),
    "pack without key": Reader(_pack_without_key, golden("pack.bin")),
    "inside footer": Reader(_footer, _footers, 300),
    "manifest": Reader(_manifest, golden("manifest.bin")),
    "inside manifest": Reader(
        _resealed(Kind.MANIFEST, _manifest), inside(Kind.MANIFEST, "manifest.bin"), 300
    ),
    "stats": Reader(_stats, golden("stats.bin")),
    "inside stats": Reader(_resealed(Kind.STATS, _stats), inside(Kind.STATS, "stats.bin"), 300),
    "segment": Reader(lambda data, _: read_segment(data, "segment"), kept("segment*")),
    "commit": Reader(_commit, kept("commit-*"), 300),
    "slot": Reader(_judged, kept("commit-*"), 60, refuses=False),
    "canonical JSON": Reader(
        lambda data, _: parse_canonical(data, "json"), kept("commit-*", "device-request*")
    ),
    "node": Reader(lambda data, _: node_from_bytes(data, "node"), kept("node*"), 300),
    "invite link": Reader(_texts(parse_link), kept("invite-link*")),
    "device link": Reader(_texts(parse_code), kept("device-link*")),
    "device request": Reader(_sealed_request, kept("device-request*")),
    "inside device request": Reader(_request, kept("device-request*")),
    "kit words": Reader(_texts(lambda text: member_keys(secret_of(_words(text)))), kept("kit-words*")),
    "passphrase file": Reader(
        lambda data, _: unprotect(data, "correct horse", "key"), kept("passphrase*"), 30
    ),
    "config.toml": Reader(_config, kept("config*"), 80),
    "identity.json": Reader(_identity, kept("identity*"), 80),
    "tape bundle": Reader(_bundle, kept("bundle*"), 40),
    "claude log": Reader(_imported(import_claude, "a.jsonl"), kept("claude*"), 30, refuses=False),
    "codex log": Reader(_imported(import_codex, "rollout-a.jsonl"), kept("codex*"), 30, refuses=False),
    "gemini log": Reader(_imported(import_gemini, "session-a.jsonl"), kept("gemini*"), 30, refuses=False),
    "gemini legacy chat": Reader(
        _imported(import_gemini, "session-a.json"), kept("gemini*"), 20, refuses=False
    ),
}
