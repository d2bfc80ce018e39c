"""What is known at a point of a rollout: enough to go on from there, small enough to be kept in the import's cursor.

Frozen, so that keeping the state of a quiet point is keeping a reference.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from tapes.importers.codex.usage import Totals
from tapes.importers.lines import Record
from tapes.importers.turns import short_text

HARNESS = "codex"
marks_max = 256  # turns that a rollback can reach back over
global_id_chars_min = 16  # shorter turn ids are counters that every thread begins anew
_EXTRA_LEFT_OUT = frozenset({"id", "base_instructions", "instructions"})


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread up to some line. `tail` is the last turn's hash, "" before the first."""

    id: str
    named: bool = False  # its own session_meta was read
    parent: str = ""  # the thread it was forked or spawned from
    subagent: bool = False
    anchor: str = ""  # its root once something hangs there
    tail: str = ""
    totals: Totals = ()
    model: str = ""
    cwd: str = ""
    turn_id: str = ""
    units: int = 0  # of this turn
    calls: int = 0  # model calls of this turn, or of the thread where turns have no ids of their own
    replaying: bool = False  # still among the parent's turns
    dropping: bool | None = None  # whether this turn is the parent's; None before its first unit
    marks: tuple[str, ...] = ()  # tails at which turns began
    meta: tuple[tuple[str, Any], ...] = ()

    def with_meta(self, meta: Record) -> Self:
        """After a `session_meta`. A second one, naming another thread, is replayed: it names the parent."""
        named = short_text(meta.get("id")) or short_text(meta.get("session_id"))
        if self.named:
            # Codex writes it again on resume; a replay carries the parent's.
            other = bool(named) and named != self.id and not (self.parent or self.tail)
            return replace(self, parent=named, replaying=True) if other else self
        parent, subagent = _parentage(meta)
        extra = tuple((name, value) for name, value in meta.items() if name not in _EXTRA_LEFT_OUT and value)
        return replace(
            self,
            id=named or self.id,
            named=True,
            parent=parent if parent != (named or self.id) else "",
            subagent=subagent,
            cwd=meta["cwd"] if isinstance(meta.get("cwd"), str) else self.cwd,
            replaying=bool(parent),
            meta=extra,
        )

    def with_turn(self, turn_id: str) -> Self:
        """After a turn's beginning; telling the same turn again begins nothing."""
        if not turn_id or turn_id == self.turn_id:
            return self
        marks = (*self.marks, self.tail)[-marks_max:]
        calls = 0 if len(turn_id) >= global_id_chars_min else self.calls
        return replace(self, turn_id=turn_id, units=0, calls=calls, dropping=None, marks=marks)

    def rolled_back(self, turns: int) -> Self:
        """After the user took back the last `turns` turns: what follows branches off before them."""
        if turns <= 0 or not self.marks:
            return self
        kept = max(0, len(self.marks) - turns)
        return replace(self, tail=self.marks[kept], marks=self.marks[:kept])

    @property
    def usage_id(self) -> str:
        """The id of the next model call, the same in every replay of the turn."""
        turn = self.turn_id if self.has_global_turn else self.id
        return f"{turn}#{self.calls}"

    @property
    def has_global_turn(self) -> bool:
        """Whether the turn's id is one of the world rather than a counter."""
        return len(self.turn_id) >= global_id_chars_min

    def to_dict(self) -> Record:
        """As a cursor keeps it."""
        return {**asdict(self), "meta": [list(pair) for pair in self.meta]}


def thread_from(state: Record) -> Thread:
    """What `to_dict` gave. TypeError or KeyError for anything else."""
    lists = {
        "totals": tuple(state["totals"]),
        "marks": tuple(state["marks"]),
        "meta": tuple((name, value) for name, value in state["meta"]),
    }
    return Thread(**{**state, **lists})


def _parentage(meta: Record) -> tuple[str, bool]:
    """The parent thread's id, and whether this is a subagent of it rather than a fork."""
    source = meta.get("source")
    spawned = source.get("subagent") if isinstance(source, dict) else None
    spawn = spawned.get("thread_spawn") if isinstance(spawned, dict) else None
    below = short_text(spawn.get("parent_thread_id")) if isinstance(spawn, dict) else ""
    below = below or short_text(meta.get("parent_thread_id"))
    return below or short_text(meta.get("forked_from_id")), bool(below or spawned)
