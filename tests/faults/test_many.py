"""Many: seeded schedules of faults and crashes, racing processes, tiny nodes. Quick ones here, thousands behind `long`.

    TAPES_FAULT_SEED=7 pytest tests/faults/test_many.py -m long -k schedules -n auto      10,000 schedules from seed 7,000,000 on
    TAPES_FAULT_SEED=7 pytest tests/faults/test_many.py -k few_schedules                  the first dozen of them

A schedule that fails is named by its number; `TAPES_FAULT_ONLY=7000123` with -k few_schedules repeats that one alone.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crypto.errors import TapesError
from query.sessions import list_sessions
from query.source import open_source
from store.blobs import BlobStore
from store.eras import make_node
from store.nodes import Node
from store.open_store import compose, open_store
from sync.membership import Bucket, invite, join
from sync.team import InviteTerms
from sync.verify import verify
from tests.actors import client, founded, joined, person
from tests.fakes.strict_store import Fault, StrictStore, no_faults
from tests.faults.one_sync import SyncProcess, write_identity
from tests.faults.worlds import (
    BENS_NODES,
    PRIVATE_NODES,
    TEAM_NODES,
    CuttingStore,
    PowerCut,
    Template,
    World,
    impatient,
    template,
)
from tests.laptops import Laptop, conversation
from tests.services.shared import S3_KINDS_SLOW, S3Service

SEED = int(os.environ.get("TAPES_FAULT_SEED", "0"))
ONLY = os.environ.get("TAPES_FAULT_ONLY")
seeds_per_seed = 1_000_000
quick_schedules = 12
block_schedules = 100
blocks = 100
steps_max = 5
RACERS = 64
NODES_EACH = 3

FAULTS: dict[str, tuple[Fault, ...]] = {
    "put": (Fault.BEFORE, Fault.SLOW_DOWN, Fault.REFUSED, Fault.LOST_REPLY, Fault.LATE),
    "get": (Fault.BEFORE, Fault.SLOW_DOWN, Fault.REFUSED, Fault.TORN, Fault.FLIP, Fault.FORBIDDEN_IF_MISSING),
    "range": (Fault.BEFORE, Fault.TORN, Fault.FLIP),
    "list": (Fault.BEFORE, Fault.SLOW_DOWN, Fault.STALE),
    "delete": (Fault.BEFORE, Fault.LOST_REPLY),
    "projection": (Fault.BEFORE, Fault.LOST_REPLY),
}
_withheld_share = 0.2  # of projects, in each step: metadata only for now
_GARBLED = (Fault.TORN, Fault.FLIP)


@dataclass
class Weather:
    """A store's random faults. Nothing is garbled twice in a row: a store that insists is a finding, and another test's."""

    chance: random.Random
    share: float
    garbled: set[str] = field(default_factory=set)

    def __call__(self, op: str, name: str, _n: int) -> Fault | None:
        if self.chance.random() >= self.share:
            self.garbled.discard(name)
            return None
        fault = self.chance.choice(FAULTS[op])
        if fault in _GARBLED:
            if name in self.garbled:
                self.garbled.discard(name)
                return None
            self.garbled.add(name)
        return fault


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Ana with nodes to push, Ben and Cat in the team."""
    return template(tmp_path_factory.mktemp("template"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch.setitem)


def one_schedule(team: Template, folder: Path, number: int) -> None:
    """Ana and Ben write and sync by turns, under faults and crashes; then the faults end, and everything must be there once.

    Each process may be one in whose settings some project's text stays on the device; in the end it goes.
    """
    chance = random.Random(number)
    world = team.copy(folder)
    written = {"ana": [*TEAM_NODES], "ben": [*BENS_NODES]}
    for step in range(chance.randint(1, steps_max)):
        name = chance.choice(["ana", "ben"])
        more = conversation(f"{name} in step {step}", chance.randint(1, 4)) if chance.random() < 0.5 else []
        written[name] += more
        world.store.schedule = Weather(chance, chance.choice([0.02, 0.1, 0.3]))
        withheld = {project for project in ("alpha", "beta", "secret") if chance.random() < _withheld_share}
        if in_weather(world, name, more, withheld, chance):
            check_promise(world, written[name], f"schedule {number}, step {step}")
    world.store.schedule = no_faults
    check(world, written, f"schedule {number}")


def in_weather(world: World, name: str, more: list[Node], withheld: set[str], chance: random.Random) -> bool:
    """One run of one person's process; whether it says that all is well."""
    store: BlobStore = world.store
    if chance.random() < 0.5:
        store = CuttingStore(world.store, chance.randrange(30), after=chance.random() < 0.5)
    with closing(world.laptop(name, store, withheld=withheld)) as laptop, suppress(PowerCut, TapesError):
        laptop.provider.put(more)
        return not laptop.provider.sync(full=chance.random() < 0.2).broken
    return False


def check_promise(world: World, nodes: list[Node], row: str) -> None:
    """A sync that ended well has put its nodes where another member finds them, now and not at the next sync."""
    world.store.schedule = no_faults
    with closing(world.laptop("cat")) as cat:
        cat.provider.pull()
        assert {node.hash for node in nodes} <= set(cat.pulled()), row


def check(world: World, written: dict[str, list[Node]], row: str) -> None:
    """One calm sync each, and one more to see the other's: each reader has all it may, once, and all objects are whole."""
    shared = sorted(node.hash for nodes in written.values() for node in nodes)
    expected = {"ana": sorted([*shared, *(node.hash for node in PRIVATE_NODES)]), "ben": shared}
    for name in ("ana", "ben", "ana"):
        with closing(world.laptop(name)) as laptop:
            report = laptop.provider.sync()
            assert not report.broken, (row, name, report.broken)
    for name, hashes in expected.items():
        with closing(world.laptop(name)) as laptop:
            assert laptop.provider.sync(full=True).pushed_nodes == 0, (row, name)
            assert laptop.placed() == hashes, (row, name)
            assert set(laptop.pulled()) == set(hashes), (row, name)
            assert laptop.client.replica.withheld_count() == 0, (row, name)
            assert laptop.client.replica.journal() is None, (row, name)
            assert verify(laptop.client).ok, (row, name)
    assert world.store.misuses == [], row
    assert world.check_from_nothing().ok, row


def run_schedules(team: Template, folder: Path, first: int, count: int) -> None:
    for number in [int(ONLY)] if ONLY else range(first, first + count):
        place = folder / str(number)
        one_schedule(team, place, number)
        shutil.rmtree(place)


def test_a_few_schedules(team: Template, tmp_path: Path) -> None:
    """Random faults and crashes in a row, by seed: whatever the weather was, one calm sync each ends with everything once."""
    run_schedules(team, tmp_path, SEED * seeds_per_seed, quick_schedules)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(blocks))
def test_ten_thousand_schedules(team: Template, tmp_path: Path, block: int) -> None:
    """As above, a hundred blocks of a hundred: xdist shares them out."""
    run_schedules(team, tmp_path, SEED * seeds_per_seed + block * block_schedules, block_schedules)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "kind",
    ["folder", *S3_KINDS_SLOW],
)
def test_sixty_four_racing_processes_end_in_one_chain(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """64 processes of 64 members push at the same moment: each succeeds, each node is committed once, every reader agrees."""
    url, environment, endpoint = _site(kind, request, tmp_path)

    def opened(*, may_be_new: bool = False) -> BlobStore:
        return compose(open_store(url, endpoint_url=endpoint, may_be_new=may_be_new))[0]

    owner = founded(opened(may_be_new=True), tmp_path / "ana")
    link = invite(owner, InviteTerms(RACERS, None), Bucket(url))
    homes = [tmp_path / f"racer-{number}" for number in range(RACERS)]
    for number, home in enumerate(homes):
        made = client(person(f"racer {number}"), opened(), home)
        join(made, link)
        write_identity(home, made.identity)
        with closing(Laptop(made, home)) as racer:
            racer.provider.put(conversation(f"racer {number}", NODES_EACH))
    reports = race(homes, url, environment, {"endpoint": endpoint} if endpoint else {})

    assert [NODES_EACH] * RACERS == [report["nodes"] for report in reports]
    ana = Laptop(owner, tmp_path / "ana")
    ana.provider.sync()
    nodes = [node.hash for number in range(RACERS) for node in conversation(f"racer {number}", NODES_EACH)]
    assert sorted(nodes) == ana.pulled()
    assert [None] * (2 + 2 * RACERS) == [slot.void_reason for slot in owner.replica.slots()]
    assert verify(owner).ok
    ana.close()


def race(
    homes: list[Path], url: str, environment: dict[str, str], how: dict[str, str]
) -> list[dict[str, int]]:
    """All wait at the line, then all push; what each says."""
    racers = [SyncProcess.start(home, url, environment, **how) for home in homes]
    for racer in racers:
        racer.wait_ready()
    for racer in racers:
        racer.go()
    ends = [racer.end(seconds_max=900) for racer in racers]
    assert [0] * len(homes) == [code for code, _ in ends], [said for code, said in ends if code]
    return [json.loads(said) for _, said in ends]


def _site(kind: str, request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, str], str | None]:
    """A bucket's URL, the environment a process needs for it, and its endpoint."""
    if kind == "folder":
        return f"file://{folder / 'bucket'}", {}, None
    service: S3Service = request.getfixturevalue(kind)
    patch: pytest.MonkeyPatch = request.getfixturevalue("aws_environment")
    environment = {name: value for name, value in service.environment.items() if name != "AWS_ENDPOINT_URL"}
    for name, value in environment.items():
        patch.setenv(name, value)
    return f"s3://{service.make_bucket()}/team", environment, service.endpoint_url


def tiny_nodes(count: int, per_conversation: int = 500) -> Iterator[Node]:
    """Nodes of a few bytes, in conversations."""
    parent: Node | None = None
    for number in range(count):
        if number % per_conversation == 0:
            parent = None
        content = [{"type": "text", "text": str(number)}]
        bucket = {"type": "message", "role": "user", "content": content, "model": "m", "provider": "p"}
        parent = make_node(bucket, parent.hash if parent else None, project="tiny")
        yield parent


def push_tiny(folder: Path, count: int) -> None:
    """Ana pushes `count` nodes, Ben pulls and lists them."""
    store = StrictStore()
    owner = founded(store, folder / "ana")
    ana = Laptop(owner, folder / "ana")
    ben = Laptop(joined(owner, store, folder / "ben", "ben"), folder / "ben")
    with ana.local.transaction():
        added = ana.local.add(tiny_nodes(count))
    assert count == added.new
    assert count == ana.provider.sync().pushed_nodes
    assert count == ben.provider.sync().pulled_nodes
    assert 0 == ana.provider.sync().pushed_nodes
    for laptop in (ana, ben):
        with open_source(laptop.local, laptop.client) as source:
            listed = list_sessions(source)
        assert (count, -(-count // 500)) == (listed.totals.nodes, len(listed.sessions))
        laptop.close()


def test_ten_thousand_tiny_nodes(tmp_path: Path) -> None:
    """Nodes far smaller than their metadata: pushed once, pulled, listed and counted by both."""
    push_tiny(tmp_path, 10_000)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [50_000, 1_000_000])
def test_a_million_tiny_nodes(tmp_path: Path, count: int) -> None:
    """As above, over many manifests."""
    push_tiny(tmp_path, count)
