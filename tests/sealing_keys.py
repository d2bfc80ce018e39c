"""Fixed keys and small real nodes for the tests of stored formats."""

from collections.abc import Sequence
from hashlib import sha256

from crypto.leaves import batch_root, leaf_tag, node_commitment
from crypto.sealing import SealKey
from store.facts import facts_of
from store.frames import raw_length, seal_frame
from store.manifest_schema import NodePlace, Row
from store.manifests import LeafOpening
from store.nodes import Cost, Node, Source, Usage, node_to_bytes
from store.packs import FrameEntry, FramePlace, Pack, PackWriter


def digest(word: str) -> bytes:
    """32 bytes that a test can name."""
    return sha256(word.encode()).digest()


TEAM_KEY = SealKey(team=digest("team"), space=digest("space")[:16], epoch=1, key=digest("key"))
OTHER_KEYS = {
    "key": SealKey(TEAM_KEY.team, TEAM_KEY.space, TEAM_KEY.epoch, digest("another key")),
    "team": SealKey(digest("another team"), TEAM_KEY.space, TEAM_KEY.epoch, TEAM_KEY.key),
    "space": SealKey(TEAM_KEY.team, digest("another space")[:16], TEAM_KEY.epoch, TEAM_KEY.key),
    "epoch": SealKey(TEAM_KEY.team, TEAM_KEY.space, 2, TEAM_KEY.key),
}
MEMBER = digest("member")
DEVICE = digest("device")


def make_turn(number: int, conversation: str = "talk", text: str = "") -> Node:
    """A node with every field filled; its hash is a stand-in, so it claims no hash era."""
    return Node(
        hash=digest(f"{conversation} {number}").hex(),
        hash_version=None,
        parent_hash=digest(f"{conversation} {number - 1}").hex() if number else None,
        bucket={
            "type": "message",
            "role": "assistant" if number % 2 else "user",
            "content": [{"type": "text", "text": text or f"turn {number} of {conversation}"}],
            "model": "model-1",
            "provider": "provider-1",
            "agent_name": "agent-1",
        },
        stop_reason="end_turn",
        usage=Usage(input_uncached=number, cache_read=10, cache_write=5, output=7, cache_write_1h=2),
        cost=Cost(usd_micro=1234, source="computed", table="2026-02-01"),
        project="project-1",
        created_at=f"2026-02-14T09:30:{number % 60:02d}.000001Z",
        source=Source(harness="claude", session="session-1", usage_id=f"msg-{number}"),
    )


def opening_of(node: Node) -> bytes:
    """A node's opening: random in life, fixed here."""
    return digest(f"opening of {node.hash}")


def add_nodes(
    writer: PackWriter, talk: str, nodes: Sequence[tuple[str, bytes, bytes]], key: SealKey = TEAM_KEY
) -> FramePlace:
    """Seal (node hash, stored bytes, opening) of one conversation as a pack's next frame."""
    stored = [data for _, data, _ in nodes]
    sealed = seal_frame(key, digest(talk), stored)
    entries = [(node_hash, opening) for node_hash, _, opening in nodes]
    return writer.add_frame(digest(talk), raw_length(stored), entries, sealed)


def pack_turns(talks: dict[str, list[Node]], seal_key: SealKey = TEAM_KEY) -> Pack:
    """One pack with one frame for each conversation."""
    writer = PackWriter(seal_key)
    for talk, turns in talks.items():
        nodes = [(turn.hash, node_to_bytes(turn), opening_of(turn)) for turn in turns]
        add_nodes(writer, talk, nodes, seal_key)
    return writer.finish()


def pushed_rows(pack: Pack, talks: dict[str, list[Node]]) -> list[Row]:
    """The manifest rows of a pack made by `pack_turns`."""
    rows = []
    for frame, turns in zip(pack.frames, talks.values(), strict=True):
        for index, turn in enumerate(turns):
            rows.append(_row(pack, frame, index, turn))
    return rows


def leaf_openings(talks: dict[str, list[Node]]) -> list[LeafOpening]:
    """A first leaf for each conversation."""
    return [
        LeafOpening(
            conversation=digest(talk),
            tag=leaf_tag(digest(f"k_tag {talk}"), DEVICE, 0),
            j=0,
            r=digest(f"r {talk}"),
            k_tag=digest(f"k_tag {talk}"),
            prev_c=b"",
            batch_root=batch_root([_commitment(turn) for turn in turns]),
            nodes=len(turns),
        )
        for talk, turns in talks.items()
    ]


def _commitment(turn: Node) -> bytes:
    return node_commitment(opening_of(turn), bytes.fromhex(turn.hash), node_to_bytes(turn))


def _row(pack: Pack, frame: FrameEntry, index: int, turn: Node) -> Row:
    place = NodePlace(bytes.fromhex(pack.sha256), frame.place, index, opening_of(turn))
    return Row(facts_of(turn), frame.conversation, len(node_to_bytes(turn)), place)
