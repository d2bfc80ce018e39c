"""Importing one rollout from where the last import stopped, in batches that each are one transaction.

The cursor stands at the last quiet point: the byte offset and the thread's state there. What came after it was stored all the
same, so that totals are exact at any moment; the next import reads it again, and what has grown supersedes what was stored.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from store.limits import MIB
from store.local import LocalStore
from store.nodes import Json
from tapes.importers.codex.files import opened, rollout_name, thread_id
from tapes.importers.codex.rollout import Made, Rollout
from tapes.importers.codex.thread import HARNESS, Thread, thread_from
from tapes.importers.lines import BadLine, Line, read_lines
from tapes.importers.report import Tally
from tapes.importers.whole_session import path_name

batch_lines_max = 1_000
batch_bytes_max = 16 * MIB
_VERSION = 1
_START_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where to go on. `start` are the first bytes of the file, to tell one that was appended to from another of its name."""

    thread: Thread
    offset: int = 0
    line: int = 1
    noted: int = 0  # the last line whose problem was reported
    nodes: int = 0  # nodes that stand before the offset
    start: bytes = b""
    provisional: tuple[
        tuple[str, str], ...
    ] = ()  # units after the offset that are stored already -> their nodes
    conversations: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Json]:
        """As the local store keeps it."""
        return {
            "thread": self.thread.to_dict(),
            "offset": self.offset,
            "line": self.line,
            "noted": self.noted,
            "nodes": self.nodes,
            "start": self.start.hex(),
            "provisional": self.provisional,
            "conversations": self.conversations,
        }


class Raced(Exception):
    """Another import moved this rollout's cursor meanwhile."""


class RolloutImport:
    """The import of one rollout. `atomic`: each batch commits itself."""

    def __init__(self, store: LocalStore, path: Path, *, atomic: bool) -> None:
        self._store = store
        self._path = path
        self._name = path_name(path)
        self._atomic = atomic
        self._source = f"{HARNESS}:{rollout_name(path)}"
        self._state = store.cursor(self._source)
        self._tally = Tally(files=1)
        self._begun = False

    def run(self, tell: Callable[[int], None]) -> Tally:
        """Import what is new; what could not be taken is in the tally. OSError when the file cannot be read."""
        stat = self._path.stat()
        stamp = [self._path.suffix, stat.st_size, stat.st_mtime_ns]
        state = self._state
        if state is not None and (state.get("version"), state.get("stamp")) == (_VERSION, stamp):
            self._tally.conversations.update(state["conversations"])
            self._tally.nodes_known, self._tally.waiting_lines = state["total"], state["waiting"]
            return self._tally
        try:
            self._read(stamp, tell)
        except Raced:
            self._tally.note(self._name, 0, "another import of it is running; import again", skipped=False)
        return self._tally

    def _read(self, stamp: list[Json], tell: Callable[[int], None]) -> None:
        with opened(self._path) as file:
            self._start = file.read(_START_BYTES)
        cursor = self._resumed()
        self._begin(cursor)
        with opened(self._path) as file:
            lines = read_lines(file, cursor.offset, cursor.line)
            while batch := _batch(lines):
                if self._begun:
                    self._write(
                        None
                    )  # a rollout that is one batch is one transaction: each costs a disk flush
                self._begun = True
                for line in batch:
                    self._feed(line)
                tell(batch[-1].end)
        self._rollout.finish()
        self._write(stamp)

    def _resumed(self) -> _Cursor:
        """The kept cursor; the beginning for a file that was cut or is another one. That is safe: equal turns are equal nodes."""
        cursor = _cursor_from(self._state)
        plain_bytes = None if self._path.suffix == ".zst" else self._path.stat().st_size
        cut = plain_bytes is not None and cursor is not None and cursor.offset > plain_bytes
        if cursor is None or cut or not self._start.startswith(cursor.start):
            return _Cursor(Thread(thread_id(self._path)))
        return cursor

    def _begin(self, cursor: _Cursor) -> None:
        self._rollout = Rollout(cursor.thread, dict(cursor.provisional), self._known, self._note)
        self._quiet = cursor
        self._noted_before = self._noted = cursor.noted
        self._nodes = cursor.nodes
        self._tally.nodes_known += cursor.nodes
        self._tally.conversations.update(cursor.conversations)

    def _feed(self, line: Line) -> None:
        try:
            self._rollout.feed(line)
        except BadLine as bad:
            self._note(line, str(bad), skipped=True)
        if self._rollout.quiet and line.closed:
            nodes = self._nodes + _made_count(self._rollout.made)
            self._quiet = replace(
                self._quiet, thread=self._rollout.thread, offset=line.end, line=line.number + 1, nodes=nodes
            )
            self._rollout.since_quiet.clear()

    def _note(self, line: Line, problem: str, *, skipped: bool = False) -> None:
        if line.number > self._noted_before:  # else it was reported by the import before
            self._tally.note(self._name, line.number, problem, skipped=skipped)
            self._noted = max(self._noted, line.number)

    def _known(self, key: str) -> str | None:
        return self._rollout.made.hashes.get(key) or self._store.line_nodes(HARNESS, [key]).get(key)

    def _write(self, stamp: list[Json] | None) -> None:
        """Store what was made and move the cursor, all or nothing. `stamp`: the file's, once all of it was read."""
        made, self._rollout.made = self._rollout.made, Made()
        self._nodes += _made_count(made)
        with self._store.transaction() if self._atomic else nullcontext():
            if self._store.cursor(self._source) != self._state:
                raise Raced
            self._add(made)
            tail = self._rollout.thread.tail or self._rollout.thread.anchor
            conversation = self._store.conversation_of(tail)
            if conversation:
                self._tally.conversations.add(conversation)
            self._state = json.loads(json.dumps(self._cursor(stamp)))
            self._store.set_cursor(self._source, self._state)
        if stamp is not None:
            self._tally.waiting_lines += len(self._rollout.side)

    def _add(self, made: Made) -> None:
        added = self._store.add(made.nodes)
        self._store.add(made.again)
        for old, new in made.superseded:
            self._store.supersede(old, new)
        self._store.remember_lines(HARNESS, made.hashes)
        self._tally.take(Tally(set(), added.new, added.known + made.replayed, added.unverified))

    def _cursor(self, stamp: list[Json] | None) -> dict[str, Json]:
        provisional = {**({} if stamp else self._rollout.before), **self._rollout.since_quiet}
        cursor = replace(
            self._quiet,
            noted=self._noted,
            start=self._start,
            provisional=tuple(provisional.items()),
            conversations=tuple(sorted(self._tally.conversations)),
        )
        told = {"stamp": stamp, "total": self._nodes, "waiting": len(self._rollout.side)}
        return {"version": _VERSION, **told, **cursor.to_dict()}


def _made_count(made: Made) -> int:
    return len(made.nodes) + made.replayed


def _batch(lines: Iterator[Line]) -> list[Line]:
    batch: list[Line] = []
    for line in islice(lines, batch_lines_max):
        batch.append(line)
        if line.end - batch[0].start >= batch_bytes_max:
            break
    return batch


def _cursor_from(state: dict[str, Json] | None) -> _Cursor | None:
    """Read a kept cursor; None for what is none (another version's)."""
    if state is None or state.get("version") != _VERSION:
        return None
    try:
        return _Cursor(
            thread=thread_from(state["thread"]),
            offset=state["offset"],
            line=state["line"],
            noted=state["noted"],
            nodes=state["nodes"],
            start=bytes.fromhex(state["start"]),
            provisional=tuple((unit, node_hash) for unit, node_hash in state["provisional"]),
            conversations=tuple(state["conversations"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
