"""A bucket in memory that is linearisable, fails the test itself on misuse, and breaks on purpose at a chosen request.

A schedule `(op, name, n) -> Fault | None` is asked before every request; `op` is "put", "projection", "get", "range", "list" or
"delete", `n` counts all requests from 0. The same schedule and the same calls give the same run.
"""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from crypto.errors import BlobNotFound, StoreError, StoreRefused, StoreUnknown
from store.blobs import BlobInfo, PutOutcome, check_put, check_range, is_name
from store.names import LOG, PREFIX_OF_KIND, PROBE

late_write_requests = 3  # a late write lands this many requests after it was sent


class Fault(Enum):
    """What goes wrong with one request. Each belongs to the operations named in `_OPS_OF_FAULT`."""

    BEFORE = "fails before anything happens"
    SLOW_DOWN = "throttled before anything happens"
    REFUSED = "403"
    LOST_REPLY = "happens, and the reply is lost"
    LATE = "the reply is lost, and it happens some requests later"
    LOSE = "acknowledged, and never stored"
    IGNORE_PRECONDITION = "overwrites and says created"
    TORN = "half the bytes, presented as all"
    FLIP = "one bit turned"
    STALE = "a list that misses the newest object"
    FORBIDDEN_IF_MISSING = "403 instead of 404 for what is not there"


_ANY = frozenset({"put", "projection", "get", "range", "list", "delete"})
_WRITES = frozenset({"put", "projection"})
_READS = frozenset({"get", "range"})
_OPS_OF_FAULT = {
    Fault.BEFORE: _ANY,
    Fault.SLOW_DOWN: _ANY,
    Fault.REFUSED: _ANY,
    Fault.LOST_REPLY: _WRITES | {"delete"},
    Fault.LATE: _WRITES,
    Fault.LOSE: _WRITES,
    Fault.IGNORE_PRECONDITION: frozenset({"put"}),
    Fault.TORN: _READS,
    Fault.FLIP: _READS,
    Fault.STALE: frozenset({"list"}),
    Fault.FORBIDDEN_IF_MISSING: _READS,
}
Schedule = Callable[[str, str, int], Fault | None]

# DESIGN §4: what lies where. Only projections may be overwritten.
_BY_DIGEST = tuple(PREFIX_OF_KIND.values())
_IMMUTABLE = (LOG, *_BY_DIGEST, "segments/", "checkpoints/", PROBE, "links/")
_PROJECTIONS = re.compile(r"(?:tile/.*|checkpoint)\Z")
_DIGEST_NAME = re.compile(r"[a-z]+/[0-9]{12}/([0-9a-f]{64})\Z")


class Misuse(AssertionError):
    """The client did what no client may do. Not a TapesError: nothing but the test catches it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All objects at one moment, in the order of their creation."""

    objects: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class _Late:
    due: int
    name: str
    data: bytes
    overwrite: bool


def no_faults(_op: str, _name: str, _n: int) -> Fault | None:
    """The schedule of a store that works."""
    return None


def fault_at(fault: Fault, op: str, prefix: str = "", *, times: int = 1) -> Schedule:
    """A schedule: the next `times` requests `op` on names under `prefix` go wrong, later ones do not."""
    left = [times]

    def schedule(asked: str, name: str, _n: int) -> Fault | None:
        if asked != op or not name.startswith(prefix) or left[0] == 0:
            return None
        left[0] -= 1
        return fault

    return schedule


class StrictStore:
    """The fake. `misuses` also records what a thread of the client may have swallowed."""

    def __init__(self, schedule: Schedule = no_faults) -> None:
        self.schedule = schedule
        self.history: list[tuple[str, str]] = []  # (op, name) of every request
        self.misuses: list[str] = []
        self._objects: dict[str, bytes] = {}  # in order of creation
        self._late: list[_Late] = []
        self._lock = threading.Lock()

    def describe(self) -> str:
        """One word; the fake is nowhere."""
        return f"strict:{id(self):x}"

    def snapshot(self) -> Snapshot:
        """Everything stored now; late writes still under way are not part of it."""
        with self._lock:
            return Snapshot(tuple(self._objects.items()))

    def restore(self, snapshot: Snapshot) -> None:
        """Roll the bucket back (or forward) to a snapshot, as a hostile or a restored server would."""
        with self._lock:
            self._objects = dict(snapshot.objects)
            self._late = []

    def fork(self) -> "StrictStore":
        """A second bucket with the same past: two clients who are shown different tails."""
        twin = StrictStore()
        twin.restore(self.snapshot())
        return twin

    def plant(self, name: str, data: bytes | None) -> None:
        """Change what is stored behind every client's back; None removes it."""
        with self._lock:
            self._objects.pop(name, None)
            if data is not None:
                self._objects[name] = data

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """As the port says, or as the schedule says."""
        self._check_write(name, data)
        with self._lock:
            fault = self._begin("put", name)
            if fault is Fault.LATE:
                raise self._send_late(name, data, overwrite=False)
            if fault is Fault.LOSE:
                return PutOutcome.CREATED
            overwrite = fault is Fault.IGNORE_PRECONDITION
            outcome = self._store(name, data, overwrite=overwrite)
            if fault is Fault.LOST_REPLY:
                raise _lost_reply(name)
            return outcome

    def put_projection(self, name: str, data: bytes) -> None:
        """As the port says, or as the schedule says; only for names that may be overwritten."""
        self._check_write(name, data)
        if not _PROJECTIONS.match(name):
            raise self._misuse(f"{name}: an immutable name was written without a precondition")
        with self._lock:
            fault = self._begin("projection", name)
            if fault is Fault.LATE:
                raise self._send_late(name, data, overwrite=True)
            if fault is Fault.LOSE:
                return
            self._store(name, data, overwrite=True)
            if fault is Fault.LOST_REPLY:
                raise _lost_reply(name)

    def get(self, name: str) -> bytes:
        """As the port says, or as the schedule says."""
        self._check_known(name)
        with self._lock:
            fault = self._begin("get", name)
            return _damaged(self._find(name, fault), fault)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """As the port says, or as the schedule says."""
        self._check_known(name)
        check_range(name, offset, length)
        with self._lock:
            fault = self._begin("range", name)
            data = self._find(name, fault)
        if offset + length > len(data):
            raise StoreRefused(f"{name}: has {len(data)} bytes, asked for {length} from {offset}")
        return _damaged(data[offset : offset + length], fault)

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """As the port says, or as the schedule says; one request, made when the first name is asked for."""
        with self._lock:
            fault = self._begin("list", prefix)
            names = [name for name in self._objects if name.startswith(prefix)]
            if fault is Fault.STALE:
                names = names[:-1]
            found = [BlobInfo(name, len(self._objects[name])) for name in sorted(names) if name > start_after]
        yield from found

    def delete(self, name: str) -> None:
        """As the port says, or as the schedule says; never a log slot."""
        self._check_known(name)
        if name.startswith(LOG):
            raise self._misuse(f"{name}: a log slot was deleted")
        with self._lock:
            fault = self._begin("delete", name)
            self._objects.pop(name, None)
            if fault is Fault.LOST_REPLY:
                raise StoreError(f"{name}: the reply was lost")

    def _begin(self, op: str, name: str) -> Fault | None:
        """Count the request, let late writes land, and fail if it is this one's turn to fail before acting."""
        number = len(self.history)
        self.history.append((op, name))
        self._land_late_writes(number)
        fault = self.schedule(op, name, number)
        if fault is None:
            return None
        if op not in _OPS_OF_FAULT[fault]:
            raise self._misuse(f"the schedule asks for {fault} on {op}")
        if fault is Fault.BEFORE:
            raise StoreError(f"{name}: connection refused")
        if fault is Fault.SLOW_DOWN:
            raise StoreError(f"{name}: the store answered 503 SlowDown")
        if fault is Fault.REFUSED:
            raise StoreRefused(f"{name}: the store answered 403 AccessDenied")
        return fault

    def _store(self, name: str, data: bytes, *, overwrite: bool) -> PutOutcome:
        if name in self._objects and not overwrite:
            return PutOutcome.EXISTS
        self._objects[name] = data
        return PutOutcome.CREATED

    def _find(self, name: str, fault: Fault | None) -> bytes:
        if name in self._objects:
            return self._objects[name]
        if fault is Fault.FORBIDDEN_IF_MISSING:
            raise StoreRefused(f"{name}: the store answered 403 AccessDenied")
        raise BlobNotFound(f"{name}: the store answered 404 NoSuchKey")

    def _send_late(self, name: str, data: bytes, *, overwrite: bool) -> StoreUnknown:
        self._late.append(_Late(len(self.history) + late_write_requests - 1, name, data, overwrite))
        return _lost_reply(name)

    def _land_late_writes(self, number: int) -> None:
        landing = [late for late in self._late if late.due <= number]
        self._late = [late for late in self._late if late.due > number]
        for late in landing:
            self._store(late.name, late.data, overwrite=late.overwrite)

    def _check_write(self, name: str, data: bytes) -> None:
        self._check_known(name)
        if not data:
            raise self._misuse(f"{name}: an empty object was written")
        check_put(name, data)
        digest = _DIGEST_NAME.match(name)
        if name.startswith(_BY_DIGEST) and not (digest and digest[1] == sha256(data).hexdigest()):
            raise self._misuse(f"{name}: is not <kind>/<base>/<SHA-256 of the bytes>")

    def _check_known(self, name: str) -> None:
        if not is_name(name):
            raise self._misuse(f"{name!r}: is no object name")
        if not name.startswith(_IMMUTABLE) and not _PROJECTIONS.match(name):
            raise self._misuse(f"{name}: is under no prefix of the design")

    def _misuse(self, what: str) -> Misuse:
        self.misuses.append(what)
        return Misuse(what)


def _lost_reply(name: str) -> StoreUnknown:
    return StoreUnknown(f"{name}: the reply was lost")


def _damaged(data: bytes, fault: Fault | None) -> bytes:
    if fault is Fault.TORN:
        return data[: len(data) // 2]
    if fault is Fault.FLIP:
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    return data
