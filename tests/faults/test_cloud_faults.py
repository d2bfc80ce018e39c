"""One put under the cloud provider, and at every single request of it one thing that can go wrong.

What `put` returned from is in the bucket; what it did not return from may be, whole commit by whole commit; and putting the same
again brings everything to where a faultless put does: nothing lost, nothing doubled.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from crypto.errors import StoreError, VerificationFailed
from store.blobs import BlobStore
from store.nodes import Node
from sync.client import Client, ClientPaths
from sync.cloud import CloudProvider
from tests.fakes.strict_store import Fault, no_faults
from tests.faults.test_push_faults import OPS, once
from tests.faults.worlds import (
    BENS_NODES,
    PRIVATE,
    PRIVATE_NODES,
    TEAM_NODES,
    CuttingStore,
    PowerCut,
    Template,
    World,
    hurried,
    impatient,
    template,
    valid_commits,
)

NODES = [*TEAM_NODES, *PRIVATE_NODES]
SEEN_BY_BEN = sorted(node.hash for node in [*TEAM_NODES, *BENS_NODES])
COMMITS_OF_A_PUT = 3  # the team's turns, the private space's first key, the private turns
FAULTS = [
    Fault.BEFORE,
    Fault.SLOW_DOWN,
    Fault.REFUSED,
    Fault.LOST_REPLY,
    Fault.LATE,
    Fault.TORN,
    Fault.FLIP,
    Fault.FORBIDDEN_IF_MISSING,
    Fault.STALE,
]
HARMLESS = (Fault.LOST_REPLY, Fault.LATE, Fault.STALE)  # a put gets over these by itself


@dataclass(frozen=True)
class Rig:
    """The world to copy, and (operation, name) of every request of a faultless put."""

    template: Template
    requests: list[tuple[str, str]]


def cloud(world: World, store: BlobStore | None = None) -> CloudProvider:
    """Ana's, in a new process of a home that keeps nothing."""
    home = world.root / "ana"
    made = Client(
        world.people["ana"].identity,
        store or world.store,
        ClientPaths(home / "team.db", home / "cache", home / "evidence", keeps_frames=False),
    )
    made.probe_once = lambda: None  # type: ignore[method-assign]
    made.replica._db.execute("PRAGMA synchronous = OFF")  # no power is cut here, and there are many rows
    return CloudProvider(
        hurried(made), lambda project: "private" if project in PRIVATE else "team", lambda _: "full"
    )


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A team at rest, and what a faultless put asks of the store."""
    made = template(tmp_path_factory.mktemp("template"))
    world = made.copy(tmp_path_factory.mktemp("faultless"))
    before = len(world.store.history)
    provider = cloud(world)
    provider.put(NODES)
    provider.close()
    return Rig(made, world.store.history[before:])


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch.setitem)


def put(world: World, store: BlobStore | None = None) -> bool:
    """Whether the put under fault returned."""
    provider = cloud(world, store)
    try:
        provider.put(NODES)
    except (PowerCut, StoreError, VerificationFailed):
        return False
    finally:
        provider.close()
    return True


def check(world: World, row: str, *, returned: bool) -> None:
    """What stands now, and after the same put once more."""
    ben = world.laptop("ben")
    before = valid_commits(ben.client)
    ben.provider.pull()
    theirs = sorted(node.hash for node in BENS_NODES)
    assert ben.pulled() in ([SEEN_BY_BEN] if returned else [SEEN_BY_BEN, theirs]), row
    stands = valid_commits(ben.client)

    again = cloud(world)
    again.put(NODES)
    assert [_read(again, node) for node in NODES] == NODES, row
    again.put(NODES)
    again.close()
    assert _kept(world) <= {info.name.rsplit("/", 1)[-1] for info in world.store.list("manifests/")}, row
    assert not (world.root / "ana" / "evidence").exists(), row

    ben.provider.sync(full=True)
    assert ben.pulled() == SEEN_BY_BEN, row
    done = valid_commits(ben.client)
    assert done <= before + COMMITS_OF_A_PUT, row
    assert not returned or done == stands, row
    ben.close()
    report = world.check_from_nothing()
    assert report.ok, (row, report.findings)


def _kept(world: World) -> set[str]:
    return {path.name for path in (world.root / "ana" / "cache").rglob("*") if path.is_file()}


def _read(provider: CloudProvider, node: Node) -> Node | None:
    return provider.get(node.hash)


# Every request where there is time for it, else a spread of them.
every = pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])


@every
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.lower())
def test_a_fault_at_any_request_of_a_put_loses_and_doubles_nothing(
    rig: Rig, tmp_path: Path, fault: Fault, step: int
) -> None:
    """A put that returns is whole in the bucket whatever was struck; one that raises is completed by the next."""
    returned = 0
    rows = [n for n, (op, _) in enumerate(rig.requests) if op in OPS.get(fault, {op})][::step]
    for number in rows:
        row = f"{fault.name} at request {number}: {' '.join(rig.requests[number])}"
        world = rig.template.copy(tmp_path / str(number))
        world.store.schedule = once(fault, number)
        whole = put(world)
        world.store.schedule = no_faults
        returned += whole
        check(world, row, returned=whole)
    assert rows
    assert returned == len(rows) or fault not in HARMLESS


@every
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_request_of_a_put_loses_and_doubles_nothing(
    rig: Rig, tmp_path: Path, *, after: bool, step: int
) -> None:
    """The process dies just before or just after any request: memory is gone, whole commits stand, the next put adds the rest."""
    for number, (op, name) in list(enumerate(rig.requests))[::step]:
        row = f"cut {'after' if after else 'before'} request {number}: {op} {name}"
        world = rig.template.copy(tmp_path / str(number))
        assert not put(world, CuttingStore(world.store, number, after)), row
        check(world, row, returned=False)
