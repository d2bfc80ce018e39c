"""A member's client of one team's bucket: its log, keys, objects and commits in one place."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from crypto.errors import KeyNeeded, VerificationFailed
from crypto.identities import derive_seed
from store.blobs import BlobStore
from store.commits import Commit, Leaf, ObjectRef, parse
from store.names import slot_name
from store.probe import probe_put_if_absent
from sync.cache import ObjectCache
from sync.chains import Chains
from sync.committer import Committed, Committer, Drafter
from sync.home_lock import HomeLock
from sync.identity import Identity
from sync.keychain import Keychain
from sync.log import LogReader
from sync.replica import Replica
from sync.roster import Roster
from sync.segments import SegmentReader
from sync.shelves import FolderShelf, MemoryShelf

_TAG_KEY_LABEL = b"tapes/v0/local-tags"
note_probe_passed = "probe-passed"


@dataclass(frozen=True, slots=True)
class ClientPaths:
    """Where a client keeps its files: the replica, the ciphertext cache (None: in memory), evidence against a bucket.

    `keeps_frames`: whether the cache may hold what was said, too, or manifests only and frames in memory.
    """

    replica: Path
    cache: Path | None
    evidence: Path
    keeps_frames: bool = True


class Client:
    """Opens lazily what needs the network: making a client makes no request."""

    def __init__(
        self, identity: Identity, store: BlobStore, paths: ClientPaths, lock: HomeLock | None = None
    ) -> None:
        """`lock` is the home's, when its owner holds it for more than this client does."""
        self.identity = identity
        self.store = store
        self.replica = Replica.open(paths.replica, derive_seed(identity.device.box_seed, _TAG_KEY_LABEL))
        self.log = LogReader(store, self.replica, paths.evidence)
        self.committer = Committer(store, self.replica, self.log, identity)
        self.keychain = Keychain([identity.device])
        shelf = FolderShelf(paths.cache) if paths.cache else MemoryShelf()
        self.cache = ObjectCache(store, shelf, shelf if paths.keeps_frames else MemoryShelf())
        self.segments = SegmentReader(store, self.replica, self.cache, self.log)
        self.log.read_ahead = self.segments.read_ahead
        self._lock = lock or HomeLock(paths.replica.with_suffix(".lock"))
        self.tag_keys: dict[
            str, dict[bytes, bytes]
        ] = {}  # manifest → conversation → K_tag, as far as looked up
        self.chains = Chains(self.replica.leaves)
        self.clear_leaves: dict[
            int, list[Leaf]
        ] = {}  # by slot, of manifests not taken in, as far as looked up
        self.missed: dict[
            str, VerificationFailed
        ] = {}  # manifests, by name, that the newest pull could not have
        self._parsed: tuple[int, Commit] | None = None  # a manifest's frames are all asked of one commit

    def close(self) -> None:
        """Close the replica."""
        self.replica.close()

    def alone(self) -> AbstractContextManager[None]:
        """Be the only process of this home that reads or writes the log: two would draft for the same slot and journal."""
        return self._lock.held()

    @property
    def roster(self) -> Roster:
        """The team as of the newest verified point; KeyNeeded before there is a team."""
        roster = self.log.point.roster
        if roster is None:
            raise KeyNeeded(
                "this home belongs to no team yet", hint="tapes team create NAME, or tapes team join LINK"
            )
        return roster

    def commit_at(self, seq: int) -> Commit:
        """A valid commit by its slot, from the replica."""
        if self._parsed is None or self._parsed[0] != seq:
            slot = self.replica.slot(seq)
            if slot is None:
                raise VerificationFailed(slot_name(seq), "is not in this device's replica")
            self._parsed = (seq, parse(slot.data, slot_name(seq)))
        return self._parsed[1]

    def object_of(self, seq: int, sha256: str) -> tuple[ObjectRef, int] | None:
        """An object and the slot that names it: slot `seq` if it does, else the first that named its digest.

        Anybody may name a digest first, under a false base: what a manifest speaks of is asked of the manifest's own commit.
        """
        named = next((ref for ref in self.commit_at(seq).objects if ref.sha256 == sha256), None)
        return (named, seq) if named is not None else self.replica.named_object(sha256)

    def require_membership(self) -> Roster:
        """The roster, if this device may write; KeyNeeded when it was removed or revoked, by whom in the latter case."""
        roster = self.roster
        if roster.active_device(self.identity.device_id) is not None:
            return roster
        gone = "this device is not, or no longer, a member of the team"
        device = roster.devices.get(self.identity.device_id)
        if device is None or device.revoked_seq is None:
            raise KeyNeeded(gone, hint="ask a member for a new invite")
        by = self.commit_at(device.revoked_seq).device[:12]
        raise KeyNeeded(
            f"{gone}: revoked at commit {device.revoked_seq} by device {by}",
            hint="if that was nobody you know: docs/recovery.md, chapters 2 and 3",
        )

    def probe_once(self) -> None:
        """Race writers for probe objects before the first commit to a bucket, and remember that it passed (DESIGN §4)."""
        if self.replica.note(note_probe_passed) != self._place():
            probe_put_if_absent(self.store)
            self.mark_probed()

    def mark_probed(self) -> None:
        """Remember that this very bucket has just passed the probe."""
        self.replica.set_note(note_probe_passed, self._place())

    def _place(self) -> str:
        return sha256(self.store.describe().encode()).hexdigest()

    def commit(self, drafter: Drafter) -> Committed | None:
        """Probe the bucket if that was never done, settle what a crash left, then commit."""
        self.probe_once()
        self.committer.resume()
        return self.committer.commit(drafter)

    def expect_log(self, team: bytes, seq: int, slot_hash: bytes) -> None:
        """After catching up: refuse a log that is not the team an invite speaks of, or lacks the head it was made at."""
        self.log.expect(team, seq, slot_hash)
