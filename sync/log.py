"""Reading the log: fetch, judge and pin every slot, and refuse a bucket that takes back what it showed."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

from crypto.errors import BlobNotFound, FormatBroken, StoreError, VerificationFailed
from crypto.signatures_ahead import SignaturesAhead
from store.blobs import BlobStore
from store.commits import commit_hash, parse, signature_holds
from store.names import LOG, slot_name, slot_seq
from sync.replica import JudgedSlot, Replica, Slot
from sync.signed_ahead import SignedAhead
from sync.validity import Ahead, LogPoint, Verdict, judge

hole_witnesses_max = 64  # slots past a hole that are read to tell a lost commit from a stranger's files
read_ahead_slots_min = 64  # so many new slots are worth a look at the segments; a daily poll has fewer
judged_at_once = 256  # of a run: more would only keep the collector busy
SlotSeen = Callable[[int, Verdict], None]


def batched(run: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """A run in pieces of at most `size`."""
    return (run[start : start + size] for start in range(0, len(run), size))


class LogReader:
    """A team's log in a bucket, as this device has verified it so far."""

    def __init__(self, store: BlobStore, replica: Replica, evidence: Path) -> None:
        self._store = store
        self._replica = replica
        self._evidence = evidence
        self._point = LogPoint()
        self._point_seq: int | None = None  # the newest slot that `_point` has taken in
        self.read_ahead: Callable[[SlotSeen | None], int] | None = (
            None  # a faster way over many slots at once
        )

    @property
    def point(self) -> LogPoint:
        """The newest verified point; folded again when another process of this home has read further meanwhile."""
        newest = self._replica.newest_seq()
        if newest != self._point_seq:
            self._point, self._point_seq = self._replica.point(), newest
        return self._point

    @property
    def next_seq(self) -> int:
        """The slot after the highest occupied one we know of."""
        newest = self._replica.newest_seq()
        return newest + 1 if newest is not None else 0

    def catch_up(self, on_slot: SlotSeen | None = None) -> int:
        """Read on until a slot is absent; the number of new slots. One GET when nothing is new.

        Each slot is pinned in its own transaction: a kill loses at most the slot in hand, which is read again.
        """
        came = 0
        while (data := self.fetch(seq := self.next_seq)) is not None:
            verdict = self._take(seq, data)
            if verdict is not None and on_slot is not None:
                on_slot(seq, verdict)
            came += 1
        return came

    def _take(self, seq: int, data: bytes) -> Verdict | None:
        """Judge and pin the bytes of the next slot; None when another process of this home pinned the same meanwhile.

        In one transaction from the look at the pins to the new pin: judged at a stale point, a good commit would be
        pinned as void for ever.
        """
        with self._replica.transaction():
            pinned = self._replica.slot(seq)
            if pinned is not None:
                if pinned.data != data:
                    raise self._rolled_back(seq, pinned.data, data)
                return None
            point = self.point
            verdict = judge(point, self._replica, seq, data)
            if verdict.commit is None:
                self._read_twice(seq, data)
            self._replica.accept([JudgedSlot(seq, commit_hash(data), data, verdict, point.prev)])
        self._point, self._point_seq = verdict.point, seq
        return verdict

    def take_run(
        self,
        first: int,
        run: Sequence[bytes],
        on_slot: SlotSeen | None = None,
        ahead: SignaturesAhead | None = None,
    ) -> int:
        """Judge and pin, in one transaction, slots `first` … that came from elsewhere than the log; the number of new ones.

        Proven to be the log's before they are pinned: the newest valid one is compared with its slot, and vouches by `prev` for
        every valid one before it; a void one is vouched for by nobody and compared itself. VerificationFailed otherwise, and
        nothing is pinned.
        """
        with self._replica.transaction():
            point, came, newest, signed = self.point, 0, None, SignedAhead(ahead)
            start = self.next_seq
            signed.expect(point.roster, run[start - first : start - first + judged_at_once])
            for some, next_ones in pairwise([*batched(run[start - first :], judged_at_once), ()]):
                signed.expect(point.roster, next_ones)
                judged = self._judge_run(point, start, some, signed, presume_new=True)
                if not self._replica.accept_if_new(judged):  # somebody repeats: then each is asked for
                    judged = self._judge_run(point, start, some, signed, presume_new=False)
                    self._replica.accept(judged)
                point, came, start = judged[-1].verdict.point, came + len(judged), start + len(judged)
                newest = next((slot for slot in reversed(judged) if slot.verdict.commit is not None), newest)
                if on_slot is not None:
                    on_slot(judged[-1].seq, judged[-1].verdict)
            if newest is not None:
                self._require_same(newest.seq, newest.data)
        if came:
            self._point, self._point_seq = point, start - 1
        return came

    def _judge_run(
        self, point: LogPoint, first: int, run: Sequence[bytes], signed: SignedAhead, *, presume_new: bool
    ) -> list[JudgedSlot]:
        judged, memory = [], Ahead(self._replica, presume_new)
        for seq, data in enumerate(run, first):
            verdict = judge(point, memory, seq, data, signed=signed.holds)
            if verdict.commit is None:
                self._require_same(seq, data)
            judged.append(JudgedSlot(seq, commit_hash(data), data, verdict, point.prev))
            point = verdict.point
        return judged

    def _require_same(self, seq: int, data: bytes) -> None:
        if self.fetch(seq) != data:
            raise VerificationFailed(slot_name(seq), "is not what the segment says it is")

    def _read_twice(self, seq: int, data: bytes) -> None:
        """Refuse to pin as void what one torn answer showed: a valid commit vouches for its bytes, a void slot cannot."""
        if self.fetch(seq) != data:
            raise StoreError(
                f"{slot_name(seq)} reads differently each time",
                hint="the network or the store garbles answers: run the sync again",
            )

    def refresh(self, on_slot: SlotSeen | None = None) -> int:
        """Check the pinned head, read on, and refuse a hole. 2 GETs and 1 LIST when nothing is new.

        A roll-back, a fork or a restored backup all show at the head: what lies past the oldest lost slot is not ours any
        more. A slot that is absent below a later one is withheld or lost; filling it would fork the team.
        """
        self.require_head()
        came, listed = self._ahead(on_slot)
        came += self.catch_up(on_slot)
        beyond = (seq for seq in listed if seq >= self.next_seq)
        witness = next(filter(self._is_commit, islice(beyond, hole_witnesses_max)), None)
        if witness is not None:
            raise VerificationFailed(
                slot_name(self.next_seq),
                f"is missing, though slot {witness} exists",
                hint="the bucket lost or hides a commit; do not write to it, run `tapes verify` on every device",
            )
        return came

    def require_head(self) -> None:
        """VerificationFailed, with evidence, unless the bucket has the newest slot that this device pinned. One GET.

        Asked before every write, too: a server that comes back with last night's data while a long upload, or a crash, lies
        between would else take a slot above a hole, and with that for its pinned head this device would see no roll-back.
        """
        head = self._replica.head()
        if head is not None and (found := self._fetch_pinned(head)) != head.data:
            raise self._rolled_back(head.seq, head.data, found)

    def expect(self, team: bytes, seq: int, slot_hash: bytes) -> None:
        """After catching up: refuse a log that is not the team a link or code speaks of, or lacks the head it was made at."""
        roster = self.point.roster
        if roster is None or roster.team != team:
            raise VerificationFailed(
                slot_name(0),
                "is not the genesis of the team in the link",
                hint="check the bucket and prefix with who made the link",
            )
        slot = self._replica.slot(seq)
        if slot is None or slot.sha256 != slot_hash:
            raise VerificationFailed(
                slot_name(seq),
                "is not the commit the link was made at",
                hint="the bucket was rolled back or forked: tell the team",
            )

    def _ahead(self, on_slot: SlotSeen | None) -> tuple[int, list[int]]:
        """Slots taken in from elsewhere, when many are new, and the numbers of those that then lie past our head."""
        listed = self._listed_after(self._replica.newest_seq())
        if self.read_ahead is None:
            return 0, list(listed)
        some = list(islice(listed, read_ahead_slots_min))
        if len(some) < read_ahead_slots_min:
            return 0, some
        came = self.read_ahead(on_slot)
        return came, list(self._listed_after(self._replica.newest_seq()))

    def _listed_after(self, after: int | None) -> Iterator[int]:
        names = self._store.list(LOG, slot_name(after) if after is not None else "")
        return (seq for info in names if (seq := slot_seq(info.name)) is not None)

    def _is_commit(self, seq: int) -> bool:
        """Whether a slot past a hole was written by somebody who had read up to it: a device of the team, signing that number.

        Otherwise a stranger's file at a far number would stop the team, where garbage may cost one number at most.
        """
        data, roster = self.fetch(seq), self.point.roster
        if data is None or roster is None:
            return data is not None
        try:
            commit = parse(data, slot_name(seq))
        except FormatBroken:
            return False
        device = roster.devices.get(bytes.fromhex(commit.device))
        signed = device is not None and signature_holds(commit.model_dump(), device.keys.ed25519)
        return signed and (commit.team, commit.seq) == (roster.team.hex(), seq)

    def holds_pinned(self, pinned: Slot) -> bool:
        """Whether the bucket has a pinned slot; VerificationFailed, with evidence, when it has other bytes there."""
        found = self._fetch_pinned(pinned)
        if found is not None and found != pinned.data:
            raise self._rolled_back(pinned.seq, pinned.data, found)
        return found is not None

    def _fetch_pinned(self, head: Slot) -> bytes | None:
        """The pinned slot as the bucket has it; asked a second time before anybody is accused."""
        found = self.fetch(head.seq)
        return found if found == head.data else self.fetch(head.seq)

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
