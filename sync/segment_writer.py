"""Writing segments, when the tail of single slots has grown long, and knowing which of them are of no more use.

Any member's client writes them after a push, from its own verified copy. The plan is made from names alone, so that a look costs
one LIST; a name that lies spoils the plan until gc has read it, and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final

from crypto.errors import BlobNotFound, StoreError, VerificationFailed
from store.blobs import BlobInfo
from store.commits import commit_hash
from store.names import SEGMENTS, SegmentName, segment_of
from store.retrying import put_immutable
from store.segments import entry_bytes, header_bytes, segment_bytes_max, segment_commits_max, write_segment
from sync.client import Client
from sync.segments import covering, fetch_segment, listed_segments

segment_tail_commits: Final = 256  # a longer tail of single slots becomes a segment
segments_merged_min: Final = 16  # so many small ones in a row become one: 16 of 256 make segment_commits_max
segments_per_push_max: Final = 4  # an old log without segments is not one unlucky pusher's work
note_covered: Final = "segments-cover"


def chain(names: Iterable[SegmentName], head: int) -> list[SegmentName]:
    """The segments that a reader at slot 0 would go through, none reaching past slot `head`."""
    able = [name for name in names if name.last <= head and name.last - name.first < segment_commits_max]
    links: list[SegmentName] = []
    while found := covering(able, links[-1].last + 1 if links else 0):
        links.append(found[0])
    return links


def next_range(
    links: list[SegmentName], sizes: Mapping[SegmentName, int], head: int
) -> tuple[int, int] | None:
    """The (first, last) slot of the segment that is due, None when none is: first the tail, then small ones into one."""
    start = links[-1].last + 1 if links else 0
    if head + 1 - start >= segment_tail_commits:
        return start, min(head, start + segment_commits_max - 1)
    small = [name for name in links if start - name.first <= segment_commits_max]
    if len(small) < segments_merged_min or sum(sizes[name] for name in small) > segment_bytes_max:
        return None
    return small[0].first, small[-1].last


def write_due(client: Client) -> list[SegmentName]:
    """Write the segments that are due, from this device's verified copy: nothing is downloaded. No request when none is due."""
    written: list[SegmentName] = []
    head = client.log.point.valid_seq
    covered = int(client.replica.note(note_covered) or 0)
    if head is None or head + 1 - covered < segment_tail_commits:
        return written
    sizes = listed_segments(client.store)
    while len(written) < segments_per_push_max and (due := next_range(chain(sizes, head), sizes, head)):
        name, size = _write(client, *due)
        sizes[name] = size
        written.append(name)
    links = chain(sizes, head)
    client.replica.set_note(note_covered, str(links[-1].last + 1 if links else 0))
    return written


def _write(client: Client, first: int, last: int) -> tuple[SegmentName, int]:
    commits, manifests = _gather(client, first, last)
    data = write_segment(first, commits, manifests)
    name = SegmentName(first, first + len(commits) - 1, sha256(data).hexdigest())
    put_immutable(client.store, str(name), data)
    return name, len(data)


def _gather(client: Client, first: int, last: int) -> tuple[list[bytes], list[bytes]]:
    """The slots of a range and those of their manifests that this device has, as far as one segment holds them."""
    commits: list[bytes] = []
    manifests: list[bytes] = []
    size = header_bytes
    for slot in client.replica.slots_between(first, last):
        kept = [
            data for digest in client.replica.manifests_of(slot.seq) if (data := client.cache.kept(digest))
        ]
        own_size = sum(entry_bytes + len(part) for part in (slot.data, *kept))
        if commits and size + own_size > segment_bytes_max:
            break
        if size + own_size > segment_bytes_max:
            kept = []  # one commit with more manifests than fit: they are read one by one
        commits.append(slot.data)
        manifests.extend(kept)
        size += own_size
    return commits, manifests


def surplus(client: Client) -> Iterator[BlobInfo]:
    """Segments of no use: within what others cover, or not what our log holds there. Each that is relied on is read first.

    Those that reach past our head are not ours to judge. A lie that got a good one deleted would cost speed, never data.
    """
    head = client.log.point.valid_seq
    stored = {segment_of(info.name): info for info in client.store.list(SEGMENTS)}
    names = [name for name in stored if name is not None and head is not None and name.last <= head]
    used: set[SegmentName] = set()
    position = 0
    while found := [name for name in covering(names, position) if name not in used]:
        if _holds_our_log(client, found[0]):
            used.add(found[0])
            position = found[0].last + 1
        else:
            names.remove(found[0])
            yield stored[found[0]]
    yield from (stored[name] for name in names if name not in used and name.last < position)


def _holds_our_log(client: Client, name: SegmentName) -> bool:
    try:
        segment = fetch_segment(client.store, name)
    except (VerificationFailed, BlobNotFound):
        return False
    pinned = client.replica.slots_between(name.first, name.last)
    return [commit_hash(data) for data in segment.commits] == [slot.sha256 for slot in pinned]


def try_write_due(client: Client) -> list[str]:
    """As `write_due` at the end of a push that is already done: what goes wrong is a notice, not its failure."""
    try:
        write_due(client)
    except (StoreError, VerificationFailed) as trouble:
        return [f"no segment was written: {trouble.message}"]
    return []
