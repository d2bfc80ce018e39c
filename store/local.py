"""This device's own turns in one SQLite file: what was imported, where importing stopped, and what changed since.

Several processes may use the file at once; one LocalStore belongs to one thread. Errors: StoreError (disk, locks), UsageError
(not our file, newer schema), FormatBroken (a node that could not be read back).
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from crypto.errors import FormatBroken, UsageError
from store.database import IN_MEMORY, connect
from store.database_errors import sqlite_errors
from store.eras import well_formed
from store.facts import facts_of
from store.limits import MIB
from store.local_path import LOCAL_STORE, local_store_path
from store.local_rows import (
    CHANGED_FACTS,
    CONVERSATION_FACTS_AFTER,
    FACTS_AFTER,
    INSERT_NODE,
    REPLACE_USAGE,
    LocalFacts,
    columns_of,
    facts_of_row,
    node_row,
)
from store.node_parse import is_sound, node_from_bytes, node_from_fields
from store.nodes import Json, Node, exact_bytes, node_to_bytes, node_to_dict

__all__ = ["Added", "Link", "LinkColumn", "LocalFacts", "LocalStore", "local_store_path"]

local_node_bytes_max: Final = 512 * MIB  # above node_bytes_max: what no frame may hold still stays here
_page_rows: Final = 1000  # rows read per query: memory stays bounded and no long snapshot holds up the WAL
batch_nodes_max: Final = 500  # written at once
batch_bytes_max: Final = 8 * MIB
# While much is written at once. Keys are hashes: each node lands in leaves of its own of four trees. With SQLite's 2 MiB of cache
# these are read again for every session, and with its 4 MiB of WAL written again as often.
bulk_cache_kib: Final = 131_072
bulk_wal_pages: Final = 16_384
# Another writer waits as long, and 30 s at most. Each commit writes the pages again that the one before touched.
gather_seconds_max: Final = 1.0
_keys_at_once: Final = 500  # of SQLite's 32,766 parameters of a query
Written = tuple[Node, bytes]
Link = tuple[str, str | None]  # hash, parent's hash
LinkColumn = Literal["hash", "parent_hash", "conversation"]
# How a transaction begins, ends well, and is undone.
_WHOLE: Final = ("BEGIN IMMEDIATE", "COMMIT", ["ROLLBACK"])
_PART: Final = ("SAVEPOINT part", "RELEASE part", ["ROLLBACK TO part", "RELEASE part"])


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` did. `unverified` counts those of the new nodes whose hash fits no era."""

    new: int
    known: int
    unverified: int


class LocalStore:
    """The local store at `path`. Every mutator is a transaction of its own unless one is open already."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self.path = path
        self._gathers = False  # ended transactions are committed together
        self._gathers_until = 0.0
        self._inside = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, creating or migrating it; a file that is not ours is refused untouched (UsageError)."""
        return cls(connect(path, LOCAL_STORE), path)

    def id(self) -> str:
        """Which store this is, 32 random hex digits: what is remembered of one says nothing of another in its place."""
        return str(self._run("SELECT hex(id) FROM store")[0][0])

    def close(self) -> None:
        """Close the file; an open transaction is rolled back."""
        with sqlite_errors(self.path):
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; waits for another writer. Inside another transaction it is a part that can fail alone."""
        if self._gathers and not self._db.in_transaction:
            self._run("BEGIN IMMEDIATE")
            self._gathers_until = time.monotonic() + gather_seconds_max
        outermost, self._inside = not self._inside, True
        try:
            with self._transaction():
                yield
        finally:
            self._inside = not outermost
        self._commit_if_due()

    def _commit_if_due(self) -> None:
        """What is gathered; a kill before leaves all of it to be imported again."""
        waits = self._gathers and not self._inside and self._db.in_transaction
        if waits and time.monotonic() >= self._gathers_until:
            self._run("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        begin, commit, undo = _PART if self._db.in_transaction else _WHOLE
        self._run(begin)
        try:
            yield
            self._run(commit)
        except BaseException:
            for statement in undo if self._db.in_transaction else []:  # a full disk may have ended it already
                self._run(statement)
            raise

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Transactions inside wait for no disk, and are committed together with what else a second brings.

        For what can be done again, as an import: a kill takes back the last second's, a power cut more, each whole, nodes and
        cursor alike. When this ends, well or not, all that ended well is committed; when it ends well, it is on the disk.
        """
        names = ("synchronous", "cache_size", "wal_autocheckpoint")
        before = {name: self._value(f"PRAGMA {name}") for name in names}
        try:
            self._set(synchronous=1, cache_size=-bulk_cache_kib, wal_autocheckpoint=bulk_wal_pages)
            self._gathers = self.path != IN_MEMORY
            yield
        finally:
            self._gathers = False
            if self._db.in_transaction:
                self._run("COMMIT")
            self._set(**before)
        self._run("PRAGMA wal_checkpoint(PASSIVE)")

    def add(self, nodes: Iterable[Node]) -> Added:
        """Store nodes, parents before children.

        A known hash changes nothing, except that a larger output count of the same model call replaces usage, cost and
        stop reason: the turn had been read while still growing.
        """
        added = Added(0, 0, 0)
        with self.transaction():
            for batch in _batches(map(written, nodes)):
                some = self._add(batch)
                added = Added(
                    added.new + some.new, added.known + some.known, added.unverified + some.unverified
                )
        return added

    def has(self, hashes: Iterable[str]) -> set[str]:
        """Those of `hashes` that are stored."""
        return set(self._conversations(list(hashes)))

    def get(self, node_hash: str) -> Node | None:
        """The node, or None."""
        data = self.get_bytes(node_hash)
        return None if data is None else _read_back(data, node_hash)

    def get_bytes(self, node_hash: str) -> bytes | None:
        """The node's stored JSON as it was written, or None."""
        query = "SELECT json FROM node_json WHERE id = (SELECT id FROM nodes WHERE hash = ?)"
        data: bytes | None = self._value(query, node_hash)
        return data

    def stored(self, rowids: Sequence[int]) -> dict[int, bytes]:
        """The stored JSON of those of the nodes that are here, by rowid, in one query; the caller bounds how much that is."""
        query = "SELECT id, json FROM node_json WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self._run(query, (json.dumps(rowids),)))

    def ancestry(self, node_hash: str) -> list[Node]:
        """The node first, its root last. A parent that is not here ends the list, and so does a cycle."""
        found: dict[str, Node] = {}
        step: str | None = node_hash
        while step is not None and step not in found and (node := self.get(step)) is not None:
            found[step] = node
            step = node.parent_hash
        return list(found.values())

    def leaves(self) -> Iterator[str]:
        """Hashes of nodes without a child, in order of hash; what was superseded counts neither as leaf nor as child."""
        query = """
            SELECT hash FROM nodes WHERE hash > ? AND superseded_by IS NULL AND NOT EXISTS (
                SELECT 1 FROM nodes AS child WHERE child.parent_hash = nodes.hash AND child.superseded_by IS NULL
            ) ORDER BY hash LIMIT ?
        """
        last = ""
        while rows := self._run(query, (last, _page_rows)):
            yield from (row[0] for row in rows)
            last = rows[-1][0]

    def conversation_of(self, node_hash: str) -> str | None:
        """The conversation of a stored node, fixed when it was added; None for a node that is not here."""
        found: str | None = self._value("SELECT conversation FROM nodes WHERE hash = ?", node_hash)
        return found

    def count(self) -> int:
        """How many nodes are stored."""
        # They are numbered one by one and never deleted: counting would look at each, at every sync.
        return int(self._run("SELECT coalesce(max(id), 0) FROM nodes")[0][0])

    def conversation_count(self) -> int:
        """How many conversations the stored nodes belong to."""
        return int(self._run("SELECT count(*) FROM nodes WHERE hash = conversation")[0][0])

    def resolve(self, prefix: str, limit: int) -> list[str]:
        """Up to `limit` node hashes that start with `prefix`, in order; what is no lower-case hex matches none."""
        query = "SELECT hash FROM nodes WHERE hash >= ? AND hash < ? ORDER BY hash LIMIT ?"
        if prefix.strip("0123456789abcdef"):
            return []
        return [row[0] for row in self._run(query, (prefix, prefix + "g", limit))]

    def cursor(self, source: str) -> dict[str, Json] | None:
        """The state an importer left for `source` (a file), or None."""
        self._commit_if_due()  # asked before each file: a thousand untouched ones after a new one hold up no other writer
        state = self._value("SELECT state FROM cursors WHERE source = ?", _key(source))
        return None if state is None else json.loads(state)

    def set_cursor(self, source: str, state: dict[str, Json]) -> None:
        """Remember an importer's state for `source`; put it in one transaction with the nodes it speaks of."""
        with self.transaction():
            self._run("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (_key(source), json.dumps(state)))

    def line_nodes(self, harness: str, keys: Iterable[str]) -> dict[str, str]:
        """The node that each known log line became; for a superseded one the node that took its place."""
        key_of = {_key(key): key for key in keys}
        found = {}
        for start in range(0, len(key_of), _keys_at_once):
            some = list(key_of)[start : start + _keys_at_once]
            query = f"""
                SELECT key, line_nodes.hash, superseded_by FROM line_nodes LEFT JOIN nodes USING (hash)
                WHERE line_nodes.harness = ? AND key IN ({",".join("?" * len(some))})
            """  # noqa: S608 - question marks only
            for key, node_hash, successor in self._run(query, (harness, *some)):
                found[key_of[key]] = self._successors(node_hash)[-1] if successor else node_hash
        return found

    def remember_lines(self, harness: str, hash_by_key: Mapping[str, str]) -> None:
        """Remember which node each line became. The first writer wins, unless its node was superseded since."""
        query = """
            INSERT INTO line_nodes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET hash = excluded.hash
            WHERE EXISTS (SELECT 1 FROM nodes WHERE nodes.hash = line_nodes.hash AND superseded_by IS NOT NULL)
        """
        rows = [(harness, _key(key), node_hash) for key, node_hash in hash_by_key.items()]
        with self.transaction(), sqlite_errors(self.path):
            self._db.executemany(query, rows)

    def supersede(self, old: str, new: str) -> None:
        """Mark `old`, read while its message was still growing, as replaced by `new`. UsageError when that cannot be."""
        query = """
            UPDATE nodes SET superseded_by = ?, change = (SELECT max(change) + 1 FROM nodes)
            WHERE hash = ? AND superseded_by IS NOT ?
        """
        with self.transaction():
            if not self.has([old]) or old in self._successors(new):
                raise UsageError(f"node {old} cannot be superseded by {new}")
            self._run(query, (new, old, new))

    def facts(self, after_rowid: int = 0) -> Iterator[LocalFacts]:
        """Every node's facts from `after_rowid` on, exclusive, in order of insertion; reads a page at a time."""
        while rows := self._run(FACTS_AFTER, (after_rowid, _page_rows)):
            yield from map(facts_of_row, rows)
            after_rowid = rows[-1][0]

    def conversations_named(self, name: str) -> set[str]:
        """Conversations with a node whose hash or agent session's id starts with `name`, or whose own id does."""
        text = well_formed(name)
        query = "SELECT DISTINCT conversation FROM nodes WHERE harness_session >= ? AND harness_session < CAST(? AS TEXT)"
        # The index knows no "starts with". No text has a byte 255, so this one sorts after all that start so.
        found = {row[0] for row in self._run(query, (text, text.encode() + b"\xff"))}
        start = name.lower()
        if start.strip("0123456789abcdef"):
            return found
        return found.union(
            *(self.conversations_where(column, [start]) for column in ("hash", "conversation"))
        )

    def conversations_where(self, column: LinkColumn, starts: Iterable[str]) -> set[str]:
        """Conversations with a node whose hash, or parent's, or conversation's, starts with one of these hex digits."""
        # CROSS: from the few starts to their nodes by the index, never the other way round.
        query = f"""
            SELECT DISTINCT conversation FROM json_each(?) AS start
            CROSS JOIN nodes ON {column} >= start.value AND {column} < start.value || 'g'
        """  # noqa: S608 - one of our own names
        return {row[0] for row in self._run(query, (json.dumps(list(starts)),))}

    def links_of(self, conversation: str) -> Iterator[Link]:
        """How one conversation's nodes hang together, superseded ones too, in order of insertion; reads a page at a time."""
        query = """
            SELECT id, hash, parent_hash FROM nodes WHERE conversation = ? AND id > ? ORDER BY id LIMIT ?
        """
        after_rowid = 0
        while rows := self._run(query, (conversation, after_rowid, _page_rows)):
            yield from (row[1:] for row in rows)
            after_rowid = rows[-1][0]

    def conversation_facts(self, conversation: str) -> Iterator[LocalFacts]:
        """The facts of one conversation's nodes, parents before children; reads a page at a time."""
        after_rowid = 0
        while rows := self._run(CONVERSATION_FACTS_AFTER, (conversation, after_rowid, _page_rows)):
            yield from map(facts_of_row, rows)
            after_rowid = rows[-1][0]

    def changed_facts(self, since: int) -> list[LocalFacts]:
        """The facts of the nodes changed after change `since`; the caller knows by `last_change` that they are few."""
        return list(map(facts_of_row, self._run(CHANGED_FACTS, (since,))))

    def last_change(self) -> int:
        """The number of the last change to any node; it grows with insertions, better usage and supersessions."""
        return int(self._run("SELECT coalesce(max(change), 0) FROM nodes")[0][0])

    def changed_conversations(self, since: int) -> Iterator[tuple[str, str | None]]:
        """(conversation, its first node's project that has one) for conversations changed after change `since`."""
        # The plus: else SQLite walks all conversations, at every sync; which is the shorter way where all are asked for.
        query = f"""
            SELECT conversation, (
                SELECT project FROM nodes AS member
                WHERE member.conversation = nodes.conversation AND project IS NOT NULL ORDER BY id LIMIT 1
            ) FROM nodes {"WHERE change > :since GROUP BY +conversation" if since else "GROUP BY conversation"} ORDER BY min(id)
        """  # noqa: S608 - our own words
        yield from self._run(query, {"since": since})

    def outputs_of(self, conversation: str, stored_bytes_max: int) -> Iterator[tuple[str, int | None]]:
        """(hash, output tokens) of a conversation's nodes but superseded and larger ones; reads a page at a time."""
        query = """
            SELECT id, hash, output FROM nodes
            WHERE conversation = ? AND id > ? AND superseded_by IS NULL AND stored_bytes <= ? ORDER BY id LIMIT ?
        """
        after_rowid = 0
        while rows := self._run(query, (conversation, after_rowid, stored_bytes_max, _page_rows)):
            yield from (row[1:] for row in rows)
            after_rowid = rows[-1][0]

    def count_of(self, conversation: str) -> int:
        """How many nodes a conversation has here, superseded ones among them."""
        return int(self._run("SELECT count(*) FROM nodes WHERE conversation = ?", (conversation,))[0][0])

    def projects(self) -> set[str]:
        """Every project that some node names."""
        # From one project to the next by the index: DISTINCT would look at every node, at every sync.
        query = """
            WITH RECURSIVE found(project) AS (
                SELECT min(project) FROM nodes UNION ALL
                SELECT (SELECT min(project) FROM nodes WHERE project > found.project) FROM found WHERE project IS NOT NULL
            ) SELECT project FROM found WHERE project IS NOT NULL
        """
        return {row[0] for row in self._run(query)}

    def nodes_over(self, stored_bytes: int) -> list[tuple[str, int]]:
        """(hash, stored bytes) of the nodes larger than `stored_bytes`, without superseded ones."""
        query = "SELECT hash, stored_bytes FROM nodes WHERE stored_bytes > ? AND superseded_by IS NULL ORDER BY +id"
        return self._run(query, (stored_bytes,))  # the plus: else SQLite walks all nodes in their order

    def _add(self, batch: list[Written]) -> Added:
        here = self._conversations([node.hash for node, _ in batch])
        new: dict[str, Written] = {}
        again = []
        for node, data in batch:
            if node.hash in here or node.hash in new:
                again.append(node)
            else:
                new[node.hash] = (node, data)
        self._insert(list(new.values()))
        for node in again:
            stored = self.get(node.hash)
            if stored is not None and _is_better(node, stored):
                self._replace_usage(stored, node)
        return Added(len(new), len(again), sum(not node.verified for node, _ in new.values()))

    def _insert(self, new: list[Written]) -> None:
        inside = {node.hash for node, _ in new}
        conversations = self._begun({node.parent_hash for node, _ in new if node.parent_hash} - inside)
        ((rowid, change),) = self._run("SELECT coalesce(max(id), 0), coalesce(max(change), 0) FROM nodes")
        rows = []
        for number, (node, data) in enumerate(new, 1):
            conversation = conversations.get(node.parent_hash or "", node.hash)
            conversations[node.hash] = conversation
            rows.append(node_row(facts_of(node), rowid + number, change + number, conversation, len(data)))
        with sqlite_errors(self.path):
            self._db.executemany(INSERT_NODE, rows)
            texts = ((rowid + number, data) for number, (_, data) in enumerate(new, 1))
            self._db.executemany("INSERT INTO node_json VALUES (?, ?)", texts)

    def _begun(self, parents: set[str]) -> dict[str, str]:
        """The conversations that children of these nodes go on."""
        return self._conversations(list(parents))

    def _conversations(self, hashes: Sequence[str]) -> dict[str, str]:
        """The conversation of those of `hashes` that are stored."""
        query = "SELECT hash, conversation FROM nodes WHERE hash IN (SELECT value FROM json_each(?))"
        return dict(self._run(query, (json.dumps(hashes),)))

    def _replace_usage(self, stored: Node, better: Node) -> None:
        usage_id = better.source.usage_id if better.source else None
        source = replace(stored.source, usage_id=usage_id) if stored.source and usage_id else stored.source
        node = replace(
            stored, usage=better.usage, cost=better.cost, stop_reason=better.stop_reason, source=source
        )
        _, data = written(node)
        self._run(REPLACE_USAGE, columns_of(facts_of(node), len(data)))
        query = "INSERT OR REPLACE INTO node_json SELECT id, ? FROM nodes WHERE hash = ?"
        self._run(query, (data, node.hash))

    def _successors(self, node_hash: str) -> list[str]:
        """The node, what superseded it, what superseded that, and so on."""
        chain, query = [node_hash], "SELECT superseded_by FROM nodes WHERE hash = ?"
        while (successor := self._value(query, chain[-1])) is not None:  # `supersede` lets no circle in
            chain.append(successor)
        return chain

    def _set(self, **pragmas: int) -> None:
        for name, value in pragmas.items():
            self._run(f"PRAGMA {name} = {value}")

    def _value(self, query: str, *parameters: str | bytes) -> Any:
        """The first column of the first row, or None. A text that is no UTF-8 (from a command line) matches nothing."""
        clean = tuple(well_formed(p) if isinstance(p, str) else p for p in parameters)
        return next((row[0] for row in self._run(query, clean)), None)

    def _run(self, query: str, parameters: tuple[Any, ...] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        with sqlite_errors(self.path):
            return self._db.execute(query, parameters).fetchall()


def _is_better(node: Node, stored: Node) -> bool:
    """Whether `node` knows more about the same model call. Two calls may well give the same turn: then the first stays."""
    calls = {n.source.usage_id for n in (node, stored) if n.source and n.source.usage_id}
    if node.usage is None or len(calls) > 1:
        return False
    return stored.usage is None or node.usage.output > stored.usage.output


def written(node: Node) -> Written:
    """With the bytes to store, which can be read back: an infinity or a count of 70 bits must not get in."""
    fields, name = node_to_dict(node), f"node {node.hash}"
    data = exact_bytes(fields)
    if data is not None:
        if not is_sound(node):
            node_from_fields(fields, name, verify=False)  # says what is wrong
        return node, data
    try:
        data = node_to_bytes(node)
    except (ValueError, TypeError, RecursionError) as problem:
        raise FormatBroken(name, f"cannot be written as JSON ({type(problem).__name__})") from None
    _read_back(data, node.hash)
    return node, data


def _batches(written: Iterable[Written]) -> Iterator[list[Written]]:
    batch: list[Written] = []
    size_bytes = 0
    for node, data in written:
        batch.append((node, data))
        size_bytes += len(data)
        if len(batch) >= batch_nodes_max or size_bytes >= batch_bytes_max:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _read_back(data: bytes, node_hash: str) -> Node:
    return node_from_bytes(data, f"node {node_hash}", verify=False, bytes_max=local_node_bytes_max)


def _key(text: str) -> bytes:
    """File names that are no UTF-8 come as lone surrogates, which SQLite's text would refuse."""
    return text.encode("utf-8", "surrogatepass")
