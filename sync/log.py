"""Reading the log: fetch, judge and pin every slot, and refuse a bucket that takes back what it showed."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from crypto.errors import BlobNotFound, VerificationFailed
from store.blobs import BlobStore
from store.commits import commit_hash
from store.names import LOG, slot_name, slot_seq
from sync.replica import Replica
from sync.validity import LogPoint, Verdict, judge

SlotSeen = Callable[[int, Verdict], None]


class LogReader:
    """A team's log in a bucket, as this device has verified it so far."""

    def __init__(self, store: BlobStore, replica: Replica, evidence: Path) -> None:
        self._store = store
        self._replica = replica
        self._evidence = evidence
        self._point: LogPoint | None = None

    @property
    def point(self) -> LogPoint:
        """The newest verified point."""
        if self._point is None:
            self._point = self._replica.point()
        return self._point

    @property
    def next_seq(self) -> int:
        """The slot after the highest occupied one we know of."""
        head = self._replica.head()
        return head.seq + 1 if head is not None else 0

    def catch_up(self, on_slot: SlotSeen | None = None) -> int:
        """Read on until a slot is absent; the number of new slots. One GET when nothing is new.

        Each slot is pinned in its own transaction: a kill loses at most the slot in hand, which is read again.
        """
        came = 0
        while (data := self.fetch(self.next_seq)) is not None:
            self.take(self.next_seq, data, on_slot)
            came += 1
        return came

    def take(self, seq: int, data: bytes, on_slot: SlotSeen | None = None) -> Verdict:
        """Judge and pin the bytes of the next slot."""
        point = self.point
        verdict = judge(point, self._replica, seq, data)
        self._replica.accept(commit_hash(data), seq, data, verdict, point.prev)
        self._point = verdict.point
        if on_slot is not None:
            on_slot(seq, verdict)
        return verdict

    def refresh(self, on_slot: SlotSeen | None = None) -> int:
        """Check the pinned head, read on, and refuse a hole. 2 GETs and 1 LIST when nothing is new.

        A roll-back, a fork or a restored backup all show at the head: what lies past the oldest lost slot is not ours any
        more. A slot that is absent below a later one is withheld or lost; filling it would fork the team.
        """
        head = self._replica.head()
        if head is not None:
            found = self.fetch(head.seq)
            if found is None or sha256(found).digest() != head.sha256:
                raise self._rolled_back(head.seq, head.data, found)
        listed = self._highest_listed(head.seq if head is not None else None)
        came = self.catch_up(on_slot)
        if listed >= self.next_seq:
            raise VerificationFailed(
                slot_name(self.next_seq),
                f"is missing, though slot {listed} exists",
                hint="the bucket lost or hides a commit; do not write to it, run `tapes verify` on every device",
            )
        return came

    def _highest_listed(self, after: int | None) -> int:
        names = self._store.list(LOG, slot_name(after) if after is not None else "")
        return max((seq for info in names if (seq := slot_seq(info.name)) is not None), default=-1)

    def fetch(self, seq: int) -> bytes | None:
        """A slot's bytes, None only for a 404."""
        try:
            return self._store.get(slot_name(seq))
        except BlobNotFound:
            return None

    def _rolled_back(self, seq: int, pinned: bytes, found: bytes | None) -> VerificationFailed:
        """Keep both versions: together they are the proof that the bucket showed two histories."""
        self._evidence.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._evidence / f"log-{seq:012d}-pinned").write_bytes(pinned)
        if found is not None:
            (self._evidence / f"log-{seq:012d}-found").write_bytes(found)
        problem = "is gone" if found is None else "is different"
        return VerificationFailed(
            slot_name(seq),
            f"{problem}: this device verified other bytes there before",
            hint=f"the bucket was rolled back, forked or restored; evidence is kept in {self._evidence}",
        )
