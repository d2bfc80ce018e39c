"""Nodes on their way into the bucket of a device that keeps nothing: a local store in memory, emptied by each commit.

Importers work on it as on any local store. What it no longer has, or never had, it looks up in the bucket beneath. What stays
until the import ends is small for each node: the names of its log lines, 90 bytes, and of a conversation's last turn its row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final, Protocol

from store.database import IN_MEMORY, connect_in_memory
from store.database_errors import sqlite_errors
from store.limits import MIB, node_bytes_max
from store.local import Added, LocalStore, Written, written
from store.local_path import LOCAL_STORE
from store.nodes import Json, Node, node_to_bytes

staged_bytes_max: Final = 36 * MIB  # of node JSON; then it is committed, and its memory used again
tails_max: Final = 20_000  # rows of last turns kept after a commit; what goes on from an older one is looked up in the bucket
_line_bytes: Final = 12  # of a line's digest: of a billion lines two share one with a chance of 1 in 10^11
_lines_at_once: Final = 500
# The local store's own table holds every key and hash as text: three times as much, for each line of a whole import.
_LINES: Final = (
    "CREATE TABLE named (id INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT",
    "CREATE TABLE lines (line BLOB PRIMARY KEY, named INTEGER NOT NULL) STRICT, WITHOUT ROWID",
)
_SUPERSEDED: Final = """
SELECT superseded_by FROM nodes WHERE nodes.hash = (SELECT lower(hex(hash)) FROM named WHERE id = lines.named)
"""
_REMEMBER: Final = f"""
INSERT INTO lines VALUES (?, ?) ON CONFLICT DO UPDATE SET named = excluded.named
WHERE ({_SUPERSEDED}) IS NOT NULL
"""  # noqa: S608 - a constant
# What no bucket takes stays: its children would begin a conversation of their own. What was superseded, too: lines lead there.
_COMMITTED: Final = "superseded_by IS NULL AND stored_bytes <= ?"
_LET_GO: Final = f"""
DELETE FROM nodes WHERE {_COMMITTED} AND EXISTS (SELECT 1 FROM nodes AS child WHERE child.parent_hash = nodes.hash)
"""  # noqa: S608 - a constant
_LET_TAILS_GO: Final = f"""
DELETE FROM nodes WHERE {_COMMITTED} AND id <= (SELECT id FROM nodes ORDER BY id DESC LIMIT 1 OFFSET ?)
"""  # noqa: S608 - a constant


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
        self._filled_bytes = 0  # since the last commit, with what was taken back
        self._committed_change = 0
        self._meant: dict[str, str | None] = {}  # conversations begun here and in part let go → their project
        self._newest_source = ""
        for table in _LINES:
            self._run(table)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As the local store's. After the outermost one, with nothing half done, what filled up is committed."""
        outermost = not self._db.in_transaction
        with super().transaction():
            yield
        if outermost and self._filled_bytes >= self._bytes_max:
            self._commit(self)

    def count(self) -> int:
        """How many nodes are staged. What was let go leaves gaps in their numbers."""
        return int(self._run("SELECT count(*) FROM nodes")[0][0])

    def waiting_bytes(self) -> int:
        """The size of what came since the last commit."""
        query = "SELECT coalesce(sum(stored_bytes), 0) FROM nodes WHERE change > ?"
        return int(self._run(query, (self._committed_change,))[0][0])

    def let_go(self) -> None:
        """Everything so far is committed: keep what importers join by, forget the rest."""
        meant = dict(self._with_project(super().changed_conversations(0)))
        self._set_journal("OFF")  # else all that is let go is held once more, to be taken back if need be
        self._run("DELETE FROM node_json")
        self._run(_LET_GO, (node_bytes_max,))
        self._run(_LET_TAILS_GO, (node_bytes_max, tails_max))
        # Of the file that is being read; one that were read again, of which nothing is known, would be nothing new.
        self._run("DELETE FROM cursors WHERE source <> ?", (_encoded(self._newest_source),))
        self._set_journal("MEMORY")
        left = self._run("SELECT DISTINCT conversation FROM nodes")
        self._meant = {conversation: meant[conversation] for (conversation,) in left}
        # Numbers of changes are given again now, and an outbox remembers up to which of them a store was pushed: not of this one.
        self._run("UPDATE store SET id = randomblob(16)")
        self._committed_change = self.last_change()
        self._filled_bytes = 0

    def has(self, hashes: Iterable[str]) -> set[str]:
        """Those that are staged or in the bucket."""
        wanted = set(hashes)
        staged = super().has(wanted)
        return staged | {node_hash for node_hash in wanted - staged if self._beneath.knows(node_hash)}

    def get_bytes(self, node_hash: str) -> bytes | None:
        """The bytes of a node that is staged or in the bucket."""
        data = super().get_bytes(node_hash)
        if data is None and self._beneath.knows(node_hash) and (node := self._beneath.get(node_hash)):
            return node_to_bytes(node)
        return data

    def conversation_of(self, node_hash: str) -> str | None:
        """The conversation of a node that is staged or in the bucket."""
        return super().conversation_of(node_hash) or self._beneath.conversation_of(node_hash)

    def changed_conversations(self, since: int) -> Iterator[tuple[str, str | None]]:
        """As the local store's, of what waits. What began in the bucket belongs where it began, whatever its new turns say."""
        yield from self._with_project(super().changed_conversations(max(since, self._committed_change)))

    def projects(self) -> set[str]:
        """Also those of what began in the bucket: a push asks nothing about a space that no project is meant for."""
        begun = {project for _, project in self.changed_conversations(0) if project is not None}
        return super().projects() | begun

    def supersede(self, old: str, new: str) -> None:
        """As the local store's; a node that was let go is staged once more, to say what took its place."""
        with self.transaction():
            if not self._is_staged(old) and self._beneath.knows(old) and (node := self._beneath.get(old)):
                self._insert([written(node)])
            super().supersede(old, new)

    def line_nodes(self, harness: str, keys: Iterable[str]) -> dict[str, str]:
        """As the local store's."""
        key_of = {_line(harness, key): key for key in keys}
        found = {}
        for start in range(0, len(key_of), _lines_at_once):
            some = list(key_of)[start : start + _lines_at_once]
            query = f"""
                SELECT line, (SELECT lower(hex(hash)) FROM named WHERE id = lines.named), ({_SUPERSEDED})
                FROM lines WHERE line IN ({",".join("?" * len(some))})
            """  # noqa: S608 - a constant and question marks
            for line, node_hash, successor in self._run(query, tuple(some)):
                found[key_of[line]] = self._successors(node_hash)[-1] if successor else node_hash
        return found

    def remember_lines(self, harness: str, hash_by_key: Mapping[str, str]) -> None:
        """As the local store's."""
        first = int(self._run("SELECT coalesce(max(id), 0) + 1 FROM named")[0][0])
        number_of = {node_hash: first + n for n, node_hash in enumerate(dict.fromkeys(hash_by_key.values()))}
        named = [(number, bytes.fromhex(node_hash)) for node_hash, number in number_of.items()]
        lines = [(_line(harness, key), number_of[node_hash]) for key, node_hash in hash_by_key.items()]
        with self.transaction(), sqlite_errors(self.path):
            self._db.executemany("INSERT INTO named VALUES (?, ?)", named)
            self._db.executemany(_REMEMBER, lines)

    def set_cursor(self, source: str, state: dict[str, Json]) -> None:
        """As the local store's."""
        self._newest_source = source
        super().set_cursor(source, state)

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

    def _set_journal(self, mode: str) -> None:
        self._run(f"PRAGMA journal_mode = {mode}")

    def _insert(self, new: list[Written]) -> None:
        super()._insert(new)
        self._filled_bytes += sum(len(data) for _, data in new)

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
        began_in = (self._beneath.project_of(conversation) if conversation else None) or project
        ancestors = self._beneath.missing_ancestry(parent, began_in)
        self._insert([written(ancestor) for ancestor in reversed(ancestors)])

    def _with_project(
        self, conversations: Iterable[tuple[str, str | None]]
    ) -> Iterator[tuple[str, str | None]]:
        for conversation, project in conversations:
            if self._is_staged(conversation):
                yield conversation, project
            elif conversation in self._meant:
                yield conversation, self._meant[conversation] or project
            else:
                yield conversation, self._beneath.project_of(conversation) or project

    def _is_staged(self, node_hash: str) -> bool:
        return bool(super().has([node_hash]))


def _encoded(text: str) -> bytes:
    """File names that are no UTF-8 come as lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _line(harness: str, key: str) -> bytes:
    return blake2b(_encoded(f"{harness}\0{key}"), digest_size=_line_bytes).digest()
