"""The `.tape` bundle: there and back, equal bytes, and nothing of a hostile one stays."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import FormatBroken, TapesError, UsageError, VerificationFailed
from query import bundle_read
from query.answers import Session, Tokens
from query.bundle import BundledSession, bundle_schema
from query.bundle_import import BundleImport, import_bundle
from query.bundle_read import read_bundle
from query.bundle_write import write_bundle
from query.records import About
from store.local import LocalStore
from store.nodes import Node, node_to_bytes, node_to_dict
from tests.command_line import HOUSE
from tests.laptops import conversation, turn

ABOUT = About("tapes 1", {"project": "alpha"}, (), "2026-02-14T10:00:00.000000Z", None)
MIB = 1024 * 1024


def session_of(nodes: list[Node]) -> Session:
    """A session as the list would have it, named by its last node."""
    return Session(
        id=nodes[-1].hash,
        conversation=nodes[0].hash,
        project="alpha",
        agent=None,
        models=("m",),
        member=None,
        started_at=None,
        ended_at=None,
        turns=len(nodes),
        tokens=Tokens(0, 0, 0, 0),
        cost_usd_micro=0,
        unpriced_turns=0,
        withheld_turns=0,
        space=None,
        synced=False,
    )


def packed(paths: list[list[Node]], about: About = ABOUT) -> bytes:
    """A bundle of these paths."""
    out = io.BytesIO()
    ordered = sorted(paths, key=lambda nodes: nodes[-1].hash)
    write_bundle(((session_of(nodes), nodes) for nodes in ordered), about, out)
    return out.getvalue()


def forked() -> list[list[Node]]:
    """Two sessions with a common beginning."""
    trunk = conversation("trunk", 4)
    branch = [*trunk[:2], turn("another way", trunk[1])]
    return [trunk, branch]


def lines_of(data: bytes) -> list[bytes]:
    """The lines of an unpacked bundle."""
    return gzip.decompress(data).splitlines(keepends=True)


def forged(lines: list[bytes]) -> bytes:
    """The lines as a bundle whose checksum fits: a forger can count too."""
    checksum = f'"checksum":"sha256:{sha256(b"".join(lines[1:-1])).hexdigest()}"}}\n'
    return gzip.compress(b"".join([*lines[:-1], checksum.encode()]))


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore.open(tmp_path / "tapes.db") as store:
        yield store


def test_a_bundle_comes_back_as_it_went(local: LocalStore, tmp_path: Path) -> None:
    """Every node of two forked sessions is stored once, byte for byte; a second import finds all of it known."""
    paths = forked()
    (tmp_path / "b.tape").write_bytes(packed(paths))
    every = {node.hash: node for nodes in paths for node in nodes}

    first, again = (import_bundle(local, tmp_path / "b.tape") for _ in range(2))

    assert first == BundleImport(2, len(every), 0, 0)
    assert again == BundleImport(2, 0, len(every), 0)
    assert {name: local.get_bytes(name) for name in every} == {n: node_to_bytes(v) for n, v in every.items()}


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=8, unique=True))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Whatever people say, surrogates, line separators and control characters included, a bundle brings it unchanged."""
    nodes: list[Node] = []
    for text in texts:
        nodes.append(turn(text, nodes[-1] if nodes else None))
    path = tmp_path_factory.mktemp("b") / "b.tape"
    path.write_bytes(packed([nodes]))

    assert [item for item in read_bundle(path) if isinstance(item, Node)] == nodes


def test_equal_sessions_give_equal_bytes() -> None:
    """The file depends on sessions and `about` only; its body and checksum not even on when and by whom."""
    later = replace(ABOUT, exported_at="2027-01-01T00:00:00.000000Z", exported_by="ab" * 32)

    assert packed(forked()) == packed(list(reversed(forked())))
    assert lines_of(packed(forked()))[1:] == lines_of(packed(forked(), later))[1:]


def test_a_bundle_is_json_for_everybody() -> None:
    """An ordinary JSON reader gets version, format, sessions and nodes; each node stands once."""
    document = json.loads(gzip.decompress(packed(forked())))
    nodes = [node for session in document["sessions"] for node in session["nodes"]]

    assert (document["version"], document["format"]) == (1, "tape-bundle")
    assert document["filter"] == {"project": "alpha"}
    assert sorted(n["hash"] for n in nodes) == sorted({n.hash for path in forked() for n in path})
    assert nodes[0] == node_to_dict(next(n for p in forked() for n in p if n.hash == nodes[0]["hash"]))
    assert json.loads(gzip.decompress(packed([])))["sessions"] == []


def test_an_empty_bundle_brings_nothing(local: LocalStore, tmp_path: Path) -> None:
    """No sessions is a bundle too."""
    (tmp_path / "b.tape").write_bytes(packed([]))

    assert import_bundle(local, tmp_path / "b.tape") == BundleImport(0, 0, 0, 0)


def test_the_published_schema_is_the_models() -> None:
    """docs/bundle.schema.json is what the code reads and writes."""
    assert json.loads((HOUSE / "docs" / "bundle.schema.json").read_text()) == bundle_schema()


def _swap_nodes(lines: list[bytes]) -> None:
    first = next(number for number, line in enumerate(lines) if line.endswith(b'"nodes":[\n')) + 1
    lines[first], lines[first + 1] = lines[first + 1], lines[first]


def _repeat_node(lines: list[bytes]) -> None:
    first = next(number for number, line in enumerate(lines) if line.endswith(b'"nodes":[\n')) + 1
    lines.insert(first, lines[first])


def _garble_node(lines: list[bytes]) -> None:
    lines[4] = lines[4].replace(b"says", b"said")


def _wrong_type(lines: list[bytes]) -> None:
    lines[3] = lines[3].replace(b'"turns":', b'"turns":"many","was":')


def _other_head(lines: list[bytes]) -> None:
    lines[3] = lines[3].replace(lines[3][7:15], b"00000000", 1)


def _blank_lines(lines: list[bytes]) -> None:
    lines[4:4] = [b"\n"] * 1000


def _no_proofs(lines: list[bytes]) -> None:
    lines[-2] = b'"proofs":{},\n'


HOSTILE: list[Callable[[list[bytes]], None]] = [
    _swap_nodes,
    _repeat_node,
    _garble_node,
    _wrong_type,
    _other_head,
    _blank_lines,
    _no_proofs,
]


@pytest.mark.parametrize("harm", HOSTILE)
def test_a_hostile_bundle_leaves_nothing(
    harm: Callable[[list[bytes]], None], local: LocalStore, tmp_path: Path
) -> None:
    """Reordered, repeated, altered, mistyped, under a checksum that fits: refused with 6, and the store is as it was."""
    lines = lines_of(packed(forked()))
    harm(lines)
    (tmp_path / "b.tape").write_bytes(forged(lines))

    with pytest.raises(VerificationFailed):
        import_bundle(local, tmp_path / "b.tape")
    assert local.count() == 0


def test_a_circle_is_refused_even_among_unverified_nodes(local: LocalStore, tmp_path: Path) -> None:
    """Nodes that name each other as parent come in from no bundle, whatever flag is given."""
    made = turn("one", None)
    one = replace(made, hash="1" * 64, parent_hash="2" * 64, hash_version=None)
    two = replace(made, hash="2" * 64, parent_hash="1" * 64, hash_version=None)
    for nodes in ([one, two], [two, one], [replace(one, parent_hash=one.hash)]):
        (tmp_path / "b.tape").write_bytes(packed([nodes]))
        with pytest.raises(FormatBroken):
            import_bundle(local, tmp_path / "b.tape", allow_unverified=True)
    assert local.count() == 0


@pytest.mark.parametrize("cut", [12, 20, 200, -40, -1])
def test_a_cut_or_padded_file_is_refused(cut: int, local: LocalStore, tmp_path: Path) -> None:
    """A download that broke off, or one with something behind it, is no bundle."""
    whole = packed(forked())
    for data in (whole[:cut], whole + gzip.compress(b"more"), whole + b"more"):
        (tmp_path / "b.tape").write_bytes(data)
        with pytest.raises(FormatBroken):
            import_bundle(local, tmp_path / "b.tape")
    assert local.count() == 0


def test_one_flipped_bit_of_the_body_breaks_the_checksum(local: LocalStore, tmp_path: Path) -> None:
    """Metadata that no node hash covers is still covered by the checksum."""
    lines = lines_of(packed(forked()))
    lines[3] = lines[3].replace(b'"project":"alpha"', b'"project":"alphb"')
    (tmp_path / "b.tape").write_bytes(gzip.compress(b"".join(lines)))

    with pytest.raises(VerificationFailed, match="checksum"):
        import_bundle(local, tmp_path / "b.tape")
    assert local.count() == 0


def test_unverified_nodes_come_only_when_asked(local: LocalStore, tmp_path: Path) -> None:
    """A node that has not its hash could take the place of the true one: refused, unless a flag says to keep it, marked."""
    nodes = conversation("talk", 2)
    bent = replace(nodes[1], bucket={**nodes[1].bucket, "role": "system"})
    (tmp_path / "b.tape").write_bytes(packed([[nodes[0], bent]]))

    with pytest.raises(VerificationFailed, match="does not have that hash"):
        import_bundle(local, tmp_path / "b.tape")
    done = import_bundle(local, tmp_path / "b.tape", allow_unverified=True)

    assert done == BundleImport(1, 2, 0, 1)


def test_a_bundle_changes_nothing_that_is_here(local: LocalStore, tmp_path: Path) -> None:
    """A larger usage under our own node's hash would win in an import; from a bundle it does not."""
    nodes = conversation("talk", 2)
    local.add(nodes)
    usage = nodes[1].usage
    assert usage is not None
    inflated = replace(nodes[1], usage=replace(usage, output=10**9))
    (tmp_path / "b.tape").write_bytes(packed([[nodes[0], inflated]]))

    assert import_bundle(local, tmp_path / "b.tape").nodes_known == 2
    assert local.get(nodes[1].hash) == nodes[1]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("bundle_nodes_max", 3),
        ("bundle_sessions_max", 1),
        ("bundle_raw_bytes_max", 1000),
        ("line_bytes_max", 200),
    ],
)
def test_every_limit_holds(
    limit: str, value: int, local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes, sessions, unpacked bytes and the length of a line each have an end."""
    (tmp_path / "b.tape").write_bytes(packed(forked()))
    monkeypatch.setattr(bundle_read, limit, value)

    with pytest.raises(FormatBroken):
        import_bundle(local, tmp_path / "b.tape")
    assert local.count() == 0


def test_a_gzip_bomb_is_refused_in_little_memory(tmp_path: Path) -> None:
    """Half a gigabyte of blanks in half a megabyte ends at the first limit, long before it is unpacked."""
    with gzip.open(tmp_path / "b.tape", "wb", compresslevel=1) as bomb:
        bomb.write(b'{"version":1,"format":"tape-bundle",')
        for _ in range(512):
            bomb.write(bytes(MIB))
    tracemalloc.start()
    try:
        with pytest.raises(FormatBroken):
            list(read_bundle(tmp_path / "b.tape"))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 8 * MIB


def test_memory_does_not_grow_with_a_bundle(tmp_path: Path) -> None:
    """Eighty megabytes of turns are written and read in the memory of a few: a session at a time, a line at a time."""
    sessions, text_bytes = 40, 2 * MIB

    def paths() -> Iterator[tuple[Session, list[Node]]]:
        made = ((turn(f"{number} " + "x" * text_bytes, None).hash, number) for number in range(sessions))
        for _, number in sorted(made):
            nodes = [turn(f"{number} " + "x" * text_bytes, None)]
            yield session_of(nodes), nodes

    tracemalloc.start()
    try:
        with (tmp_path / "b.tape").open("wb") as out:
            write_bundle(paths(), ABOUT, out)
        read = sum(isinstance(item, BundledSession) for item in read_bundle(tmp_path / "b.tape"))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert read == sessions
    assert peak_bytes < 24 * text_bytes  # the encoder reserves eight times a text, for escapes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f",
        b"hello",
        b'{"version":1,"format":"tape-bundle"}',
        gzip.compress(b"hello", mtime=0),
        gzip.compress(b'{"a": 1}', mtime=0),
        gzip.compress(b'{"version":1,"format":"tape-worm",\n', mtime=0),
    ],
)
def test_another_kind_of_file_is_a_slip_and_no_damage(data: bytes, local: LocalStore, tmp_path: Path) -> None:
    """Somebody's log, a zipped anything, a bundle unpacked: told that it is none, and what writes one; nothing comes in."""
    (tmp_path / "b.tape").write_bytes(data)

    with pytest.raises(UsageError, match=r"b\.tape is no \.tape bundle") as caught:
        import_bundle(local, tmp_path / "b.tape")
    assert "tapes export" in caught.value.hint
    assert local.count() == 0


def test_a_newer_bundle_asks_for_an_update(local: LocalStore, tmp_path: Path) -> None:
    """Version 2 is not corruption: the hint is to update."""
    lines = lines_of(packed(forked()))
    lines[0] = lines[0].replace(b'"version":1', b'"version":2')
    (tmp_path / "b.tape").write_bytes(gzip.compress(b"".join(lines)))

    with pytest.raises(UsageError, match="version 2") as caught:
        import_bundle(local, tmp_path / "b.tape")
    assert caught.value.hint == "update tapes"


@given(st.binary(max_size=300))
def test_garbage_is_an_error_with_words(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    """No bytes, packed or not, end in anything but a TapesError."""
    path = tmp_path_factory.mktemp("g") / "b.tape"
    for data in (garbage, gzip.compress(garbage)):
        path.write_bytes(data)
        with pytest.raises(TapesError):
            list(read_bundle(path))
