"""One commit's worth of nodes: cut into frames, packed, uploaded pack by pack, described by a manifest.

Order of writes: packs as they fill, then the manifest, then the commit. A kill at any point before the commit leaves
only objects that nobody names (gc removes them); the outbox still lists every node.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from secrets import token_bytes
from types import TracebackType
from typing import Self

from crypto import leaves
from crypto.errors import TapesError
from crypto.sealing import SealKey
from store.canonical import canonical
from store.commits import Leaf, ObjectRef
from store.facts import without_words
from store.frames import cut_frames
from store.limits import frame_raw_bytes_max
from store.local import LocalFacts, LocalStore
from store.manifest_schema import NodePlace, Row, rows_table
from store.manifests import LeafOpening, seal_manifest
from store.node_parse import node_from_bytes
from store.packs import FramePlace, PackWriter, open_pack
from sync.client import Client
from sync.pack_line import Job, PackLine
from sync.pull import known_k_tag, leaf_of
from sync.uploads import upload

_page_nodes = 256  # nodes read with one query
_NO_CHECKPOINT = canonical(None)


@dataclass(slots=True)
class _Placed:
    """A frame in the open pack, until the pack's name is known."""

    conversation: str
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
    """Fills one batch; use it in a `with`. Memory: the open pack, those on their way, and the rows."""

    def __init__(self, client: Client, local: LocalStore, key: SealKey, base: int) -> None:
        self._client = client
        self._local = local
        self.batch = Batch(key, base)
        self._line = PackLine()
        self._pack = PackWriter(key)
        self._placed: list[_Placed] = []
        self._verified: set[str] = set()  # of the open pack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)

    def add(self, conversation: str, nodes: Sequence[LocalFacts]) -> None:
        """Add nodes of one conversation, in order; uploads whatever fills up."""
        waiting = iter(nodes)
        for run in cut_frames(self._stored(nodes)):
            self._add_frame(conversation, list(islice(waiting, len(run))), [data for _, data in run])

    def withhold(self, conversation: str, nodes: Sequence[LocalFacts]) -> None:
        """Add nodes of one conversation, in order, as metadata only: their bytes are not even read."""
        conversation_id = bytes.fromhex(conversation)
        committed = self.batch.commitments.setdefault(conversation_id, [])
        for node in nodes:
            opening = token_bytes(leaves.opening_bytes)
            committed.append(leaves.withheld_commitment(opening, bytes.fromhex(node.facts.hash)))
            facts = without_words(node.facts)
            self.batch.rows.append(Row(facts, conversation_id, node.stored_bytes, opening=opening))

    def finish(self) -> Batch:
        """Upload what is left; the batch then lacks only its manifest."""
        refs = self._line.finish(self._pack_job() if self._placed else None)
        self.batch.objects.extend(refs)
        self.batch.stored_bytes += sum(ref.bytes for ref in refs)
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

    def _add_frame(self, conversation: str, nodes: list[LocalFacts], datas: list[bytes]) -> None:
        if not self._pack.takes(datas):
            self._line.take(self._pack_job())
        openings = [token_bytes(leaves.opening_bytes) for _ in nodes]
        triples = [(n.facts.hash, d, o) for n, d, o in zip(nodes, datas, openings, strict=True)]
        conversation_id = bytes.fromhex(conversation)
        frame = self._pack.add_frame(conversation_id, triples)
        self._verified.update(n.facts.hash for n in nodes if n.facts.hash_version is not None)
        self._placed.append(_Placed(conversation, nodes, openings, frame))
        committed = self.batch.commitments.setdefault(conversation_id, [])
        committed.extend(leaves.node_commitment(o, bytes.fromhex(h), d) for h, d, o in triples)

    def _pack_job(self) -> Job:
        """Close the open pack, note where its nodes lie, and begin another; what is left to do with it."""
        pack, verified = self._pack.finish(), frozenset(self._verified)
        pack_id = bytes.fromhex(pack.sha256)
        for placed in self._placed:
            conversation = bytes.fromhex(placed.conversation)
            for index, (node, opening) in enumerate(zip(placed.nodes, placed.openings, strict=True)):
                place = NodePlace(pack_id, placed.frame, index, opening)
                self.batch.rows.append(Row(node.facts, conversation, node.stored_bytes, place))
        self._pack, self._placed, self._verified = PackWriter(self.batch.key), [], set()
        return lambda: self._send(pack.data, pack.sha256, verified)

    def _send(self, data: bytes, digest: str, verified: frozenset[str]) -> ObjectRef:
        self._read_back(data, digest, verified)
        return upload(self._client, "pack", self.batch.base, data)

    def _read_back(self, data: bytes, digest: str, verified: frozenset[str]) -> None:
        """What will be sent is opened and re-hashed once: a fault in memory or in our own code must not reach the team."""
        for entry, opened in open_pack(self.batch.key, data, f"outgoing pack {digest[:16]}"):
            for listed, stored in zip(entry.nodes, opened.nodes, strict=True):
                read = node_from_bytes(stored, listed.hash)
                if (read.hash, read.verified) != (listed.hash, listed.hash in verified):
                    raise TapesError(
                        f"node {listed.hash} does not read back from its pack",
                        hint="nothing was committed; report a bug",
                    )


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
