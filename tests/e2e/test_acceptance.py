"""Two people with the real command line, over a folder, LocalStack and Ceph RGW."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.blobs import BlobStore
from store.open_store import open_store
from tests.claude_logs import write_world
from tests.command_line import Person
from tests.services.shared import S3_KINDS_SLOW, S3Service

STORES = [
    "folder",
    *S3_KINDS_SLOW,
]
WORD = re.compile(rb"[\w./@-]{8,80}")


class Site:
    """A bucket and how the command line is told of it."""

    def __init__(self, kind: str, request: pytest.FixtureRequest, folder: Path) -> None:
        self.environment: dict[str, str] = {}
        self.words = ["--bucket", f"file://{folder / 'bucket'}"]
        self.store: BlobStore
        if kind == "folder":
            self.store = open_store(self.words[1])
            return
        service: S3Service = request.getfixturevalue(kind)
        self.environment = {k: v for k, v in service.environment.items() if k != "AWS_ENDPOINT_URL"}
        self.words = [
            "--bucket",
            f"s3://{service.make_bucket()}/team",
            "--endpoint-url",
            service.endpoint_url,
        ]
        patch = request.getfixturevalue("aws_environment")
        for name, value in self.environment.items():
            patch.setenv(name, value)
        self.store = open_store(self.words[1], endpoint_url=service.endpoint_url)

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Every object, by name."""
        for info in self.store.list(""):
            yield info.name, self.store.get(info.name)


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """One of the three."""
    return Site(request.param, request, tmp_path)


@pytest.fixture
def people(site: Site, tmp_path: Path) -> tuple[Person, Person]:
    """Ana, who pushed adversarial logs for the team, and Ben, who joined and pulled."""
    ana, ben = (Person(tmp_path / name / "home", site.environment) for name in ("ana", "ben"))
    for who, name in ((ana, "Ana"), (ben, "Ben")):
        who.home.parent.mkdir()
        who.init(name)
    write_world(tmp_path / "logs", seed=11)
    ana.ok("import", "claude", tmp_path / "logs")
    ana.ok("storage", "configure", *site.words)
    ana.ok("config", "set", "default-visibility", "team")
    ana.ok("team", "create", "Team of two")
    ana.ok("storage", "sync")
    link = ana.json("team", "invite")["link"]
    ben.ok("team", "join", "-", stdin=link)
    ben.ok("storage", "sync")
    return ana, ben


def test_both_see_the_same_and_the_true_totals(people: tuple[Person, Person], tmp_path: Path) -> None:
    """Sessions, totals and each `show --json` are equal on both sides, and the tokens are exactly those of the logs."""
    ana, ben = people
    truth = write_world(tmp_path / "again", seed=11)
    seen = ana.listed(), ben.listed()

    assert seen[0] == seen[1]
    expected: Counter[str] = Counter()
    for tokens in truth.tokens.values():
        expected.update({name: count for name, count in tokens.items() if name != "cache_write_1h"})
    assert dict(expected) == seen[1]["totals"]["tokens"]
    assert truth.nodes == seen[1]["totals"]["nodes"]
    for session in seen[0]["sessions"]:
        assert ana.json("show", session["id"]) == ben.json("show", session["id"])


def test_the_bucket_can_read_nothing(people: tuple[Person, Person], site: Site, tmp_path: Path) -> None:
    """No string of the logs, node hash, project or path stands in any name or object: raw, hex or base64 at any offset."""
    ana, _ = people
    needles = {
        word for path in (tmp_path / "logs").rglob("*.jsonl") for word in WORD.findall(path.read_bytes())
    }
    for session in ana.json("sessions")["sessions"]:
        for node in ana.json("show", session["id"])["nodes"]:
            needles |= {node["hash"].encode(), bytes.fromhex(node["hash"])}
    needles.add(b"Team of two")
    seen = b"\n".join(name.encode() + b"\n" + data for name, data in site.contents())
    decoded = b"\n".join(_clear_strings(seen))

    found = [needle for needle in needles if _shows(needle, seen) or needle in decoded]
    assert found == []


def _shows(needle: bytes, seen: bytes) -> bool:
    forms = [needle, needle.hex().encode()]
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + needle)
        forms.append(coded[4 if shift else 0 : len(coded) - 4])
    return any(len(form) >= 8 and form in seen for form in forms)


def _clear_strings(seen: bytes) -> Iterator[bytes]:
    """What base64 fields of the commits decode to."""
    for coded in re.findall(rb'"([A-Za-z0-9+/]{16,}={0,2})"', seen):
        if len(coded) % 4 == 0:
            yield base64.b64decode(coded)


def test_a_private_default_shares_nothing(site: Site, tmp_path: Path) -> None:
    """Without a word about visibility a sync keeps everything to its owner: the other sees no session."""
    ana, ben = (Person(tmp_path / name / "home", site.environment) for name in ("ana", "ben"))
    for who, name in ((ana, "Ana"), (ben, "Ben")):
        who.home.parent.mkdir()
        who.init(name)
    write_world(tmp_path / "logs", seed=3, sessions=1)
    ana.ok("import", "claude", tmp_path / "logs")
    ana.ok("storage", "configure", *site.words)
    ana.ok("storage", "sync")
    ben.ok("team", "join", "-", stdin=ana.json("team", "invite")["link"])
    ben.ok("storage", "sync")

    mine = ana.json("sessions")["sessions"]
    assert {"private"} == {session["space"] for session in mine}
    assert [] == ben.json("sessions")["sessions"]
    assert ben.json("verify")["ok"]


def test_verify_names_a_flipped_byte_anywhere(people: tuple[Person, Person], site: Site) -> None:
    """For bytes throughout every stored object: `verify` exits 6 and names the object, and is content again afterwards."""
    ana, _ = people
    for name, data in list(site.contents()):
        at = len(data) * 2 // 3
        _overwrite(site, name, data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        done = ana.tapes("verify", "--json")
        _overwrite(site, name, data)

        assert 6 == done.code, name
        assert any(name in finding["object"] for finding in json.loads(done.out)["findings"])
    assert ana.json("verify")["ok"]


def _overwrite(site: Site, name: str, data: bytes) -> None:
    site.store.put_projection(name, data)


def test_a_logs_deletion_takes_nothing_away(people: tuple[Person, Person], tmp_path: Path) -> None:
    """After the agent deleted its logs, another import and sync keep every session on both sides."""
    ana, ben = people
    before = ben.json("sessions")
    for path in (tmp_path / "logs").rglob("*.jsonl"):
        path.unlink()
    ana.ok("import", "claude", tmp_path / "logs")
    ana.ok("storage", "sync")
    ben.ok("storage", "sync")

    assert before == ben.json("sessions")
