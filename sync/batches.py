"""One commit's worth of nodes: cut into frames, packed, uploaded pack by pack, described by a manifest.

Order of writes: packs as they fill, then the manifest, then the commit. A kill at any point before the commit leaves
only objects that nobody names (gc removes them); the outbox still lists every node.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from secrets import token_bytes
from types import TracebackType
from typing import NamedTuple, Self

from crypto import leaves
from crypto.errors import TapesError
from crypto.sealing import SealKey
from store.canonical import canonical
from store.commits import Leaf, ObjectRef
from store.facts import without_words
from store.frames import cut_frames, raw_length
from store.frames_ahead import FramesAhead
from store.limits import frame_raw_bytes_max
from store.local import LocalFacts, LocalStore
from store.manifest_schema import NodePlace, Row, rows_table
from store.manifests import LeafOpening, seal_manifest
from store.outgoing import FrameJob, OutgoingFrame
from store.packs import FramePlace, Pack, PackWriter, read_index
from sync.client import Client
from sync.pack_line import Job, PackLine
from sync.pull import known_k_tag, leaf_of
from sync.uploads import upload

_page_nodes = 256  # nodes read with one query
_NO_CHECKPOINT = canonical(None)


class _Coming(NamedTuple):
    """A frame being made, and the nodes in it."""

    conversation: bytes
    nodes: list[LocalFacts]
    raw_bytes: int


class _Placed(NamedTuple):
    """A frame in the open pack, until the pack's name is known."""

    conversation: bytes
    nodes: list[LocalFacts]
    openings: list[bytes]
    frame: FramePlace


@dataclass(slots=True)
class Batch:
    """What will be one commit: rows with their places, the objects uploaded for them, each conversation's commitments."""

    key: SealKey
    base: int
    objects: list[ObjectRef] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    commitments: dict[bytes, list[bytes]] = field(default_factory=dict)
    stored_bytes: int = 0


class BatchWriter:
    """Fills one batch; use it in a `with`. Memory: the frames being made, the open pack, those on their way, and the rows."""

    def __init__(
        self, client: Client, local: LocalStore, key: SealKey, base: int, frames: FramesAhead
    ) -> None:
        self._client = client
        self._local = local
        self.batch = Batch(key, base)
        self._frames = frames
        self._coming: deque[_Coming] = deque()
        self._line = PackLine()
        self._pack = PackWriter(key)
        self._placed: list[_Placed] = []
        self._withheld: list[Row] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._frames.drop()  # what it was asked is nobody's any more
        self._line.__exit__(kind, error, trace)

    def add(self, conversation: str, nodes: Sequence[LocalFacts]) -> None:
        """Add nodes of one conversation, in order; uploads whatever fills up."""
        waiting, conversation_id = iter(nodes), bytes.fromhex(conversation)
        self.batch.commitments.setdefault(
            conversation_id, []
        )  # leaves stand in this order, whatever is done first
        for run in cut_frames(self._stored(nodes)):
            framed = list(islice(waiting, len(run)))
            hashes, stored = zip(*run, strict=True)
            verified = [node.facts.hash_version is not None for node in framed]
            self._coming.append(_Coming(conversation_id, framed, raw_length(stored)))
            self._frames.take(self.batch.key, FrameJob(conversation_id, hashes, verified, stored))
            self._place(self._frames.made())

    def withhold(self, conversation: str, nodes: Sequence[LocalFacts]) -> None:
        """Add nodes of one conversation, in order, as metadata only: their bytes are not even read."""
        conversation_id = bytes.fromhex(conversation)
        committed = self.batch.commitments.setdefault(conversation_id, [])
        for node in nodes:
            opening = token_bytes(leaves.opening_bytes)
            committed.append(leaves.withheld_commitment(opening, bytes.fromhex(node.facts.hash)))
            facts = without_words(node.facts)
            self._withheld.append(Row(facts, conversation_id, node.stored_bytes, opening=opening))

    def finish(self) -> Batch:
        """Upload what is left; the batch then lacks only its manifest."""
        self._place(self._frames.made(to_the_end=True))
        refs = self._line.finish(self._pack_job() if self._placed else None)
        self.batch.objects.extend(refs)
        self.batch.stored_bytes += sum(ref.bytes for ref in refs)
        self.batch.rows += (
            self._withheld
        )  # last: how soon frames were done must not show in the order of rows
        return self.batch

    def _stored(self, nodes: Sequence[LocalFacts]) -> Iterator[tuple[str, bytes]]:
        """(hash, stored JSON) of nodes in order, a frame's worth read at once: a query each costs as much as zstd."""
        for page in _pages(nodes):
            found = self._local.stored([node.rowid for node in page])
            for node in page:
                if (data := found.get(node.rowid)) is None:
                    raise TapesError(
                        f"node {node.facts.hash} vanished from the local store", hint="run the sync again"
                    )
                yield node.facts.hash, data

    def _place(self, made: Iterator[OutgoingFrame]) -> None:
        """Put frames into packs, in the order they were asked for."""
        for frame in made:
            conversation, nodes, raw_bytes = self._coming.popleft()
            if not self._pack.takes(raw_bytes, len(nodes)):
                self._line.take(self._pack_job())
            openings, commitments = _digests(frame.openings), _digests(frame.commitments)
            entries = [(node.facts.hash, opening) for node, opening in zip(nodes, openings, strict=True)]
            place = self._pack.add_frame(conversation, raw_bytes, entries, frame.sealed)
            if place.sha256 != frame.sha256:
                raise TapesError("a frame is not what was sealed", hint="nothing was committed; report a bug")
            self._placed.append(_Placed(conversation, nodes, openings, place))
            self.batch.commitments[conversation] += commitments

    def _pack_job(self) -> Job:
        """Close the open pack, note where its nodes lie, and begin another; what is left to do with it."""
        pack = self._pack.finish()
        pack_id = bytes.fromhex(pack.sha256)
        for conversation, nodes, openings, frame in self._placed:
            self.batch.rows += [
                Row(node.facts, conversation, node.stored_bytes, NodePlace(pack_id, frame, index, opening))
                for index, (node, opening) in enumerate(zip(nodes, openings, strict=True))
            ]
        self._pack, self._placed = PackWriter(self.batch.key), []
        return lambda: self._send(pack)

    def _send(self, pack: Pack) -> ObjectRef:
        """Its frames were opened and re-hashed when they were made; that it holds just them is seen once more."""
        if read_index(self.batch.key, pack.data, f"outgoing pack {pack.sha256[:16]}") != pack.frames:
            raise TapesError("a pack does not read back", hint="nothing was committed; report a bug")
        return upload(self._client, "pack", self.batch.base, pack.data)


def _digests(joined: bytes) -> list[bytes]:
    size = leaves.opening_bytes
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def _pages(nodes: Sequence[LocalFacts]) -> Iterator[list[LocalFacts]]:
    """Runs of nodes whose JSON is in memory together; one larger than a frame stands alone."""
    page: list[LocalFacts] = []
    held = 0
    for node in nodes:
        if page and (held + node.stored_bytes > frame_raw_bytes_max or len(page) == _page_nodes):
            yield page
            page, held = [], 0
        page.append(node)
        held += node.stored_bytes
    if page:
        yield page


def describe_leaves(client: Client, batch: Batch) -> list[LeafOpening]:
    """Open one leaf per conversation for the point of the log that the replica has taken in now."""
    space, device = batch.key.space, client.identity.device_id
    openings = []
    for conversation, commitments in batch.commitments.items():
        k_tag = known_k_tag(client, space, conversation) or token_bytes(leaves.opening_bytes)
        prev_c, j = client.chains.state(space, k_tag, device, client.log.next_seq)
        openings.append(
            LeafOpening(
                conversation=conversation,
                tag=leaves.leaf_tag(k_tag, device, j),
                j=j,
                r=token_bytes(leaves.opening_bytes),
                k_tag=k_tag,
                prev_c=prev_c,
                batch_root=leaves.batch_root(commitments),
                nodes=len(commitments),
            )
        )
    return openings


def seal_batch_manifest(client: Client, batch: Batch, openings: Sequence[LeafOpening]) -> bytes:
    """The batch's manifest."""
    table = rows_table(batch.rows, client.identity.member_id, client.identity.device_id)
    return seal_manifest(batch.key, table, openings)


def append_leaves(client: Client, batch: Batch, openings: Sequence[LeafOpening]) -> list[Leaf]:
    """The commit's leaves for these openings, in the manifest's order."""
    return [
        leaf_of(batch.key.space, client.identity.device_id, _NO_CHECKPOINT, opening) for opening in openings
    ]
