"""The commit client: one slot, one attempt, and then only that slot decides (DESIGN §4 "A 412 is not 'I lost'").

journal the bytes and their slot (fsynced)  →  PUT if absent  →  read the slot and pin it, whatever the answer was
    equal bytes      committed, whatever the reply said
    different bytes  lost for good: read on, draft again for the next number, same commit id
    absent (404)     send the same bytes to the same slot again
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_bytes

from crypto.errors import StoreError, StoreUnknown, TapesError
from store.blobs import BlobStore
from store.limits import commit_attempts_max
from store.names import slot_name
from sync.drafts import DraftContext
from sync.identity import Identity
from sync.log import LogReader
from sync.replica import JournalEntry, Replica
from sync.validity import judge

lost_race_wait_seconds_max = 2.0
same_slot_attempts_max = 8
same_slot_wait_seconds = 0.25

Drafter = Callable[[DraftContext], bytes | None]
Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Committed:
    """Where a commit landed, and how many races it lost on the way."""

    seq: int
    lost_races: int


class Committer:
    """Puts this device's commits into the log, one at a time."""

    def __init__(
        self,
        store: BlobStore,
        replica: Replica,
        log: LogReader,
        identity: Identity,
        clock_ms: Clock = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._replica = replica
        self._log = log
        self._identity = identity
        self._clock_ms = clock_ms
        self._sleep = sleep

    def now_ms(self) -> int:
        """This device's clock, milliseconds since 1970."""
        return self._clock_ms()

    def resume(self) -> int | None:
        """Settle the attempt a crash interrupted: its slot if it landed (now or then), None if lost or there is none.

        Must run before anything new is drafted: a late write of the old bytes may yet arrive, and be committed twice.
        VerificationFailed, and nothing is written, when the bucket was rolled back meanwhile.
        """
        entry = self._replica.journal()
        if entry is None:
            return None
        self._log.require_head()
        self._log.catch_up()
        if self._log.next_seq == entry.seq:
            won = self._settle(entry.seq, entry.data)
        else:
            slot = self._replica.slot(entry.seq)
            won = slot is not None and slot.data == entry.data
        self._replica.journal_write(None)
        return entry.seq if won else None

    def commit(self, drafter: Drafter) -> Committed | None:
        """Draft, put, and on a lost race draft again. None when a new draft finds nothing left to say.

        `drafter` is called once per point of the log; it raises when the author may no longer say this. VerificationFailed, and
        nothing is written, when the bucket was rolled back.
        """
        commit_id = token_bytes(16)
        self._log.require_head()
        for lost in range(commit_attempts_max):
            self._log.catch_up()
            seq = self._log.next_seq
            context = DraftContext(self._log.point, seq, commit_id, self._clock_ms(), self._identity)
            data = drafter(context)
            if data is None:
                return None
            self._refuse_void(seq, data)
            # A kill after this line: resume() reads the slot and finishes or forgets the attempt.
            self._replica.journal_write(JournalEntry(seq, data))
            won = self._settle(seq, data)
            self._replica.journal_write(None)
            if won:
                return Committed(seq, lost)
            # Full jitter: losers that wait alike would only meet again.
            self._sleep(random.uniform(0, min(lost_race_wait_seconds_max, 0.02 * 2 ** min(lost, 10))))  # noqa: S311 - no secret
        raise StoreError(
            f"lost {commit_attempts_max} races for the log",
            hint="many devices are writing; run the sync again in a minute",
        )

    def _refuse_void(self, seq: int, data: bytes) -> None:
        """Never send what we ourselves would judge void: that is a bug or a lost right, not a race."""
        verdict = judge(self._log.point, _Forgetful(self._replica), seq, data)
        if verdict.commit is None:
            raise TapesError(
                f"this device's commit would be void: {verdict.void_reason}",
                hint="if you were removed or your device revoked, ask the team; otherwise report a bug",
            )

    def _settle(self, seq: int, data: bytes) -> bool:
        """Put `data` into slot `seq` until the slot is occupied and pinned; whether by us.

        What is pinned decides, not the reply: "created" may come from a store that lost the object, "exists" from a write
        of our own, and one garbled read must not make us say the same thing twice.
        """
        for _ in range(same_slot_attempts_max):
            with suppress(
                StoreUnknown
            ):  # perhaps written, perhaps not, perhaps still on its way: only the slot can tell
                self._store.put_if_absent(slot_name(seq), data)
            self._log.catch_up()
            slot = self._replica.slot(seq)
            if slot is not None:
                return slot.data == data
            self._sleep(same_slot_wait_seconds)
        raise StoreUnknown(
            f"{slot_name(seq)} stays absent after {same_slot_attempts_max} attempts",
            hint="the bucket does not answer writes; run the sync again later, it goes on from here",
        )


class _Forgetful:
    """The replica as the judge's memory, for a trial judgement that must leave no trace."""

    def __init__(self, replica: Replica) -> None:
        self.has_commit = replica.has_commit
        self.is_named = replica.is_named

    def remember(self, commit: object) -> None:
        """Nothing."""
