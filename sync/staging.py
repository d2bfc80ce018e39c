"""Nodes on their way into the bucket of a device that keeps nothing: a local store in memory, emptied by each commit.

Importers work on it as on any local store. What it no longer has, or never had, it looks up in the bucket beneath.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from store.database import IN_MEMORY, connect_in_memory
from store.limits import MIB
from store.local import Added, LocalStore, Written, written
from store.local_path import LOCAL_STORE
from store.nodes import Node, node_to_bytes

staged_bytes_max: Final = 32 * MIB  # of node JSON; then it is committed, and its memory used again


class Beneath(Protocol):
    """What staging asks of the bucket."""

    def knows(self, node_hash: str) -> bool:
        """Whether this member can read the node there, without a request."""
        ...

    def get(self, node_hash: str) -> Node | None:
        """The node."""
        ...

    def conversation_of(self, node_hash: str) -> str | None:
        """The conversation of a node that is there."""
        ...

    def project_of(self, conversation: str) -> str | None:
        """The project that a conversation there belongs to."""
        ...

    def missing_ancestry(self, node_hash: str, project: str | None) -> list[Node]:
        """A node and its ancestors, root last, that the space meant for `project` lacks while another one has them."""
        ...


class StagingStore(LocalStore):
    """`commit` is called with this store when it is full; it pushes, and then calls `let_go`."""

    def __init__(
        self, beneath: Beneath, commit: "Callable[[StagingStore], None]", bytes_max: int = staged_bytes_max
    ) -> None:
        super().__init__(connect_in_memory(LOCAL_STORE), IN_MEMORY)
        self._beneath = beneath
        self._commit = commit
        self._bytes_max = bytes_max
        self._committed_change = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As the local store's. After the outermost one, with nothing half done, what filled up is committed."""
        outermost = not self._db.in_transaction
        with super().transaction():
            yield
        if outermost and self.waiting_bytes() >= self._bytes_max:
            self._commit(self)

    def waiting_bytes(self) -> int:
        """The size of what came since the last commit."""
        query = "SELECT coalesce(sum(stored_bytes), 0) FROM nodes WHERE change > ?"
        return int(self._run(query, (self._committed_change,))[0][0])

    def uncommitted_conversations(self) -> Iterator[tuple[str, str | None]]:
        """As `changed_conversations`, since the last commit."""
        return self.changed_conversations(self._committed_change)

    def let_go(self) -> None:
        """Everything so far is committed: keep what importers join by, forget what was said."""
        self._committed_change = self.last_change()
        self._run("DELETE FROM node_json")

    def has(self, hashes: Iterable[str]) -> set[str]:
        """Those that are staged or in the bucket."""
        wanted = set(hashes)
        staged = super().has(wanted)
        return staged | {node_hash for node_hash in wanted - staged if self._beneath.knows(node_hash)}

    def get_bytes(self, node_hash: str) -> bytes | None:
        """The bytes of a staged node; from the bucket once they were let go."""
        data = super().get_bytes(node_hash)
        if data is None and self._is_staged(node_hash) and (node := self._beneath.get(node_hash)) is not None:
            return node_to_bytes(node)
        return data

    def conversation_of(self, node_hash: str) -> str | None:
        """The conversation of a node that is staged or in the bucket."""
        return super().conversation_of(node_hash) or self._beneath.conversation_of(node_hash)

    def changed_conversations(self, since: int) -> Iterator[tuple[str, str | None]]:
        """As the local store's. A conversation that began in the bucket belongs where it began, whatever its new turns say."""
        for conversation, project in super().changed_conversations(since):
            began_here = self._is_staged(conversation)
            yield conversation, project if began_here else self._beneath.project_of(conversation) or project

    def projects(self) -> set[str]:
        """Also those of what began in the bucket: a push asks nothing about a space that no project is meant for."""
        begun = {project for _, project in self.changed_conversations(0) if project is not None}
        return super().projects() | begun

    def _add(self, batch: list[Written]) -> Added:
        """As the local store's; `new` is what is new to the bucket. All of it is staged, as the space it is for may lack it."""
        inside = {node.hash for node, _ in batch}
        staged = super().has(inside)
        for node, _ in batch:
            parent = node.parent_hash
            if parent is not None and parent not in inside and not self._is_staged(parent):
                self._stage_ancestors(parent, node.project)
        known = {node_hash for node_hash in inside - staged if self._beneath.knows(node_hash)}
        added = super()._add(batch)
        unverified = {node.hash for node, _ in batch if not node.verified} & known
        return Added(added.new - len(known), added.known + len(known), added.unverified - len(unverified))

    def _begun(self, parents: set[str]) -> dict[str, str]:
        found = super()._begun(parents)
        for parent in parents - found.keys():
            conversation = self._beneath.conversation_of(parent)
            if conversation is not None:
                found[parent] = conversation
        return found

    def _stage_ancestors(self, parent: str, project: str | None) -> None:
        """A push into a space brings every ancestor that the space lacks: here they come out of another one."""
        conversation = self._beneath.conversation_of(parent)
        if conversation is None:
            return
        began_in = self._beneath.project_of(conversation) or project
        ancestors = self._beneath.missing_ancestry(parent, began_in)
        self._insert([written(ancestor) for ancestor in reversed(ancestors)])

    def _is_staged(self, node_hash: str) -> bool:
        return bool(super().has([node_hash]))
