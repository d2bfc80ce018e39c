"""Storing a session that is read whole each time it changes: its records may be edited in place, so every turn is built again.

Each turn is known by its key. One whose content has changed since it was stored is superseded by its new form, and with it all
that follow it, since their hashes contain it. What has gone from the log stays: absence is never a tombstone.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from store.local import LocalStore
from store.nodes import Json, Node
from tapes.importers.lines import BadLine
from tapes.importers.report import Tally
from tapes.importers.turns import Turn, node_of, root_of

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """What was wrong at a line (0: no line to name); `skipped` when something was left out because of it."""

    line: int
    what: str
    skipped: bool = True


@dataclass(frozen=True, slots=True)
class Session:
    """A session read from a log, turns after the turns they follow. `above`: the sessions it was called from, outermost first."""

    id: str
    turns: list[Turn]
    above: tuple[str, ...] = ()
    project: str | None = None
    created_at: str | None = None
    extra: dict[str, Json] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class SessionWriter:
    """Writes sessions of one harness. `atomic`: each session is a transaction; else a dry run's transaction is open."""

    def __init__(self, store: LocalStore, harness: str, *, atomic: bool) -> None:
        self._store = store
        self._harness = harness
        self._atomic = atomic

    def write(
        self,
        path: str,
        source: str,
        stamp: list[Json],
        read: Callable[[], Session | None],
    ) -> Tally:
        """Store what `read` finds, unless `stamp` (sizes, times, counts) is as the last import of `source` left it.

        Nodes, keys and cursor go in together, so a crash costs one session. A session that reads as None has no turns.
        """
        state = self._store.cursor(source)
        if state is not None and (state.get("version"), state.get("stamp")) == (_VERSION, stamp):
            return Tally(set(state["conversations"]), nodes_known=state["nodes"], files=1)
        session = read()
        tally = Tally(files=1)
        noted = _note(
            session, path, tally, state["noted"] if state and state.get("version") == _VERSION else 0
        )
        with self._store.transaction() if self._atomic else nullcontext():
            nodes = self._store_turns(session, path, tally) if session is not None and session.turns else 0
            kept = {"nodes": nodes, "noted": noted, "conversations": sorted(tally.conversations)}
            self._store.set_cursor(source, {"version": _VERSION, "stamp": stamp, **kept})
        return tally

    def _store_turns(self, session: Session, path: str, tally: Tally) -> int:
        roots = self._roots(session)
        known = self._store.line_nodes(self._harness, [turn.key for turn in session.turns])
        made = self._build(session, roots[-1].hash, known, path, tally)
        nodes = [*roots, *made.nodes]
        added = self._store.add(nodes)
        for old, new in made.superseded:
            self._store.supersede(old, new)
        self._store.remember_lines(self._harness, made.hashes)
        conversation = self._store.conversation_of(roots[-1].hash)
        tally.take(Tally({conversation} if conversation else set(), added.new, added.known, added.unverified))
        return len(nodes)

    def _roots(self, session: Session) -> list[Node]:
        """The roots from the outermost session down to this one's own; only the last carries this session's metadata."""
        roots: list[Node] = []
        for above in session.above:
            roots.append(root_of(self._harness, above, roots[-1].hash if roots else None))
        own = root_of(
            self._harness,
            session.id,
            roots[-1].hash if roots else None,
            project=session.project,
            created_at=session.created_at,
            extra=session.extra,
        )
        return [*roots, own]

    def _build(self, session: Session, root: str, known: dict[str, str], path: str, tally: Tally) -> "_Made":
        made = _Made()
        for turn in session.turns:
            parent = made.hashes.get(turn.parent_key, root) if turn.parent_key else root
            try:
                node = node_of(turn, parent, self._harness, session.id)
            except BadLine as bad:
                tally.note(path, 0, f"a turn: {bad}", skipped=True)
                made.hashes[turn.key] = parent  # what follows it hangs where it would have hung
                continue
            old = known.get(turn.key)
            if old and old != node.hash and self._store.has([node.hash]):
                # It has this very content again, which was superseded once: the store knows no way back, the later form stays.
                made.hashes[turn.key] = old
                continue
            made.nodes.append(node)
            made.hashes[turn.key] = node.hash
            if old and old != node.hash:
                made.superseded.append((old, node.hash))
        return made


@dataclass(slots=True)
class _Made:
    nodes: list[Node] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    superseded: list[tuple[str, str]] = field(default_factory=list)


def _note(session: Session | None, path: str, tally: Tally, noted: int) -> int:
    """Report the problems of lines after `noted`, the last one that an earlier import reported; answers the last one now."""
    found = (
        [problem for problem in session.problems if problem.line == 0 or problem.line > noted]
        if session
        else []
    )
    for problem in found:
        tally.note(path, problem.line, problem.what, skipped=problem.skipped)
    return max([noted, *(problem.line for problem in found)])


def path_name(path: Path) -> str:
    """The path as text that can be stored; bytes that are no UTF-8 are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")
