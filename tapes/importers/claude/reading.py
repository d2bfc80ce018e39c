"""One pass over a file: lines into the window, closed units into nodes, batches into the store.

A batch is one transaction of nodes, line keys and cursor, so a crash costs whole batches and counts nothing twice. At the end of
the file the open units are stored too, provisionally: totals are exact at any moment. The next import forms them again from the
cursor on; one that has grown supersedes what was stored before.
"""

import json
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice

from store.local import LocalStore
from store.nodes import Json, Node
from tapes.importers.claude.cursor import ROOT, Cursor, digests
from tapes.importers.claude.entries import Entry, entry_of
from tapes.importers.claude.files import LogFile
from tapes.importers.claude.nodes import HARNESS, best_usage, build, stop_reason, usage_and_cost
from tapes.importers.claude.usage import usage_problem
from tapes.importers.claude.window import Unit, Window
from tapes.importers.lines import BadLine, Line
from tapes.importers.report import Tally

conversations_kept_max = 256  # in the cursor, for the report on an untouched file
_EXPORT_HEAD = "export"  # an export is read whole each time it changes: it has no bytes to resume at


class Raced(Exception):
    """Another import moved this file's cursor meanwhile: read the file again from there."""


class Reading:
    """The window of one file, and what is waiting for the next transaction.

    `state` is the cursor as the store holds it, `cursor` where to start by it; `atomic`: each batch commits itself.
    """

    def __init__(
        self,
        store: LocalStore,
        log: LogFile,
        cursor: Cursor,
        source: str,
        state: dict[str, Json] | None,
        *,
        atomic: bool,
    ) -> None:
        self._store = store
        self._log = log
        self._source = source
        self._state = state  # the cursor as the store holds it: changed means that somebody else is importing
        self._atomic = atomic
        self._window = Window(cursor, self._known, self._node_of)
        self._unfinished = {unit.hash for unit in cursor.open if unit.hash}
        self._finished = set(cursor.done)
        self._end, self._end_line = cursor.offset, cursor.line
        self.started = False
        self._nodes_before = self._nodes_closed = cursor.nodes_closed
        self._conversations: set[str] = set(cursor.conversations)
        self._roots_seen: set[str] = set()
        self._start_batch()

    def _start_batch(self) -> None:
        self._tally = Tally()
        self._nodes: list[Node] = []
        self._superseded: list[tuple[str, str]] = []
        self._keys: dict[str, str] = {}  # of closed units; the window knows the open ones
        self._replayed: dict[str, Entry] = {}
        self._stored: dict[str, str | None] = {}  # what the store says about a key

    # Lines

    def take(self, batch: list[Line]) -> None:
        """Feed a batch of lines to the window and build what closes."""
        self.started = True
        entries = self._entries(batch)
        keys = {key for entry in entries for key in (entry.key, entry.message_key) if key}
        found = self._store.line_nodes(HARNESS, keys)
        self._stored = {key: found.get(key) for key in keys}
        for entry in entries:
            try:
                for unit in self._window.feed(entry):
                    self._close(unit)
            except BadLine as bad:
                self._skip(entry.line, str(bad))
        self._end, self._end_line = batch[-1].end, batch[-1].number + batch[-1].closed

    def _entries(self, batch: list[Line]) -> list[Entry]:
        entries = []
        for line in batch:
            if line.start in self._finished:
                continue
            try:
                entries.append(entry_of(line, self._log))
            except BadLine as bad:
                self._skip(line, str(bad))
        return entries

    def _skip(self, line: Line, problem: str) -> None:
        self._finished.add(line.start)
        self._tally.note(self._log.name, line.number, problem, skipped=True)

    def _known(self, key: str) -> str | None:
        found = self._keys.get(key)
        if found is None:
            if key not in self._stored:
                self._stored[key] = self._store.line_nodes(HARNESS, [key]).get(key)
            found = self._stored[key]
        return None if found in self._unfinished else found

    def _node_of(self, node_hash: str) -> Node | None:
        waiting = next((node for node in self._nodes if node.hash == node_hash), None)
        return waiting or self._store.get(node_hash)

    # Units

    def _close(self, unit: Unit) -> None:
        self._nodes_closed += self._store_unit(unit)
        self._window.settle(unit)
        self._finished.update(unit.starts)
        for key, target in unit.aliases.items():
            self._remember(key, target if isinstance(target, str) else target.hash)
        unit.release()

    def _store_unit(self, unit: Unit) -> int:
        """Build a unit's node, or note that it is stored already; answers how many nodes it stands for."""
        before = len(self._nodes)
        if unit.known:
            self._note_replay(unit)
        else:
            self._build(unit)
        for entry in unit.entries:
            self._remember(entry.key, unit.hash)
        if unit.first.message_key:
            self._remember(unit.first.message_key, unit.hash)
        return 1 if unit.known else len(self._nodes) - before

    def _remember(self, key: str, node_hash: str) -> None:
        if node_hash:
            self._keys.setdefault(key, node_hash)

    def _anchor(self, unit: Unit, root: str | None) -> None:
        """A session hangs under the root of the first turn it was found with; its subagents then hang there too."""
        key = _session_key(unit)
        if root and unit.agent is None and self._known(key) is None:
            self._remember(key, root)

    def _note_replay(self, unit: Unit) -> None:
        self._anchor(unit, self._store.conversation_of(unit.hash))
        self._tally.nodes_known += 1
        best = best_usage(unit.entries)
        if best and (
            unit.hash not in self._replayed or best.output_tokens > self._replayed[unit.hash].output_tokens
        ):
            self._replayed[unit.hash] = best

    def _build(self, unit: Unit) -> None:
        parent = unit.parent if isinstance(unit.parent, str) else unit.parent.hash
        try:
            built = build(unit, parent, self._known(_session_key(unit)) if parent == ROOT else None)
        except BadLine as bad:
            unit.hash = parent  # what follows it hangs where it would have hung
            for entry in unit.entries:
                self._skip(entry.line, str(bad))
            return
        roots = [root for root in built.roots if root.hash not in self._roots_seen]
        self._roots_seen.update(root.hash for root in roots)
        self._nodes += [*roots, built.node]
        if built.roots:
            self._anchor(unit, built.roots[0].hash)
            self._conversations.update(root.hash for root in built.roots if root.parent_hash is None)
        unit.hash = built.node.hash
        self._check_usage(unit)
        if unit.old and unit.old != unit.hash:
            self._superseded.append((unit.old, unit.hash))
        self._unfinished.discard(unit.old)

    def _check_usage(self, unit: Unit) -> None:
        for entry in unit.entries:
            problem = usage_problem(entry.record["message"].get("usage")) if entry.kind == "assistant" else ""
            if problem and not unit.old:  # an unfinished unit was checked when it was first stored
                self._tally.note(self._log.name, entry.line.number, problem, skipped=False)

    # Batches

    def flush(self, file: int) -> Tally:
        """Store what closed and move the cursor, all or nothing; answers what that comes to. `file` is a descriptor."""
        cursor = self._cursor(file)
        return self._write(
            replace(cursor, size_bytes=-1)
        )  # not the end yet: the file must not pass as untouched

    def finish(self, file: int, size_bytes: int, mtime_ns: int) -> Tally:
        """Store the open units as well. Size and time are the file's before it was read."""
        open_nodes = sum(self._store_unit(unit) for unit in self._window.open)
        cursor = replace(self._cursor(file), size_bytes=size_bytes, mtime_ns=mtime_ns)
        waiting = len(self._window.pending)
        self._tally.take(Tally(nodes_known=self._nodes_before, waiting_lines=waiting, files=1))
        return self._write(replace(cursor, nodes=self._nodes_closed + open_nodes, waiting=waiting))

    def _cursor(self, file: int) -> Cursor:
        """Where to go on: at the oldest line that is not finished with."""
        begins = [(unit.start, unit.start_line) for unit in islice(self._window.open, 1)]
        begins += [(side.line.start, side.line.number) for side in self._window.pending[:1]]
        offset, line = min(begins, default=(self._end, self._end_line))
        self._finished = {start for start in self._finished if start >= offset}
        head, anchor = (_EXPORT_HEAD, "") if self._log.export else digests(file, self._end)
        return Cursor(
            offset=offset,
            line=line,
            read_bytes=self._end,
            head=head,
            anchor=anchor,
            lanes=dict(self._window.closed_lanes),
            open=self._window.reopened(),
            done=frozenset(self._finished),
            nodes_closed=self._nodes_closed,
        )

    def _write(self, cursor: Cursor) -> Tally:
        with self._store.transaction() if self._atomic else nullcontext():
            if self._store.cursor(self._source) != self._state:
                raise Raced
            added = self._store.add(self._nodes)
            for old, new in self._superseded:
                self._store.supersede(old, new)
            self._store.remember_lines(HARNESS, self._keys)
            self._complete_replayed()
            self._find_conversations()
            kept = tuple(sorted(self._conversations)[:conversations_kept_max])
            state = json.loads(json.dumps(replace(cursor, conversations=kept).to_dict()))
            self._store.set_cursor(self._source, state)
        self._state = state
        done = self._tally
        done.take(Tally(set(self._conversations), added.new, added.known, added.unverified))
        self._start_batch()
        return done

    def _complete_replayed(self) -> None:
        """A replay may hold the complete usage of a call that was torn where it was first found."""
        for node_hash, entry in self._replayed.items():
            node = self._store.get(node_hash)
            if node is None or (node.usage and node.usage.output >= entry.output_tokens):
                continue
            usage, cost = usage_and_cost(entry, node.bucket.get("model") or "")
            reason = stop_reason([entry]) or node.stop_reason
            self._store.add([replace(node, usage=usage, cost=cost, stop_reason=reason)])

    def _find_conversations(self) -> None:
        tails = {tail.hash for tail in self._window.closed_lanes.values()} | {
            u.hash for u in self._window.open
        }
        found = (self._store.conversation_of(tail) for tail in tails if tail)
        self._conversations.update(conversation for conversation in found if conversation)


def _session_key(unit: Unit) -> str:
    return f"session:{unit.first.session}"
