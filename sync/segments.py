"""Segments in a bucket: a new or long absent device reads the log in a few large pieces instead of slot by slot.

An accelerator and nothing more: what a segment says is judged, and compared with the log, before it is believed; one that lies,
is cut or gone is not used, and the slots are read one by one. Who reads needs no event for it: the names tell the ranges.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Final

from crypto.errors import BlobNotFound, VerificationFailed
from crypto.signatures_ahead import SignaturesAhead, worthwhile
from store.blobs import BlobStore
from store.commits import NewerFormat
from store.names import SEGMENTS, SegmentName, segment_of
from store.segments import (
    Segment,
    read_segment,
)
from sync.cache import ObjectCache
from sync.log import LogReader, SlotSeen
from sync.replica import Replica

segments_listed_max: Final = 10_000  # a flood of names must not fill a reader's memory
segments_refused_max: Final = 4  # after so many useless ones the log itself is faster


def listed_segments(store: BlobStore) -> dict[SegmentName, int]:
    """What lies under segments/, by name, with its size in bytes; strangers' files left out. One LIST per thousand."""
    infos = islice(store.list(SEGMENTS), segments_listed_max)
    return {name: info.size_bytes for info in infos if (name := segment_of(info.name)) is not None}


def covering(names: Iterable[SegmentName], seq: int) -> list[SegmentName]:
    """Segments that claim slot `seq`, the furthest reaching first."""
    return sorted(
        (name for name in names if name.first <= seq <= name.last), key=lambda n: (-n.last, n.first, n.sha256)
    )


@dataclass(slots=True)
class SegmentReader:
    """Takes in whole segments from where the log reader stands; `notices` names those that were of no use."""

    store: BlobStore
    replica: Replica
    cache: ObjectCache
    log: LogReader
    notices: list[str] = field(default_factory=list)

    def read_ahead(self, on_slot: SlotSeen | None = None) -> int:
        """Read on by segments as far as they reach; the number of new slots. Each is one transaction: a kill repeats it."""
        names = listed_segments(self.store)
        if not worthwhile() or not names:
            return self._read(names, on_slot, None)
        with SignaturesAhead() as ahead:
            return self._read(names, on_slot, ahead)

    def _read(
        self, names: dict[SegmentName, int], on_slot: SlotSeen | None, ahead: SignaturesAhead | None
    ) -> int:
        came = refused = 0
        while refused < segments_refused_max:
            able = covering(names, self.log.next_seq)
            if not able:
                break
            del names[able[0]]
            try:
                taken = self._take(able[0], on_slot, ahead)
            except (VerificationFailed, BlobNotFound) as useless:
                self.notices.append(f"{able[0]} is not used: {useless.message}")
                taken = 0
            came += taken
            refused += taken == 0
        return came

    def told(self) -> list[str]:
        """The notices so far, each told once."""
        told, self.notices = self.notices, []
        return told

    def _take(self, name: SegmentName, on_slot: SlotSeen | None, ahead: SignaturesAhead | None) -> int:
        segment = fetch_segment(self.store, name)
        try:
            taken = self.log.take_run(segment.first, segment.commits, on_slot, ahead)
        except NewerFormat as newer:  # the log itself shows whether that is true
            raise VerificationFailed(str(name), newer.problem) from newer
        for digest, data in segment.manifests.items():
            # Only manifests that a commit names: else anybody could fill this disk, and with more than it is to hold.
            named = self.replica.named_object(digest)
            if named is not None and named[0].kind == "manifest":
                self.cache.keep(digest, data)
        return taken


def fetch_segment(store: BlobStore, name: SegmentName) -> Segment:
    """A segment that is what its name says. BlobNotFound, or VerificationFailed with its name."""
    data = store.get(str(name))
    if sha256(data).hexdigest() != name.sha256:
        raise VerificationFailed(str(name), "its bytes do not have the digest it is named by")
    segment = read_segment(data, str(name))
    if (segment.first, segment.last) != (name.first, name.last):
        raise VerificationFailed(str(name), f"holds slots {segment.first} to {segment.last}")
    return segment
