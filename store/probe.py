"""The put-if-absent probe: whether a store may carry a team, found out by what it does and not by its name (DESIGN §4).

Some S3-likes answer 200 and ignore `If-None-Match`, so that every racer "wins"; others check and then write without a lock, and
sometimes two win. Two winners of one log slot would split a team for ever, so a store is raced before the first commit.

Decided per raced object, 16 writers with different bytes: more than one CREATED, or stored bytes that are not the winner's, is
fatal. No CREATED at all is fine if one of the racers' bytes is there: a proxy's own retry reports 412 against its own success,
and a reply may get lost; the commit protocol reads back in both cases.
"""

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Final

from crypto.errors import BlobNotFound, StoreError, StoreRefused, StoreUnknown, StoreUntrusted
from store.blobs import BlobStore, PutOutcome
from store.limits import KIB, probe_rounds, probe_writers
from store.names import probe_name

probe_objects_per_round: Final = (
    4  # the racers meet at a barrier once a round, then run into each other three times more
)
probe_body_bytes: Final = 16 * KIB  # a body to receive widens the gap between a check and its write
probe_token_bytes: Final = 16
barrier_wait_s_max: Final = 60
# Bytes that look like the framing of `aws-chunked`: some stores decode it, some keep it (sync.md §2.3).
_FRAMING: Final = b"5\r\nfirst\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
_HINT: Final = "use a store whose PUT honours If-None-Match: * atomically (docs/providers.md)"


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """A passed probe. `unknown` counts lost replies and 409s among the racers; `notes` are findings that forbid nothing."""

    store: str  # as the store describes itself
    writers: int
    raced_objects: int
    unknown: int
    notes: tuple[str, ...]


def probe_put_if_absent(
    store: BlobStore, *, writers: int = probe_writers, rounds: int = probe_rounds
) -> ProbeReport:
    """Try the store with throw-away objects under `probe/`; pass it the bare store.

    Raises StoreUntrusted, with the reason, if it cannot carry a team, and any other StoreError as it comes: a store that
    refuses or does not answer has neither passed nor failed.
    """
    token = secrets.token_hex(probe_token_bytes)
    single = probe_name(f"{token}-single")
    raced = [
        [probe_name(f"{token}-{number}-{each}") for each in range(probe_objects_per_round)]
        for number in range(rounds)
    ]
    names = [single, *(name for group in raced for name in group)]
    notes: list[str] = []
    try:
        _check_sequence(store, single)
        unknown = sum(_race(store, group, writers) for group in raced)
        notes += _check_list(store, probe_name(token), names)
    finally:
        notes += _clean_up(store, names)
    return ProbeReport(store.describe(), writers, len(names) - 1, unknown, tuple(notes))


def _check_sequence(store: BlobStore, name: str) -> None:
    """One writer: created, read back alike, read in part, and a second writer told so without effect."""
    data = _FRAMING + secrets.token_bytes(KIB) + b"\r\n"
    if store.put_if_absent(name, data) is not PutOutcome.CREATED:
        raise _untrusted(store, "it says that a new random name exists already")
    _check_holds(store, name, data, "it does not give back the bytes it was given")
    part = store.get_range(name, 3, len(_FRAMING))
    if part != data[3 : 3 + len(_FRAMING)]:
        raise _untrusted(store, "it answers a range read with other bytes")
    if store.put_if_absent(name, secrets.token_bytes(KIB)) is not PutOutcome.EXISTS:
        raise _untrusted(
            store, "it lets a second writer create an object that exists: it ignores If-None-Match"
        )
    _check_holds(store, name, data, "it says that an object exists and overwrites it all the same")


def _check_holds(store: BlobStore, name: str, data: bytes, why_not: str) -> None:
    try:
        stored = store.get(name)
    except BlobNotFound as error:
        raise _untrusted(
            store, "it acknowledges a write and then says that the object is not there"
        ) from error
    if stored != data:
        raise _untrusted(store, why_not)


def _race(store: BlobStore, names: list[str], writers: int) -> int:
    """All writers create all names at once, each with its own bytes. Returns how many replies were unknown."""
    bodies = [secrets.token_bytes(probe_body_bytes) for _ in range(writers)]
    start = Barrier(writers)
    with ThreadPoolExecutor(writers) as pool:
        runs = [pool.submit(_create_all, store, names, body, start) for body in bodies]
        outcomes = [run.result() for run in runs]
    for number, name in enumerate(names):
        _judge(store, name, bodies, [each[number] for each in outcomes])
    return sum(each is None for run in outcomes for each in run)


def _create_all(store: BlobStore, names: list[str], body: bytes, start: Barrier) -> list[PutOutcome | None]:
    start.wait(barrier_wait_s_max)
    return [_create(store, name, body) for name in names]


def _create(store: BlobStore, name: str, body: bytes) -> PutOutcome | None:
    """None: whether it was written is not known. A store that throttles 16 writers is slow, not wrong."""
    try:
        return store.put_if_absent(name, body)
    except StoreRefused:
        raise
    except StoreError:
        return None


def _judge(store: BlobStore, name: str, bodies: list[bytes], outcomes: list[PutOutcome | None]) -> None:
    winners = [body for body, outcome in zip(bodies, outcomes, strict=True) if outcome is PutOutcome.CREATED]
    if len(winners) > 1:
        why = f"{len(winners)} of {len(bodies)} writers were each told that they had created the same object"
        raise _untrusted(store, why)
    try:
        stored = store.get(name)
    except BlobNotFound as error:
        if None in outcomes and not winners:
            raise StoreUnknown(
                f"{store.describe()}: no probe write got through",
                hint="the store is busy or unreachable: try again in a while",
            ) from error
        raise _untrusted(
            store, "it told writers that an object exists and then that it is not there"
        ) from error
    if stored not in (winners or bodies):
        raise _untrusted(store, "after a race it holds other bytes than the winner's")


def _check_list(store: BlobStore, prefix: str, names: list[str]) -> list[str]:
    """A list may be stale, so a missing name is only worth a note: a client finds the log's head by reads."""
    listed = {info.name for info in store.list(prefix)}
    missing = len(set(names) - listed)
    return [f"list after write left out {missing} of {len(names)} objects"] if missing else []


def _clean_up(store: BlobStore, names: list[str]) -> list[str]:
    """Best effort: credentials that may not delete are a good idea, and what stays is small random bytes."""
    for done, name in enumerate(names):
        try:
            store.delete(name)
        except StoreError:  # the next would fail alike, and on a dead network each would wait for its timeout
            return [f"{len(names) - done} probe objects could not be deleted; they are harmless"]
    return []


def _untrusted(store: BlobStore, why: str) -> StoreUntrusted:
    return StoreUntrusted(f"{store.describe()} cannot carry a team: {why}", hint=_HINT)
