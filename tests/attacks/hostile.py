"""What a member with a client of their own making can send: pushes whose manifests or packs lie, epochs with junk wraps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from secrets import token_bytes

from crypto.sealing import SealKey
from store import events
from store.blobs import BlobStore
from store.commits import Leaf, ObjectRef, name_of, parse
from store.fields import to_base64
from store.frames_ahead import FramesAhead
from store.local import LocalFacts
from store.manifest_schema import NodePlace, Row, rows_table
from store.manifests import LeafOpening, seal_manifest
from store.names import slot_name
from store.nodes import Node
from store.outgoing import FrameJob, OutgoingFrame, seal_outgoing
from store.packs import Pack
from sync.batches import Batch, BatchWriter, append_leaves, describe_leaves
from sync.client import Client
from sync.drafts import Content, DraftContext, draft, new_epoch
from sync.pull import PullReport, apply_manifests
from sync.uploads import upload
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop

Bytes = Callable[[str, bytes], bytes]  # (node hash, honest bytes) → what is stored instead
Spoil = Callable[[bytes], bytes]  # an honest pack → what goes out as one, under its own digest
Rows = Callable[[list[Row]], list[Row]]
Openings = Callable[[list[LeafOpening]], list[LeafOpening]]


class CarelessFrames(FramesAhead):
    """Frames that nobody reads back."""

    def take(self, seal_key: SealKey, job: FrameJob) -> None:
        """Sealed, and that is all."""
        self._careless = [*self._careless, seal_outgoing(seal_key, job)]

    def made(self, *, to_the_end: bool = False) -> Iterator[OutgoingFrame]:  # noqa: ARG002 - as there
        """All of them."""
        made, self._careless = self._careless, []
        return iter(made)

    _careless: Sequence[OutgoingFrame] = ()


class LyingWriter(BatchWriter):
    """A batch writer that stores what it likes and reads nothing back."""

    def __init__(self, eve: Laptop, key: SealKey, lie: Bytes, spoil: Spoil) -> None:
        super().__init__(eve.client, eve.local, key, eve.client.log.next_seq - 1, CarelessFrames(0))
        self._lie = lie
        finish = self._pack.finish

        def spoiled() -> Pack:
            pack = finish()
            data = spoil(pack.data)
            return replace(pack, data=data, sha256=sha256(data).hexdigest())

        self._pack.finish = spoiled  # type: ignore[method-assign]

    def _stored(self, nodes: Sequence[LocalFacts]) -> Iterator[tuple[str, bytes]]:
        return ((node_hash, self._lie(node_hash, data)) for node_hash, data in super()._stored(nodes))

    def _send(self, pack: Pack) -> ObjectRef:
        """A liar does not check."""
        return upload(self._client, "pack", self.batch.base, pack.data)


def lying_push(
    eve: Laptop,
    nodes: Sequence[Node],
    *,
    stored: Bytes = lambda _hash, data: data,
    pack: Spoil = lambda honest: honest,
    rows: Rows = lambda honest: honest,
    openings: Openings = lambda honest: honest,
    author: Client | None = None,
    conversation: str | None = None,
) -> int:
    """Push one conversation with the named lies in it; the slot. The commit itself is valid."""
    made = eve.client
    eve.provider.put(nodes)
    made.log.catch_up()
    apply_manifests(made, PullReport())
    key = made.keychain.newest(made.roster, made.roster.team_space)
    writer = LyingWriter(eve, key, stored, pack)
    facts = [
        f for f in eve.local.conversation_facts(nodes[0].hash) if f.facts.hash in {n.hash for n in nodes}
    ]
    writer.add(conversation or nodes[0].hash, facts)
    batch = writer.finish()
    described = describe_leaves(made, batch)
    who = (author or made).identity
    table = rows_table(rows(batch.rows), who.member_id, who.device_id)
    manifest = upload(made, "manifest", batch.base, seal_manifest(key, table, openings(described)))
    return commit_push(made, batch, key, manifest, append_leaves(made, batch, described))


def commit_push(made: Client, batch: Batch, key: SealKey, manifest: ObjectRef, appends: list[Leaf]) -> int:
    """The signed commit over whatever was made."""
    content = Content([events.Push(type="push")], [*batch.objects, manifest], appends)

    def drafter(context: DraftContext) -> bytes:
        return draft(context, made.roster.team, key, content)

    committed = made.committer.commit(drafter)
    assert committed is not None
    return committed.seq


def hostile_epoch(eve: Client, wraps: dict[bytes, bytes], chain: bytes | None = None) -> int:
    """A valid team epoch by Eve in which these recipients' wraps (and the chain) are what she likes; the slot."""
    eve.log.catch_up()
    roster = eve.roster
    space = roster.spaces[roster.team_space]
    older = eve.keychain.newest(roster, space.id)
    event, key = new_epoch(roster.team, space.id, older, roster.recipients(space))
    lied = [
        wrap.model_copy(update={"wrap": to_base64(wraps[bytes.fromhex(wrap.to)])})
        if bytes.fromhex(wrap.to) in wraps
        else wrap
        for wrap in event.wraps
    ]
    event = event.model_copy(update={"wraps": lied, "chain": to_base64(chain) if chain else event.chain})
    committed = eve.committer.commit(lambda context: draft(context, roster.team, key, Content([event])))
    assert committed is not None
    return committed.seq


def another_frame(honest: list[Row]) -> list[Row]:
    """Rows that name a frame digest their pack does not have."""
    return [row._replace(place=_elsewhere(row)) for row in honest]


def _elsewhere(row: Row) -> NodePlace:
    assert row.place is not None
    return row.place._replace(frame=row.place.frame._replace(sha256=bytes(32)))


def named_by(laptop: Laptop, context: DraftContext, objects: list[ObjectRef]) -> bytes:
    """A valid push that names objects which are not its author's."""
    roster = laptop.client.roster
    key = laptop.client.keychain.newest(roster, roster.team_space)
    leaf = Leaf(kind=1, tag=token_bytes(16).hex(), c=token_bytes(32).hex())
    push = events.Push(type="push")
    return draft(context, roster.team, key, Content([push], objects=objects, appends=[leaf]))


def manifest_of(store: BlobStore, seq: int) -> str:
    """The name of the manifest that slot `seq` names."""
    commit = parse(store.get(slot_name(seq)), "eve's")
    return next(name_of(ref) for ref in commit.objects if ref.kind == "manifest")


def withheld(store: StrictStore, seq: int) -> tuple[str, bytes]:
    """Take away the manifest of slot `seq`, as if it had never been uploaded: its name and what Eve may upload yet."""
    name = manifest_of(store, seq)
    data = store.get(name)
    store.plant(name, None)
    return name, data
