"""The nodes of a team's bucket, one by one: a lookup in the manifests, then one range read. Nothing of them is kept on disk.

"Not there" is only ever said after the log was asked for news; a node that was found needs no second look, as it cannot change.
"""

from collections import OrderedDict
from typing import Final

from crypto.errors import TapesError, VerificationFailed
from store.nodes import Node
from sync.client import Client
from sync.node_index import FrameOf, NodeAt, NodeIndex, digest_of
from sync.placed_frames import ReadFrame, node_at, read_frame
from sync.pull import PullReport, apply_manifests, open_kept
from sync.replica import PendingManifest

opened_frames_max: Final = 8  # neighbours of a session lie in one frame; each holds about a MiB


class BucketNodes:
    """Reads through one client. `look` reads the log on; everything else answers from what it brought."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._index = self._no_index()
        self._taken: list[tuple[int, str]] = []  # manifests in the index: (slot, digest), in log order
        self._opened: OrderedDict[bytes, ReadFrame] = OrderedDict()  # by the frame's SHA-256
        self._broken: list[VerificationFailed] = []
        self._lost: dict[tuple[int, str], VerificationFailed] = {}  # taken in before, and not to be had now
        self._has_looked = False

    def close(self) -> None:
        """Forget everything."""
        self._index.close()
        self._opened.clear()

    def look(self) -> PullReport:
        """Read the log on and take its manifests in. The first look also checks the pins; a later one costs one GET."""
        client = self._client
        with client.alone():
            pulled = PullReport(
                slots=client.log.catch_up() if self._has_looked else client.log.refresh(),
            )
            self._has_looked = True
            if client.log.point.roster is not None:
                client.missed.clear()
                apply_manifests(client, pulled)
        self._broken = pulled.broken
        if self._lost:
            self._forget()  # they may be there again
        return pulled

    def has(self, node_hash: str) -> bool:
        """Whether a space that this member reads has the node."""
        if self.knows(node_hash):
            return True
        self.look()
        return self.knows(node_hash) or self._absent()

    def knows(self, node_hash: str) -> bool:
        """Whether a space that this member reads has the node, as far as the log was read: from the replica's tags alone."""
        roster, client = self._client.log.point.roster, self._client
        digest = digest_of(node_hash)
        private = roster and roster.private_space_of(client.identity.member_id)
        spaces = [roster.team_space] if roster else []
        spaces += [private.id] if private else []
        return any(client.replica.content_there(space, digest) is not None for space in spaces)

    def get(self, node_hash: str) -> Node | None:
        """The node, or None. TapesError where only metadata was pushed; VerificationFailed for what was lost or altered."""
        rows = self._rows(node_hash)
        if not rows:
            self.look()
            rows = self._rows(node_hash)
        if not rows:
            self._absent()
            return None
        return self._read_first(rows)

    def ancestry(self, node_hash: str) -> list[Node]:
        """The node first, its root last; a parent that is not there ends the list, and so does a cycle."""
        found: dict[str, Node] = {}
        step: str | None = node_hash
        while step is not None and step not in found and (node := self.get(step)) is not None:
            found[step] = node
            step = node.parent_hash
        return list(found.values())

    def leaves(self) -> list[str]:
        """Hashes of nodes that no other node builds on, in order, as of now."""
        self.look()
        self._catch_up()
        self._absent()
        return self._index.leaves()

    def find(self, node_hash: str) -> NodeAt | None:
        """What the manifests taken in so far say of a node."""
        if not self.knows(node_hash):
            return None  # without the index: most importers ask of nodes that are new
        self._catch_up()
        return self._index.find(node_hash)

    def conversation_of(self, node_hash: str) -> str | None:
        """The conversation of a node, as this member committed it where it did."""
        if not self.knows(node_hash):
            return None
        self._catch_up()
        return self._index.conversation_of(node_hash)

    def _rows(self, node_hash: str) -> list[NodeAt]:
        if not self.knows(node_hash):
            return []
        self._catch_up()
        return self._index.rows(node_hash)

    def project_of(self, conversation: str) -> str | None:
        """The project by which this member decided who reads a conversation."""
        self._catch_up()
        return self._index.project_of(conversation)

    def _absent(self) -> bool:
        """False; but nobody may say "absent" while a manifest that the log names cannot be read, and nobody gave it up."""
        given_up = self._client.roster.given_up
        for broken in (*self._broken, *self._lost.values()):
            if broken.obj not in given_up:
                raise broken
        return False

    def _catch_up(self) -> None:
        """Bring the index up to what the replica has taken in. What the bucket lost since is passed over: nobody waits for it."""
        if self._client.replica.applied_count() == len(self._taken):
            return  # what was taken in once stays so
        applied = self._client.replica.manifests("applied")
        keys = [_key(pending) for pending in applied]
        if (
            keys[: len(self._taken)] != self._taken
        ):  # an earlier one became readable: ranks depend on the order
            self._forget()
        for pending in applied[len(self._taken) :]:
            member = self._client.roster.devices[pending.device].member
            try:
                self._index.take(pending, member, open_kept(self._client, pending))
            except VerificationFailed as broken:
                self._lost[_key(pending)] = broken
            self._taken.append(_key(pending))

    def _forget(self) -> None:
        self._index.close()
        self._index, self._taken, self._lost = self._no_index(), [], {}

    def _no_index(self) -> NodeIndex:
        return NodeIndex(self._client.identity.member_id)

    def _read_first(self, rows: list[NodeAt]) -> Node:
        """The node by the first row that tells the truth: whoever names a hash first, over other bytes or none, hides nothing."""
        lie: VerificationFailed | None = None
        for at in rows:
            try:
                return self._read(at)
            except VerificationFailed as broken:
                lie = lie or broken
        raise lie or TapesError(f"node {rows[0].hash} has no row")

    def _read(self, at: NodeAt) -> Node:
        if at.frame is None:
            raise TapesError(
                f"of node {at.hash} only metadata was pushed",
                hint="its text is on the device of the member who pushed it",
            )
        frame = self._frame(at.frame)
        node = node_at(frame, at.index, at.hash, verified=at.verified)
        if node.parent_hash != at.parent:
            raise VerificationFailed(
                frame.name, f"node {node.hash} has another parent than its manifest says"
            )
        return node

    def _frame(self, frame: FrameOf) -> ReadFrame:
        digest = frame.place.sha256
        opened = self._opened.get(digest)
        if opened is None:
            opened = read_frame(self._client, frame.manifest, frame.pack, frame.place)
            self._opened[digest] = opened
        self._opened.move_to_end(digest)
        if len(self._opened) > opened_frames_max:
            self._opened.popitem(last=False)
        return opened


def _key(pending: PendingManifest) -> tuple[int, str]:
    return pending.seq, pending.ref.sha256
