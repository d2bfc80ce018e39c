"""One sync, and at every single request of it one thing that can go wrong: nothing lost, nothing doubled, nothing half.

The run under fault: Ana takes in what Ben pushed, pushes two conversations to the team, opens her private space, and pushes a
private conversation: three commits. Each row names one request of it and one fault, and says how that sync ends and which of
the three commits stand afterwards. Then the fault is gone, and one more sync must bring everything where a faultless one does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from crypto.errors import StoreError
from store.blobs import BlobStore
from store.names import LOG
from sync.verify import verify
from tests.fakes.strict_store import Fault, Schedule, no_faults
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
    valid_commits,
)
from tests.laptops import Laptop

COMMITS_OF_A_SYNC = 3
SEEN_BY_BEN = sorted(node.hash for node in [*TEAM_NODES, *BENS_NODES])
SEEN_BY_ANA = sorted([*SEEN_BY_BEN, *(node.hash for node in PRIVATE_NODES)])


class End(Enum):
    """How the sync under fault ends."""

    DONE = "as if nothing had happened"
    STOPPED = "with a StoreError"
    CUT = "the process ends"


@dataclass(frozen=True)
class Request:
    """One request of the faultless run."""

    number: int
    op: str
    name: str
    there: bool  # whether the object existed when it was read
    new_slot: bool  # a slot this device had not pinned yet

    @property
    def is_slot_put(self) -> bool:
        return self.op == "put" and self.name.startswith(LOG)


@dataclass(frozen=True)
class Rig:
    """The world to copy, and what a faultless sync asks of the store."""

    template: Template
    requests: list[Request]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A team at rest, and the requests of Ana's faultless sync."""
    made = template(tmp_path_factory.mktemp("template"))
    world = made.copy(tmp_path_factory.mktemp("faultless"))
    requests: list[Request] = []
    seen = {name for op, name in world.store.history if op == "get"}

    def watch(op: str, name: str, _n: int) -> Fault | None:
        there = name in world.store._objects
        first = name.startswith(LOG) and there and name not in seen and bool(requests)
        if there and op == "get":
            seen.add(name)
        requests.append(Request(len(requests), op, name, there, first))
        return None

    world.store.schedule = watch
    ana = world.laptop("ana")
    ana.provider.sync()
    ana.close()
    return Rig(made, requests)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch.setitem)


def _garbled(request: Request) -> End:
    return End.STOPPED if request.there and request.new_slot else End.DONE


# What is expected of the sync under fault, by the fault and the request it strikes.
Expected = Callable[[Request], End]
ROWS: dict[Fault, Expected] = {
    # Objects named by their digest are simply sent again; a slot is never retried blindly, and a read is the caller's to retry.
    Fault.BEFORE: lambda r: End.DONE if r.op == "put" and not r.is_slot_put else End.STOPPED,
    Fault.SLOW_DOWN: lambda r: End.DONE if r.op == "put" and not r.is_slot_put else End.STOPPED,
    Fault.REFUSED: lambda _: End.STOPPED,
    # Whether it happened is read back from the slot itself.
    Fault.LOST_REPLY: lambda _: End.DONE,
    Fault.LATE: lambda _: End.DONE,
    # The pinned head is asked for twice before anybody is accused; a new slot that reads like garbage is asked for twice
    # before it is pinned as void, an object that is not its digest before it is a finding.
    Fault.TORN: _garbled,
    Fault.FLIP: _garbled,
    # "Absent" is decided by 404 alone: a 403 stops.
    Fault.FORBIDDEN_IF_MISSING: lambda r: End.DONE if r.there else End.STOPPED,
    Fault.STALE: lambda _: End.DONE,
}
OPS: dict[Fault, set[str]] = {
    Fault.LOST_REPLY: {"put"},
    Fault.LATE: {"put"},
    Fault.TORN: {"get"},
    Fault.FLIP: {"get"},
    Fault.FORBIDDEN_IF_MISSING: {"get"},
    Fault.STALE: {"list"},
}


def commits_standing(rig: Rig, request: Request, end: End, *, acted: bool) -> int:
    """How many of the three commits the bucket has when the struck sync has ended."""
    if end is End.DONE:
        return COMMITS_OF_A_SYNC
    upto = request.number + (1 if acted else 0)
    return sum(r.is_slot_put for r in rig.requests[:upto])


def strike(ana: Laptop) -> End:
    """The sync under fault."""
    try:
        assert not ana.provider.sync().broken
    except PowerCut:
        return End.CUT
    except StoreError:
        return End.STOPPED
    return End.DONE


def check_row(rig: Rig, world: World, row: str, standing: int) -> None:
    """Ben looks at what stands; one more sync of Ana's; then everybody sees everything, once, and nothing else."""
    ben = world.laptop("ben")
    before = valid_commits(ben.client)
    ben.provider.pull()
    # The team's conversations are one commit: Ben sees all of it or nothing, never half.
    assert ben.pulled() == (SEEN_BY_BEN if standing else sorted(n.hash for n in BENS_NODES)), row

    ana = world.laptop("ana")
    again = ana.provider.sync()
    assert not again.broken, row
    assert ana.pulled() == SEEN_BY_ANA, row
    assert ana.client.replica.journal() is None, row
    assert not (world.root / "ana" / "evidence").exists(), row
    assert 0 == ana.provider.sync().pushed_nodes, row

    assert valid_commits(ben.client) == before + COMMITS_OF_A_SYNC - standing, row
    ben.provider.sync(full=True)
    assert ben.pulled() == SEEN_BY_BEN, row
    assert verify(ana.client).ok, row
    ana.close()
    ben.close()
    report = world.check_from_nothing()
    assert report.ok, (row, report.findings)
    assert all("interrupted push" in notice.problem for notice in report.notices), (row, report.notices)


def once(fault: Fault, at: int) -> Schedule:
    """A schedule that strikes the `at`-th request from now."""
    left = [at]

    def schedule(_op: str, _name: str, _n: int) -> Fault | None:
        left[0] -= 1
        return fault if left[0] == -1 else None

    return schedule


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.name.lower())
def test_a_fault_at_any_request_loses_and_doubles_nothing(rig: Rig, tmp_path: Path, fault: Fault) -> None:
    """Whichever request is struck, that sync ends as the table says, and one more sync completes it exactly."""
    struck = [r for r in rig.requests if r.op in OPS.get(fault, {r.op})]
    assert struck
    for request in struck:
        row = f"{fault.name} at request {request.number}: {request.op} {request.name}"
        world = rig.template.copy(tmp_path / str(request.number))
        expected = ROWS[fault](request)
        ana = world.laptop("ana")
        world.store.schedule = once(fault, request.number)
        assert strike(ana) is expected, row
        ana.close()
        world.store.schedule = no_faults
        acted = fault in (Fault.TORN, Fault.FLIP, Fault.FORBIDDEN_IF_MISSING)
        check_row(rig, world, row, commits_standing(rig, request, expected, acted=acted))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_request_loses_and_doubles_nothing(rig: Rig, tmp_path: Path, *, after: bool) -> None:
    """The process dies just before or just after any request; reopened from disk, one sync completes exactly what it began."""
    for request in rig.requests:
        row = f"cut {'after' if after else 'before'} request {request.number}: {request.op} {request.name}"
        world = rig.template.copy(tmp_path / str(request.number))
        store: BlobStore = CuttingStore(world.store, request.number, after)
        ana = world.laptop("ana", store)
        assert strike(ana) is End.CUT, row
        ana.close()
        check_row(rig, world, row, commits_standing(rig, request, End.CUT, acted=after))
