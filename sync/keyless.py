"""Verify without a key: what anybody who may read the bucket can check of it, and no more.

The names of all objects against their bytes; the log's chain, signatures, rights and roster from the genesis on; that what
commits name is there with the size they state. What the objects say is sealed, and stays so. Which team this should be, and how
long its log was yesterday, only a member's pins or an invite link know: without them a whole older log is a good log.
"""

import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from crypto.errors import BlobNotFound, VerificationFailed
from store.blobs import BlobInfo, BlobStore, object_bytes_max
from store.commits import ObjectRef
from store.names import LINKS, LOG, PREFIX_OF_KIND, PROBE, SEGMENTS, segment_of, slot_name, slot_seq
from sync.inventory import KINDS, digest_of, inventory
from sync.log import LogReader
from sync.providers import Progress, ProgressSeen
from sync.replica import Replica
from sync.roster import GivenUp
from sync.validity import LogPoint
from sync.verify import Finding, VerifyReport

_LOOKED_AFTER = (LOG, PROBE, LINKS, SEGMENTS, *(PREFIX_OF_KIND[kind] for kind in KINDS))


def verify_keyless(store: BlobStore, *, progress: ProgressSeen | None = None) -> VerifyReport:
    """Check everything that needs no key. Reads only, keeps nothing; memory does not grow with the bucket.

    A bucket that cannot be read at all raises StoreError.
    """
    report = VerifyReport()
    with tempfile.TemporaryDirectory(prefix="tapes-keyless-") as folder:
        replica = Replica.open(
            Path(folder) / "log.db", bytes(32)
        )  # the key of its tags, none of which is made here
        try:
            _Keyless(store, replica, Path(folder), report, progress or (lambda _: None)).run()
        finally:
            replica.close()
    return report


@dataclass(slots=True)
class _Keyless:
    store: BlobStore
    replica: Replica
    folder: Path
    report: VerifyReport
    tell: ProgressSeen

    def run(self) -> None:
        roster = self._log().roster
        given_up = roster.given_up if roster is not None else {}
        for kind in KINDS:
            for entry in inventory(self.store, self.replica, kind):
                if entry.stored is None:
                    self._missing(entry.name, given_up.get(entry.name))
                    continue
                if entry.ref is not None:
                    self._same_size(entry.stored, entry.ref)
                if self._digest_holds(entry.stored, digest_of(entry.name)) and entry.ref is None:
                    self._noticed(entry.name, "is named by no commit: left by an interrupted push")
        for info in self.store.list(SEGMENTS):
            name = segment_of(info.name)
            self._digest_holds(info, name.sha256 if name is not None else None)
        self._strangers()

    def _missing(self, name: str, given_up: GivenUp | None) -> None:
        problem = "is missing, though a commit names it"
        if given_up is None:
            self._found(name, problem)
        else:
            self._noticed(name, f"{problem}, {given_up}")

    def _log(self) -> LogPoint:
        """Read and judge the whole log, in one transaction: nothing here has to survive a kill."""
        reader = LogReader(self.store, self.replica, self.folder)
        with self.replica.transaction():
            self._refresh(reader)
        valid_seq = reader.point.valid_seq
        if valid_seq is None:
            self._found(slot_name(0), "the log holds no valid genesis")
        for slot in self.replica.slots():
            self.report.count("commits", int(slot.void_reason is None))
            if slot.void_reason is not None:
                told = self._noticed if valid_seq is not None and slot.seq < valid_seq else self._found
                told(slot_name(slot.seq), f"is void: {slot.void_reason}")
        return reader.point

    def _refresh(self, reader: LogReader) -> None:
        """A hole is a finding, and what was read up to it is still looked at: it must not undo the transaction."""
        try:
            reader.refresh(lambda seq, _: self.tell(Progress("checking the log", seq)))
        except VerificationFailed as broken:
            self.report.add(broken)

    def _same_size(self, stored: BlobInfo, ref: ObjectRef) -> None:
        if stored.size_bytes != ref.bytes:
            self._found(stored.name, f"has {stored.size_bytes} bytes, its commit says {ref.bytes}")

    def _digest_holds(self, info: BlobInfo, digest: str | None) -> bool:
        """Whether the bytes are those the name was made for; one object is in memory at a time."""
        if digest is None:
            self._noticed(info.name, "is not an object of this format")
            return False
        if info.size_bytes > object_bytes_max:
            self._found(info.name, f"has {info.size_bytes} bytes, more than any object")
            return False
        try:
            data = self.store.get(info.name)
        except BlobNotFound:
            self._found(info.name, "was listed, and is gone")
            return False
        self.report.count("objects")
        self.report.count("bytes", len(data))
        self.tell(Progress("checking objects", self.report.checked["objects"]))
        if sha256(data).hexdigest() != digest:
            self._found(info.name, "its bytes do not have the digest it is named by")
            return False
        return True

    def _strangers(self) -> None:
        """Everything the other checks did not come by: names under no prefix of ours, slots past the end."""
        newest = self.replica.newest_seq()
        for info in self.store.list(""):
            seq = slot_seq(info.name)
            if info.name.startswith(LOG) and (seq is None or newest is None or seq > newest):
                self._noticed(info.name, "is no slot the log has reached")
            elif not info.name.startswith(_LOOKED_AFTER):
                self._noticed(info.name, "is not an object of this format")

    def _found(self, name: str, problem: str) -> None:
        self.report.findings.append(Finding(name, problem))

    def _noticed(self, name: str, problem: str) -> None:
        self.report.notices.append(Finding(name, problem))
