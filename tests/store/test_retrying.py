"""Trying again: what is repeated, what is not, and what `put_immutable` makes of a store that loses replies."""

from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import BlobNotFound, StoreError, StoreRefused, StoreUnknown, VerificationFailed
from store.blobs import BlobInfo, PutOutcome
from store.metering import MeteredStore, Traffic
from store.names import object_name, slot_name
from store.open_store import compose
from store.retrying import RetryingStore, RetryPolicy, put_immutable
from tests.fakes.strict_store import Fault, StrictStore, fault_at

QUICK = RetryPolicy(attempts_max=4, wait_first_s=0.0001, wait_max_s=0.001, total_s_max=5)
DATA = b"sealed bytes"
NAME = object_name("pack", 3, sha256(DATA).hexdigest())
TRANSIENT = [Fault.BEFORE, Fault.SLOW_DOWN]


@pytest.mark.parametrize("fault", TRANSIENT)
def test_reads_lists_and_deletes_are_repeated(fault: Fault) -> None:
    """Trouble that may pass is not seen by the caller, as long as the attempts suffice."""
    inner = StrictStore()
    inner.put_if_absent(NAME, DATA)
    store = RetryingStore(inner, QUICK)

    calls: list[tuple[str, Callable[[], object], object]] = [
        ("get", lambda: store.get(NAME), DATA),
        ("range", lambda: store.get_range(NAME, 0, 6), DATA[:6]),
        ("list", lambda: [info.name for info in store.list("packs/")], [NAME]),
        ("projection", lambda: store.put_projection("checkpoint", b"head"), None),
        ("delete", lambda: store.delete("checkpoint"), None),
    ]
    for op, call, answer in calls:
        inner.schedule = fault_at(fault, op, times=QUICK.attempts_max - 1)
        assert call() == answer


def test_attempts_are_bounded() -> None:
    """When the store stays down the last error comes through after exactly the allowed attempts."""
    inner = StrictStore(lambda _op, _name, _n: Fault.SLOW_DOWN)

    with pytest.raises(StoreError, match="SlowDown"):
        RetryingStore(inner, QUICK).get(NAME)
    assert len(inner.history) == QUICK.attempts_max


def test_total_time_is_bounded() -> None:
    """No attempt is begun that would end the wait after the total."""
    inner = StrictStore(lambda _op, _name, _n: Fault.BEFORE)
    policy = RetryPolicy(attempts_max=10_000, wait_first_s=0.01, wait_max_s=0.01, total_s_max=0.1)

    with pytest.raises(StoreError):
        RetryingStore(inner, policy).get(NAME)
    assert 1 < len(inner.history) < 2_000


@pytest.mark.parametrize(("fault", "error"), [(Fault.REFUSED, StoreRefused), (None, BlobNotFound)])
def test_a_final_answer_is_not_repeated(fault: Fault | None, error: type[StoreError]) -> None:
    """403 and 404 are answers: one request each."""
    inner = StrictStore(lambda _op, _name, _n: fault)

    with pytest.raises(error):
        RetryingStore(inner, QUICK).get(NAME)
    assert len(inner.history) == 1


@pytest.mark.parametrize("fault", [*TRANSIENT, Fault.LOST_REPLY])
def test_a_log_slot_is_sent_once(fault: Fault) -> None:
    """`put_if_absent` stays one attempt: only the commit client may say what a lost reply on a slot means."""
    inner = StrictStore(fault_at(fault, "put"))

    with pytest.raises(StoreError):
        RetryingStore(inner, QUICK).put_if_absent(slot_name(0), b"commit")
    assert inner.history == [("put", slot_name(0))]


@given(
    names=st.sets(st.integers(0, 60), min_size=1, max_size=40).map(sorted),
    bad=st.sets(st.integers(0, 60), max_size=10),
)
def test_a_list_resumes_after_the_last_name(names: list[int], bad: set[int]) -> None:
    """A list that breaks anywhere, any number of times, still gives every name once and in order."""
    inner = _BreakingList()
    for number in names:
        inner.put_if_absent(slot_name(number), b"x")
    inner.breaks_before = {slot_name(number) for number in bad}

    assert [info.name for info in RetryingStore(inner, QUICK).list("log/")] == list(map(slot_name, names))


class _BreakingList(StrictStore):
    """A list that fails once before each of some names, as a broken connection between two pages does."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks_before: set[str] = set()

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        for info in super().list(prefix, start_after):
            if info.name in self.breaks_before:
                self.breaks_before.remove(info.name)
                raise StoreError("the connection broke between two pages")
            yield info


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.SLOW_DOWN, Fault.LOST_REPLY, Fault.LATE])
def test_put_immutable_gets_through(fault: Fault) -> None:
    """Whether the first write never happened, happened unheard or happens late: the object is there at the end."""
    store = StrictStore(fault_at(fault, "put", times=2))

    put_immutable(store, NAME, DATA, policy=QUICK)

    assert store.get(NAME) == DATA


def test_put_immutable_takes_equal_bytes_for_success() -> None:
    """A 412 against our own earlier write is success: somebody stored exactly these bytes."""
    store = StrictStore()

    outcomes = [put_immutable(store, NAME, DATA, policy=QUICK) for _ in range(2)]

    assert outcomes == [PutOutcome.CREATED, PutOutcome.EXISTS]


def test_put_immutable_reports_other_bytes() -> None:
    """Other bytes under a digest's name are evidence, neither success nor something to overwrite."""
    store = StrictStore()
    store.plant(NAME, b"planted")

    with pytest.raises(VerificationFailed, match="holds other bytes"):
        put_immutable(store, NAME, DATA, policy=QUICK)
    assert store.get(NAME) == b"planted"


def test_put_immutable_gives_up_as_unknown() -> None:
    """When no reply ever comes, the caller learns that nothing is known."""
    store = StrictStore(lambda op, _name, _n: Fault.LATE if op == "put" else None)

    with pytest.raises(StoreUnknown):
        put_immutable(store, NAME, DATA, policy=RetryPolicy(2, 0.0001, 0.001, 5))


def test_put_immutable_settles_a_stale_404() -> None:
    """A store that says "exists" and "not there" about one name is asked again, not believed either way."""
    store = _StaleRead()
    store.put_if_absent(NAME, DATA)

    assert put_immutable(store, NAME, DATA, policy=QUICK) is PutOutcome.EXISTS
    assert [op for op, _ in store.history] == ["put", "put", "put", "get"]


class _StaleRead(StrictStore):
    """The first read misses what is there."""

    stale_reads = 1

    def get(self, name: str) -> bytes:
        if self.stale_reads:
            self.stale_reads -= 1
            raise BlobNotFound(name)
        return super().get(name)


def test_composed_store_counts_every_attempt() -> None:
    """The meter stands inside the retrying store: repeated requests are billed, so they are counted."""
    inner = StrictStore(fault_at(Fault.LOST_REPLY, "put"))
    store, meter = compose(inner)

    with pytest.raises(StoreUnknown):
        store.put_if_absent(slot_name(0), b"12345")
    assert store.get(slot_name(0)) == b"12345"
    assert store.get_range(slot_name(0), 1, 2) == b"23"
    assert [info.size_bytes for info in store.list("log/")] == [5]
    store.delete("probe/none")

    assert meter.traffic() == Traffic(puts=1, gets=2, lists=1, deletes=1, up_bytes=5, down_bytes=7)
    assert meter.traffic().requests() == {"put": 1, "get": 2, "list": 1, "delete": 1}
    assert meter.traffic().bytes() == {"up": 5, "down": 7}


def test_meter_counts_list_pages() -> None:
    """A list of 2,001 names is three requests of a thousand."""
    inner = StrictStore()
    for number in range(2001):
        inner.plant(slot_name(number), b"x")
    meter = MeteredStore(inner)

    assert len(list(meter.list("log/"))) == 2001
    assert meter.traffic().lists == 3
