"""The probe: stores that cannot carry a team are found out by what they do, and said why; good ones pass whatever their name."""

import threading
import time
from collections.abc import Iterator

import pytest

from crypto.errors import BlobNotFound, StoreError, StoreRefused, StoreUnknown, StoreUntrusted
from store.blobs import BlobInfo, PutOutcome
from store.probe import probe_body_bytes, probe_objects_per_round, probe_put_if_absent
from tests.fakes.strict_store import Fault, StrictStore, fault_at


class Broken:
    """A bucket in memory that each test breaks in its own way."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def describe(self) -> str:
        return "broken:"

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        with self.lock:
            if name in self.objects:
                return PutOutcome.EXISTS
            self.objects[name] = data
            return PutOutcome.CREATED

    def put_projection(self, name: str, data: bytes) -> None:
        self.objects[name] = data

    def get(self, name: str) -> bytes:
        try:
            return self.objects[name]
        except KeyError as error:
            raise BlobNotFound(name) from error

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self.get(name)[offset : offset + length]

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > start_after)
        yield from (BlobInfo(name, len(self.objects[name])) for name in names)

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)


class CheckThenSet(Broken):
    """Looks, receives the body, writes: right for one writer at a time, without a lock between (moto does this)."""

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        if name in self.objects:
            return PutOutcome.EXISTS
        time.sleep(0.002)
        self.objects[name] = data
        return PutOutcome.CREATED


class SaysExistsAndOverwrites(Broken):
    """Answers 412 and stores all the same."""

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        outcome = super().put_if_absent(name, data)
        self.objects[name] = data
        return outcome


class LastRacerStays(Broken):
    """Tells one racer of many that it won, and keeps another's bytes; one writer alone notices nothing."""

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        outcome = super().put_if_absent(name, data)
        if outcome is PutOutcome.EXISTS and not name.endswith("-single"):
            self.objects[name] = data
        return outcome


class KeepsFraming(Broken):
    """Decodes what looks like chunk framing."""

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        return super().put_if_absent(name, data.replace(b"\r\n", b""))


class IgnoresRange(Broken):
    """Answers a range read with the beginning of the object."""

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return super().get_range(name, 0 * offset, length)


class Forgets(Broken):
    """Acknowledges and does not store."""

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        super().put_if_absent(name, data)
        self.delete(name)
        return PutOutcome.CREATED


class AlwaysExists(Broken):
    """Says of every name that it exists."""

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        super().put_if_absent(name, data)
        return PutOutcome.EXISTS


class RefusesDelete(Broken):
    """A bucket whose policy forbids deleting."""

    def delete(self, name: str) -> None:
        raise StoreRefused(f"{name}: the store answered 403 AccessDenied")


def test_a_good_store_passes_and_is_left_clean() -> None:
    """A linearisable store passes, every racer met every object, and no probe object stays."""
    store = StrictStore()

    report = probe_put_if_absent(store, writers=16, rounds=2)

    assert (report.writers, report.raced_objects, report.unknown, report.notes) == (
        16,
        2 * probe_objects_per_round,
        0,
        (),
    )
    assert store.history.count(("put", store.history[-1][1])) == 16
    assert store.snapshot().objects == ()
    assert {name.split("/")[0] for _, name in store.history} == {"probe"}


def test_a_store_that_ignores_the_precondition_is_refused() -> None:
    """Answering "created" to everyone is found with a single writer already."""
    store = StrictStore(lambda op, _name, _n: Fault.IGNORE_PRECONDITION if op == "put" else None)

    with pytest.raises(StoreUntrusted, match="ignores If-None-Match"):
        probe_put_if_absent(store)


def test_a_store_that_ignores_the_precondition_under_load_is_refused() -> None:
    """A store that is right for one writer and lets every racer win fails in the race."""
    store = StrictStore(
        lambda op, name, _n: (
            Fault.IGNORE_PRECONDITION if op == "put" and not name.endswith("-single") else None
        )
    )

    with pytest.raises(StoreUntrusted, match="16 of 16 writers were each told"):
        probe_put_if_absent(store)


@pytest.mark.parametrize(
    ("store", "why"),
    [
        (CheckThenSet(), "writers were each told that they had created the same object"),
        (SaysExistsAndOverwrites(), "says that an object exists and overwrites it"),
        (LastRacerStays(), "holds other bytes than the winner's"),
        (KeepsFraming(), "does not give back the bytes"),
        (IgnoresRange(), "range read"),
        (Forgets(), "acknowledges a write and then says that the object is not there"),
        (AlwaysExists(), "a new random name exists already"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Broken) else "",
)
def test_broken_stores_are_refused_with_the_reason(store: Broken, why: str) -> None:
    """Each way to be unfit is told in the error, together with what to do, and leaves no probe objects behind."""
    with pytest.raises(StoreUntrusted, match=why) as caught:
        probe_put_if_absent(store)

    assert "docs/providers.md" in caught.value.hint
    assert store.objects == {}


def test_lost_replies_among_racers_are_not_held_against_a_store() -> None:
    """A winner whose reply is lost leaves no CREATED; its bytes under the name are proof enough, and it is counted."""
    lost = fault_at(Fault.LOST_REPLY, "put", "probe/", times=3)

    def schedule(op: str, name: str, n: int) -> Fault | None:
        return None if name.endswith("-single") else lost(op, name, n)

    report = probe_put_if_absent(StrictStore(schedule), rounds=1)

    assert report.unknown == 3


def test_a_store_that_lets_nothing_through_has_neither_passed_nor_failed() -> None:
    """When every racer is throttled, the probe says "try again", not "untrusted"."""
    store = StrictStore(
        lambda op, name, _n: Fault.SLOW_DOWN if op == "put" and not name.endswith("-single") else None
    )

    with pytest.raises(StoreUnknown, match="no probe write got through"):
        probe_put_if_absent(store, rounds=1)


@pytest.mark.parametrize(("fault", "error"), [(Fault.BEFORE, StoreError), (Fault.REFUSED, StoreRefused)])
def test_an_unreachable_store_keeps_its_own_error(fault: Fault, error: type[StoreError]) -> None:
    """Network trouble and missing rights come through as they are, and no delete is tried over and over."""
    store = StrictStore(lambda _op, _name, _n: fault)

    with pytest.raises(StoreError) as caught:
        probe_put_if_absent(store)
    assert type(caught.value) is error
    assert [op for op, _ in store.history] == ["put", "delete"]


def test_forbidden_deletes_are_only_noted() -> None:
    """Credentials that may not delete are a good idea: the probe passes and says that its objects stay."""
    store = RefusesDelete()

    report = probe_put_if_absent(store, rounds=1)

    assert report.notes == (
        f"{1 + probe_objects_per_round} probe objects could not be deleted; they are harmless",
    )
    assert sum(map(len, store.objects.values())) < 6 * probe_body_bytes


def test_a_stale_list_is_only_noted() -> None:
    """A list may lag: clients find the head by reads."""
    store = StrictStore(fault_at(Fault.STALE, "list"))

    report = probe_put_if_absent(store, rounds=1)

    assert report.notes == (f"list after write left out 1 of {1 + probe_objects_per_round} objects",)
