"""The outbox: which of this device's nodes which space still lacks. Derived, never stored: a crash cannot lose it.

What was pushed is known from this member's own manifests in the log, never from anybody else's word; what is here, from the local
store. A remembered mark only saves looking at conversations that were complete before and have not changed since. "Pushed" is
per node, space and content: of a node that a space has as metadata only, the content is still lacking once its project's
content is to go.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Literal

from store.facts import NodeFacts
from store.limits import node_bytes_max
from store.local import LocalFacts, LocalStore
from sync.replica import Replica, Synced

SpaceKind = Literal["team", "private"]
ContentLevel = Literal["full", "metadata"]  # metadata: nothing that was said leaves this device
Visibility = Callable[[str | None], SpaceKind]  # project → the space its conversations are for
ContentOf = Callable[[str | None], ContentLevel]  # project → how much of its conversations goes there
_page_nodes = 1000  # looked up with one query
_MARK = "outbox-mark-"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A conversation with something to push."""

    conversation: str
    project: str | None
    space: SpaceKind
    content: ContentLevel


@dataclass(frozen=True, slots=True)
class PlannedConversation:
    """What a push would send of one conversation; `ancestors` of its nodes are there because later ones build on them."""

    conversation: str
    project: str | None
    space: SpaceKind
    nodes: int
    ancestors: int
    bytes: int  # of content: none where only metadata goes
    content: ContentLevel


class Outbox:
    """Compares the local store with what the log says each space has."""

    def __init__(
        self, local: LocalStore, replica: Replica, visibility: Visibility, content: ContentOf
    ) -> None:
        self._local = local
        self._replica = replica
        self._visibility = visibility
        self._content = content

    def conversations(self, kind: SpaceKind, space: bytes | None) -> Iterator[Outgoing]:
        """Conversations meant for `kind` that changed since last found complete; `space` None: nothing is there yet."""
        # A space that was never pushed to has no mark: without a question first, each sync would walk every node for it.
        if all(self._visibility(project) != kind for project in {*self._local.projects(), None}):
            return
        since = self._mark(kind, space)
        for conversation, project in self._local.changed_conversations(since):
            if self._visibility(project) == kind:
                yield Outgoing(conversation, project, kind, self._content(project))

    def pending(self, outgoing: Outgoing, space: bytes | None) -> Iterator[LocalFacts]:
        """A conversation's nodes that this member never pushed there, or with a smaller output count, parents before children."""
        candidates = (
            node
            for node in self._local.conversation_facts(outgoing.conversation)
            if not node.superseded and node.stored_bytes <= node_bytes_max
        )
        while page := list(islice(candidates, _page_nodes)):
            hashes = [bytes.fromhex(node.facts.hash) for node in page]
            there = self._replica.synced(space, hashes) if space and self._replica.has_own() else {}
            yield from (
                node
                for node, digest in zip(page, hashes, strict=True)
                if _lacking(there.get(digest), node.facts.output, outgoing.content)
            )

    def pending_count(self, kind: SpaceKind, space: bytes | None) -> int:
        """How many nodes `pending` gives of all its conversations. Only what decides it is read: they may be a million."""
        waiting = list(self.conversations(kind, space))
        there = space if waiting and self._replica.has_own() else None
        return sum(self._count_lacking(outgoing, there) for outgoing in waiting)

    def _count_lacking(self, outgoing: Outgoing, space: bytes | None) -> int:
        count, candidates = 0, self._local.outputs_of(outgoing.conversation, node_bytes_max)
        while page := [(bytes.fromhex(name), output) for name, output in islice(candidates, _page_nodes)]:
            there = self._replica.synced(space, [digest for digest, _ in page]) if space is not None else {}
            count += sum(_lacking(there.get(digest), output, outgoing.content) for digest, output in page)
        return count

    def lacks(self, space: bytes, facts: NodeFacts, content: ContentLevel) -> bool:
        """Whether a space has no such node from this member, or with a smaller output count, or without the content to go."""
        digest = bytes.fromhex(facts.hash)
        return _lacking(self._replica.synced(space, [digest]).get(digest), facts.output, content)

    def oversized(self) -> list[tuple[str, int]]:
        """Nodes that stay local because no frame may hold them: (hash, bytes)."""
        return self._local.nodes_over(node_bytes_max)

    def complete(self, kind: SpaceKind, space: bytes, change: int) -> None:
        """Remember that everything up to the local store's `change` is in the space."""
        self._replica.set_note(_MARK + kind, f"{change} {self._fingerprint(kind, space)}")

    def _mark(self, kind: SpaceKind, space: bytes | None) -> int:
        """The remembered change, or 0 when the store, the space or anybody's visibility is not what it was then."""
        note = self._replica.note(_MARK + kind)
        if note is None or space is None:
            return 0
        change, _, fingerprint = note.partition(" ")
        return int(change) if fingerprint == self._fingerprint(kind, space) else 0

    def _fingerprint(self, kind: SpaceKind, space: bytes) -> str:
        """Of which store, and which projects are meant for this space now: a changed setting republishes whole conversations."""
        projects = [p for p in self._local.projects() if self._visibility(p) == kind]
        meant = sorted(f"{self._content(p)} {p!r}" for p in projects)
        about = [self._local.id(), space.hex(), repr(self._visibility(None)), *meant]
        return sha256("\n".join(about).encode()).hexdigest()


def look_again(replica: Replica) -> None:
    """Forget which conversations were found complete: something that was pushed is to go out once more."""
    for kind in ("team", "private"):
        replica.set_note(_MARK + kind, "")


def _lacking(there: Synced | None, output: int | None, content: ContentLevel) -> bool:
    if there is None or there.output < (output or 0):
        return True
    return content == "full" and not there.content
