"""Stores that do not keep their promises: what is refused before it starts, what is found, and what enters nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crypto.errors import StoreError, StoreRefused, StoreUntrusted, VerificationFailed
from store.names import slot_name
from sync.client import Client, ClientPaths
from sync.membership import create_team
from sync.providers import SyncReport
from sync.verify import verify
from tests.actors import person
from tests.fakes.strict_store import Fault, StrictStore, fault_at, no_faults
from tests.faults.worlds import (
    BENS_NODES,
    PRIVATE_NODES,
    TEAM_NODES,
    CuttingStore,
    Template,
    World,
    impatient,
    template,
)
from tests.laptops import Laptop, conversation


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A small team."""
    return template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(at_rest: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of it."""
    impatient(monkeypatch.setitem)
    return at_rest.copy(tmp_path)


def newest_slot(world: World) -> str:
    return max(info.name for info in world.store.list("log/"))


def test_a_store_that_ignores_preconditions_gets_no_commit(tmp_path: Path) -> None:
    """The probe refuses it, with the reason, before anything of the team is written."""
    store = StrictStore(lambda op, _name, _n: Fault.IGNORE_PRECONDITION if op == "put" else None)
    made = Client(
        person("ana").identity, store, ClientPaths(tmp_path / "team.db", tmp_path / "c", tmp_path / "e")
    )

    with pytest.raises(StoreUntrusted, match="ignores If-None-Match"):
        create_team(made, "the team")
    assert [] == [info.name for info in store.list("") if not info.name.startswith("probe/")]


def test_a_pack_lost_after_200_is_found_by_everybody(world: World) -> None:
    """Acknowledged and never stored: verify and a full pull name the object with exit 6, and the rest is still read."""
    ana, ben = world.laptop("ana"), world.laptop("ben")
    world.store.schedule = fault_at(Fault.LOSE, "put", "packs/")
    ana.provider.sync()
    lost = [name for op, name in world.store.history if op == "put" and name.startswith("packs/")][-2]
    pulled = ben.provider.sync(full=True)

    assert lost in {finding.object for finding in verify(ana.client).findings}
    assert lost in {finding.object for finding in verify(ben.client).findings}
    assert [lost] == [broken.obj for broken in pulled.broken]
    assert {node.hash for node in TEAM_NODES} <= set(
        ben.pulled()
    )  # what its manifest says is known; the bytes are not


def test_a_lost_manifest_is_named_and_stops_nobody(world: World) -> None:
    """Ben cannot know what the commit holds: he is told which object is gone, pushes his own, and has it all once it is back."""
    ana, ben = world.laptop("ana"), world.laptop("ben")
    ana.provider.sync()
    named = [r.sha256 for r, _ in ana.client.replica.named_objects() if r.kind == "manifest"]
    name = next(i.name for i in world.store.list("manifests/") if i.name.endswith(named[1]))
    kept = world.store.get(name)
    world.store.plant(name, None)
    # Of Ana's nodes Ben has some, too: he cannot know the conversation's tag key, which the lost manifest made.
    own = [*TEAM_NODES[:3], *conversation("ben goes on", 2)]
    ben.provider.put(own)
    report = ben.provider.sync()

    assert [(name, 6)] == [(broken.obj, broken.exit_code) for broken in report.broken]
    assert len(own) == report.pushed_nodes
    assert {node.hash for node in own} <= set(ben.pulled())
    assert {TEAM_NODES[-1].hash} - set(ben.pulled())
    assert name in {finding.object for finding in verify(ben.client).findings}
    assert any("anew" in notice for notice in ana.provider.sync().notices)
    assert {node.hash for node in own} <= set(ana.pulled())
    world.store.plant(name, kept)
    assert not ben.provider.sync().broken
    assert {node.hash for node in TEAM_NODES} <= set(ben.pulled())
    for laptop in (ana, ben):
        laptop.provider.put([*TEAM_NODES, *conversation("ben goes on", 4)])
        assert not laptop.provider.sync().broken
    ana.provider.sync()
    team = {node.hash for node in (*TEAM_NODES, *BENS_NODES, *conversation("ben goes on", 4))}
    assert team == set(ben.pulled()) == set(ana.pulled()) - {node.hash for node in PRIVATE_NODES}
    assert verify(ben.client).ok
    assert world.check_from_nothing().ok


def ben_during_whose_push(world: World, happens: Callable[[], None]) -> Laptop:
    """Ben with Ana's nodes and two of his own, whose next push is interrupted once, before its pack goes out."""
    ben = world.laptop("ben", CuttingStore(world.store, 0, after=False, prefix="packs/", cut=happens))
    ben.provider.put([*TEAM_NODES, *conversation("and more", 2)])
    return ben


@pytest.mark.parametrize("times", [1, 2])
def test_a_manifest_garbled_during_ones_own_push_stops_nobody(world: World, times: int) -> None:
    """The race: another's commit lands while Ben pushes, its manifest reads garbled, once or longer: his push is everybody's."""
    ana = world.laptop("ana")

    def intrude() -> None:
        ana.provider.sync()
        world.store.schedule = fault_at(Fault.FLIP, "get", "manifests/", times=times)

    ben = ben_during_whose_push(world, intrude)
    report = ben.provider.sync()
    world.store.schedule = no_faults

    assert len(TEAM_NODES) + 2 == report.pushed_nodes
    assert times - 1 == len(report.broken)
    for laptop in (ana, ben, ana):
        assert not laptop.provider.sync().pushed_nodes
    assert set(ben.pulled()) == set(ana.pulled()) - {node.hash for node in PRIVATE_NODES}
    assert verify(ana.client).ok
    assert world.check_from_nothing().ok


def test_nodes_that_another_pushed_meanwhile_are_pushed_once_more(world: World) -> None:
    """Two laptops with the same import: the loser of the race takes the winner's commit in, and believes its own bytes only."""
    ana = world.laptop("ana")
    ben = ben_during_whose_push(world, lambda: ignore(ana.provider.sync()))

    assert [len(TEAM_NODES) + 2, 0] == [ben.provider.sync().pushed_nodes for _ in range(2)]
    assert not ana.provider.sync().pushed_nodes
    assert world.check_from_nothing().ok


def ignore(_report: SyncReport) -> None:
    """What the other one's sync reports is not the point."""


def test_a_slot_lost_after_200_is_put_again(world: World) -> None:
    """The bucket says "created" and keeps nothing: the slot is read back, and the same commit goes there again."""
    ana = world.laptop("ana")
    world.store.schedule = fault_at(Fault.LOSE, "put", "log/")
    ana.provider.sync()

    assert verify(ana.client).ok
    assert world.check_from_nothing().ok


def test_a_stale_list_hides_nothing(world: World) -> None:
    """A list that never shows the newest object: slots are found by reading, so both laptops still see everything."""
    world.store.schedule = lambda op, _name, _n: Fault.STALE if op == "list" else None
    ana, ben = world.laptop("ana"), world.laptop("ben")
    ana.provider.sync()
    ben.provider.sync()

    assert {node.hash for node in TEAM_NODES} <= set(ben.pulled())


def test_a_store_that_vanishes_is_taken_up_again(world: World) -> None:
    """Every request fails from the middle of a sync on: a StoreError, and after its return everything goes out once."""
    ana = world.laptop("ana")
    start = len(world.store.history)
    world.store.schedule = lambda _op, _name, n: Fault.BEFORE if n > start + 6 else None
    with pytest.raises(StoreError):
        ana.provider.sync()
    with pytest.raises(StoreError):
        ana.provider.sync()
    world.store.schedule = no_faults

    ana.provider.sync()
    assert len(ana.pulled()) == len(set(ana.pulled())) == 11
    assert world.check_from_nothing().ok


def test_a_store_that_says_403_for_what_is_missing_stops_every_commit(world: World) -> None:
    """Not being allowed to look is not "absent": no slot is written on a guess."""
    world.store.schedule = lambda op, _name, _n: Fault.FORBIDDEN_IF_MISSING if op == "get" else None
    before = newest_slot(world)

    with pytest.raises(StoreRefused):
        world.laptop("ana").provider.sync()
    assert before == newest_slot(world)


def test_last_nights_snapshot_is_refused_with_evidence(world: World) -> None:
    """A restored bucket lacks what Ana saw: she stops with exit 6, keeps the lost commit, and nothing is written over it."""
    ana, ben = world.laptop("ana"), world.laptop("ben")
    night = world.store.snapshot()
    ana.provider.sync()
    last = newest_slot(world)
    world.store.restore(night)

    with pytest.raises(VerificationFailed, match="is gone") as error:
        ana.provider.sync()
    assert last == error.value.obj
    assert verify(ana.client).findings
    evidence = [*(world.root / "ana" / "evidence").iterdir()]
    assert [path.read_bytes() for path in evidence] == [ana.client.replica.head().data]  # type: ignore[union-attr]
    ben.provider.sync()  # Ben never saw the lost commits: for him the snapshot is simply the log
    assert verify(ben.client).ok


def test_two_forks_are_both_kept_as_evidence(world: World) -> None:
    """Shown different tails, Ana and Ben part; as soon as one sees the other's bucket, both heads lie in the evidence."""
    ana = world.laptop("ana")
    twin = world.store.fork()
    ben = world.laptop("ben", twin)
    ben.provider.put(conversation("only ben's fork has this", 2))
    ana.provider.sync()
    ben.provider.sync()
    bens_head = ben.client.replica.head()
    assert bens_head is not None
    ben.close()
    again = world.laptop("ben")

    with pytest.raises(VerificationFailed, match="is different") as error:
        again.provider.sync()
    kept = {path.read_bytes() for path in (world.root / "ben" / "evidence").iterdir()}
    assert slot_name(bens_head.seq) == error.value.obj
    assert {bens_head.data, world.store.get(slot_name(bens_head.seq))} == kept
    assert not {node.hash for node in TEAM_NODES} & set(again.pulled())


def test_a_list_that_never_ends_well_stops_before_any_write(world: World) -> None:
    """The list is asked before anything is written; without it a hole could be mistaken for the end of the log."""
    world.store.schedule = lambda op, _name, _n: Fault.SLOW_DOWN if op == "list" else None
    before = newest_slot_without_list(world)

    with pytest.raises(StoreError, match="SlowDown"):
        world.laptop("ana").provider.sync()
    assert before == newest_slot_without_list(world)


def newest_slot_without_list(world: World) -> str:
    return max(name for name, _ in world.store.snapshot().objects if name.startswith("log/"))
