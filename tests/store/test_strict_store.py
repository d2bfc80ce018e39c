"""The fake itself: it breaks as it was told, and only then; and it fails a test whose client misbehaves."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from crypto.errors import BlobNotFound, StoreRefused, StoreUnknown
from store.blobs import PutOutcome
from store.names import object_name, slot_name
from tests.fakes.strict_store import Fault, Misuse, StrictStore, fault_at, late_write_requests

SLOT = slot_name(0)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda store: store.put_projection(SLOT, b"x"),
        lambda store: store.put_projection(object_name("pack", 0, sha256(b"x").hexdigest()), b"x"),
        lambda store: store.delete(SLOT),
        lambda store: store.put_if_absent(SLOT, b""),
        lambda store: store.put_if_absent("elsewhere/1", b"x"),
        lambda store: store.put_if_absent(object_name("pack", 0, "0" * 64), b"x"),
        lambda store: store.get("log/../log/000000000000"),
        lambda store: store.get("unknown"),
    ],
    ids=[
        "slot overwritten",
        "pack overwritten",
        "slot deleted",
        "empty",
        "unknown prefix",
        "wrong digest",
        "dots",
        "unknown read",
    ],
)
def test_misuse_fails_the_test(misuse: Callable[[StrictStore], object]) -> None:
    """Each thing that no client may do ends the test and is on record, even if a thread swallows it."""
    store = StrictStore()

    with pytest.raises(Misuse):
        misuse(store)
    assert len(store.misuses) == 1


def test_lost_reply_and_late_write_differ_in_when_they_land() -> None:
    """After a lost reply the object is there at once; a late write lands some requests later, if the name is still free."""
    store = StrictStore(fault_at(Fault.LOST_REPLY, "put"))
    with pytest.raises(StoreUnknown):
        store.put_if_absent(slot_name(0), b"lost")
    assert store.get(slot_name(0)) == b"lost"

    store.schedule = fault_at(Fault.LATE, "put", times=2)
    for number in (1, 2):
        with pytest.raises(StoreUnknown):
            store.put_if_absent(slot_name(number), b"late")
    assert store.put_if_absent(slot_name(2), b"first") is PutOutcome.CREATED
    for _ in range(late_write_requests):
        list(store.list("log/"))
    assert [store.get(slot_name(number)) for number in (1, 2)] == [b"late", b"first"]


def test_damaged_and_hidden_reads() -> None:
    """Torn, flipped, lost, hidden and forbidden answers look as they would from a bad bucket."""
    store = StrictStore()
    store.put_if_absent(SLOT, b"0123456789")

    store.schedule = fault_at(Fault.TORN, "get")
    assert store.get(SLOT) == b"01234"
    store.schedule = fault_at(Fault.FLIP, "get")
    assert store.get(SLOT) == b"012344 6789".replace(b" ", b"")
    store.schedule = fault_at(Fault.STALE, "list")
    assert list(store.list("log/")) == []
    store.schedule = fault_at(Fault.LOSE, "put")
    assert store.put_if_absent(slot_name(1), b"x") is PutOutcome.CREATED
    with pytest.raises(BlobNotFound):
        store.get(slot_name(1))
    store.schedule = fault_at(Fault.FORBIDDEN_IF_MISSING, "get")
    with pytest.raises(StoreRefused):
        store.get(slot_name(1))


def test_roll_back_and_fork() -> None:
    """A bucket can be set back to a snapshot, and two clients can be shown different futures of one past."""
    store = StrictStore()
    store.put_if_absent(SLOT, b"genesis")
    before = store.snapshot()
    store.put_if_absent(slot_name(1), b"mine")

    twin = store.fork()
    twin.put_if_absent(slot_name(2), b"theirs")
    store.restore(before)

    assert [info.name for info in store.list("log/")] == [slot_name(0)]
    assert [info.name for info in twin.list("log/")] == [slot_name(0), slot_name(1), slot_name(2)]


def test_a_fault_where_it_cannot_happen_is_the_tests_mistake() -> None:
    """A schedule that tears a write would silently test nothing."""
    with pytest.raises(Misuse):
        StrictStore(fault_at(Fault.TORN, "put")).put_if_absent(SLOT, b"x")
