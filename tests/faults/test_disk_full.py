"""The disk fills up at any point of a sync: a StoreError that says so, and with space again the sync completes."""

import errno
from pathlib import Path

import pytest

from crypto.errors import StoreError
from store.local import LocalStore
from sync.verify import verify
from tests.faults.worlds import TEAM_NODES, Template, World, impatient, template, valid_commits
from tests.laptops import Laptop, conversation

COMMITS = 3
ALL_NODES = 11
MANY = 60  # conversations: their leaves make the commit large enough to fill several pages


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A small team."""
    return template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(at_rest: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of it."""
    impatient(monkeypatch.setitem)
    return at_rest.copy(tmp_path)


def give_pages(laptop: Laptop, more: int | None) -> None:
    """Let the replica grow by so many pages of 4 KiB and no further; None: without limit."""
    database = laptop.client.replica._db
    used = database.execute("PRAGMA page_count").fetchone()[0]
    limit = used + more if more is not None else 2**31 - 2
    database.execute(f"PRAGMA max_page_count = {limit}")


def stops(laptop: Laptop) -> bool:
    """Whether a sync ends for want of room, and if so, with words that help."""
    try:
        laptop.provider.sync()
    except StoreError as error:
        return "disk is full" in error.message and "free some space" in error.hint
    return False


def test_a_replica_without_room_stops_and_goes_on_later(at_rest: Template, tmp_path: Path) -> None:
    """With room for none, one, two, … more pages the sync stops somewhere else each time, and always completes afterwards."""
    stopped = 0
    for pages in range(40):
        world = at_rest.copy(tmp_path / str(pages))
        ana = world.laptop("ana")
        ana.provider.put(node for number in range(MANY) for node in conversation(f"talk {number}", 1))
        before = valid_commits(ana.client)
        give_pages(ana, pages)
        if not stops(ana):
            break
        stopped += 1
        give_pages(ana, None)
        ana.provider.sync()
        assert ALL_NODES + MANY == len(ana.pulled()) == len(set(ana.pulled())), pages
        assert before + COMMITS == valid_commits(ana.client), pages
        assert verify(ana.client).ok, pages
        assert world.check_from_nothing().ok, pages
        ana.close()

    assert stopped > 4


def test_a_reader_without_room_for_what_it_pulls_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of pulled objects cannot be written: a StoreError names the file, no half file stays, later all is well."""
    ana, ben = world.laptop("ana"), world.laptop("ben")
    ana.provider.sync()
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        real(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left"):
        ben.provider.sync()
    monkeypatch.undo()

    assert not [path for path in (world.root / "ben" / "cache").rglob(".*") if path.is_file()]
    ben.provider.sync()
    assert {node.hash for node in TEAM_NODES} <= set(ben.pulled())


def test_a_local_store_without_room_keeps_what_it_has(tmp_path: Path) -> None:
    """An import onto a full disk adds nothing at all, says so, and works once there is room."""
    local = LocalStore.open(tmp_path / "tapes.db")
    local.add(conversation("kept", 2))
    used = local._db.execute("PRAGMA page_count").fetchone()[0]
    local._db.execute(f"PRAGMA max_page_count = {used}")
    many = conversation("too much", 200)
    with pytest.raises(StoreError, match="disk is full"):
        local.add(many)
    kept = local.count()
    local._db.execute("PRAGMA max_page_count = 1000000")

    assert (2, 200) == (kept, local.add(many).new)
