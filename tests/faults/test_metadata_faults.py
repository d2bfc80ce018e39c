"""A process that ends at any write of a metadata-only push, or of the push that later brings the content."""

from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.faults.worlds import (
    BENS_NODES,
    PRIVATE_NODES,
    TEAM_NODES,
    CuttingStore,
    PowerCut,
    Template,
    World,
    template,
)

BARE = {"alpha", "beta", "secret"}
SEEN = sorted(node.hash for node in [*TEAM_NODES, *BENS_NODES])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A team at rest, Ana with nodes to push."""
    return template(tmp_path_factory.mktemp("template"))


def _world(made: Template, to: Path, *, switching: bool) -> World:
    """A world in which the push under test is due: the first, or the one after the switch."""
    world = made.copy(to)
    if switching:
        with closing(world.laptop("ana", withheld=BARE)) as ana:
            ana.provider.sync()
    return world


def _writes(world: World, prefix: str, withheld: set[str] | None) -> int:
    store = CuttingStore(world.store, -1, after=False, prefix=prefix)
    with closing(world.laptop("ana", store, withheld=withheld)) as ana:
        ana.provider.sync()
    return store.requests


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("switching", [False, True], ids=["metadata", "then-full"])
def test_a_kill_at_any_write_is_mended_by_the_next_sync(
    made: Template, tmp_path: Path, *, switching: bool, after: bool
) -> None:
    """Whatever object the process ends at, one more sync leaves exactly the nodes meant, at the level meant, each row once."""
    withheld = None if switching else BARE
    cut = 0
    for prefix in ("packs/", "manifests/", "log/"):
        faultless = _world(made, tmp_path / prefix, switching=switching)
        for at in range(_writes(faultless, prefix, withheld)):
            world = _world(made, tmp_path / prefix / str(at), switching=switching)
            store = CuttingStore(world.store, at, after, prefix)
            with closing(world.laptop("ana", store, withheld=withheld)) as struck, suppress(PowerCut):
                struck.provider.sync()
            _mended(world, withheld, named=f"{prefix}{at}")
            cut += 1
    assert (6 if switching else 5) == cut


def _mended(world: World, withheld: set[str] | None, named: str) -> None:
    """One sync after the kill: everything is there once, for Ana as for Ben."""
    with closing(world.laptop("ana", withheld=withheld)) as ana:
        ana.provider.sync()
        rows = ana.pulled()
        assert 0 == ana.provider.sync_status().pending_push, named
    with closing(world.laptop("ben")) as ben:
        ben.provider.pull()
        status = ben.provider.sync_status()
        assert SEEN == sorted(set(ben.pulled())), named
    assert (0 if withheld is None else len(TEAM_NODES)) == status.withheld, named
    twice = 0 if withheld else len(TEAM_NODES) + len(PRIVATE_NODES)  # once bare, once whole
    assert len(set(rows)) + twice == len(rows), named
    assert [] == world.check_from_nothing().findings, named
