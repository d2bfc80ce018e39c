"""Fetching ahead: in order, side by side, bounded, and over when its user is."""

import threading
from pathlib import Path

import pytest

from crypto.errors import BlobNotFound, VerificationFailed
from store import packs
from store.directory import DirectoryStore
from sync.ahead import ahead, manifests_ahead, packs_ahead
from tests.actors import founded, joined
from tests.laptops import Laptop, conversation


class Together(DirectoryStore):
    """Answers requests under one prefix only when several of them wait at once."""

    def __init__(self, root: Path, prefix: str, parties: int) -> None:
        super().__init__(root)
        self.prefix = prefix
        self.barrier = threading.Barrier(parties)

    def get(self, name: str) -> bytes:
        """Wait for the others, which only come if nobody asks one after the other."""
        if name.startswith(self.prefix):
            self.barrier.wait(timeout=60)
        return super().get(name)


def test_results_come_in_order_and_failures_at_their_place() -> None:
    """However long each takes; a failure is raised where its item is asked for, and the others still come."""

    def fetch(number: int) -> int:
        if number == 3:
            raise BlobNotFound("3", hint="none")
        return number * number

    found = []
    with ahead(fetch, range(8), 3) as coming:
        for number, result in coming:
            try:
                found.append((number, result()))
            except BlobNotFound:
                found.append((number, -1))

    assert [(n, -1 if n == 3 else n * n) for n in range(8)] == found


def test_nothing_is_asked_for_after_the_user_left() -> None:
    """Left at the first item: at most what was begun by then was fetched, and no thread stays."""
    asked: list[int] = []

    def leave_early() -> None:
        with ahead(asked.append, range(1000), 2) as coming:
            next(coming)
            raise VerificationFailed("x", "is broken")

    with pytest.raises(VerificationFailed):
        leave_early()

    assert len(asked) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_many_manifests_are_fetched_side_by_side(tmp_path: Path) -> None:
    """A laptop that was away for many pushes asks for their manifests together, and takes them in one by one, in order."""
    store = DirectoryStore(tmp_path / "bucket")
    owner = founded(store, tmp_path / "ana")
    ana = Laptop(owner, tmp_path / "ana")
    ben = joined(owner, store, tmp_path / "ben")
    for number in range(2 * manifests_ahead):
        ana.provider.put(conversation(f"talk {number}", 2))
        ana.provider.sync()
    ben.store = ben.cache._store = Together(tmp_path / "bucket", "manifests/", manifests_ahead)
    laptop = Laptop(ben, tmp_path / "ben")
    report = laptop.provider.pull()

    assert 2 * manifests_ahead == report.pulled_manifests
    assert ana.pulled() == laptop.pulled()


def test_packs_are_fetched_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pull has several packs under way at once, and keeps every frame of each."""
    monkeypatch.setattr(packs, "pack_bytes_target", 3_000)
    store = DirectoryStore(tmp_path / "bucket")
    owner = founded(store, tmp_path / "ana")
    ana = Laptop(owner, tmp_path / "ana")
    ben = joined(owner, store, tmp_path / "ben")
    ana.provider.put([node for number in range(40) for node in conversation(f"talk {number}", 2)])
    pushed = ana.provider.sync()
    ben.cache._store = Together(tmp_path / "bucket", "packs/", 2)
    laptop = Laptop(ben, tmp_path / "ben")
    if pushed.pushed_packs % 2:  # an odd one would wait alone
        ana.provider.put(conversation("one more", 1))
        ana.provider.sync()
    report = laptop.provider.sync(full=True)

    assert pushed.pushed_packs > packs_ahead
    assert not report.broken
    assert (40 + pushed.pushed_packs % 2) == report.fetched_frames
