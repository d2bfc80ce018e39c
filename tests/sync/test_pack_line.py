"""Packs on their way: side by side but few, in order, and none after an error."""

import threading
from pathlib import Path

import pytest

from crypto.errors import StoreRefused
from store import packs
from store.commits import ObjectRef
from store.directory import DirectoryStore
from store.names import object_name
from sync.pack_line import PackLine, packs_at_once
from sync.verify import verify
from tests.actors import founded
from tests.laptops import Laptop, conversation


def ref(number: int) -> ObjectRef:
    """A pack's name."""
    return ObjectRef(kind="pack", base=0, sha256=f"{number:064x}", bytes=1)


def test_packs_come_back_in_order_and_never_too_many_at_once() -> None:
    """However their uploads overtake one another: the order taken, at most `packs_at_once` begun and not ended."""
    lock, now, most = threading.Lock(), 0, 0
    together = threading.Barrier(packs_at_once)  # all must be under way at once, or nobody passes

    def job(number: int) -> ObjectRef:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(timeout=60)
        with lock:
            now -= 1
        return ref(number)

    with PackLine() as line:
        for number in range(3 * packs_at_once):
            line.take(lambda number=number: job(number))  # type: ignore[misc]
        found = line.finish(lambda: ref(99))

    assert [ref(number) for number in (*range(3 * packs_at_once), 99)] == found
    assert most == packs_at_once


def test_nothing_is_sent_after_an_error() -> None:
    """What fails is raised at once or at the end; what had not begun never does, what had is over when the line is."""
    begun: list[int] = []
    gate = threading.Event()

    def job(number: int) -> ObjectRef:
        begun.append(number)
        if number == 0:
            raise StoreRefused("no", hint="no")
        gate.wait(timeout=60)
        return ref(number)

    def push() -> None:
        with PackLine() as line:
            for number in range(packs_at_once):
                line.take(lambda number=number: job(number))  # type: ignore[misc]
            gate.set()
            line.take(lambda: job(100))

    with pytest.raises(StoreRefused):
        push()
    before = list(begun)

    assert 100 not in begun
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pack")]
    assert before == begun


class OneRefused(DirectoryStore):
    """Refuses one pack."""

    refused = ""

    def put_if_absent(self, name: str, data: bytes):  # type: ignore[no-untyped-def]
        """Refuse the third pack."""
        if name.startswith("packs/"):
            self.seen = [*getattr(self, "seen", []), name]
            if len(self.seen) == 3:
                self.refused = name
                raise StoreRefused(f"{name}: no", hint="no")
        return super().put_if_absent(name, data)


def test_a_push_of_many_packs_stands_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of many packs is refused: no commit names any; the next sync sends all, each row with the pack it lies in."""
    monkeypatch.setattr(packs, "pack_bytes_target", 6_000)
    store = OneRefused(tmp_path / "bucket")
    ana = Laptop(founded(store, tmp_path / "ana"), tmp_path / "ana")
    nodes = [node for number in range(24) for node in conversation(f"talk {number}", 4)]
    ana.provider.put(nodes)
    with pytest.raises(StoreRefused):
        ana.provider.sync()
    assert [] == ana.pulled()
    report = ana.provider.sync()

    assert (len(nodes), 1) == (report.pushed_nodes, report.pushed_commits)
    assert report.pushed_packs > packs_at_once
    assert sorted(node.hash for node in nodes) == ana.pulled()
    assert verify(ana.client).ok
    named = {
        object_name("pack", r.base, r.sha256)
        for r, _ in ana.client.replica.named_objects()
        if r.kind == "pack"
    }
    assert named <= {info.name for info in store.list("packs/")}
