"""Grouping lines into turns: one unit per user line, one per model call, in a sliding window of open units.

The lines of one model call are written as its blocks stream in, with tool results, attachments and other calls in between. A
unit therefore stays open while `units_open_max` younger ones come; then it closes for good. Closing depends on the lines
alone, never on where a read stopped, so that importing a file in any number of steps ends in the same nodes.

`parentUuid` is a DAG through lines that are no turns (attachments, progress, system); those stand in as aliases of the turn
before them. Where it branches without anybody having branched - results of parallel tool calls - it is straightened.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from store.limits import MIB
from store.nodes import Node
from tapes.importers.claude.cursor import ROOT, Cursor, LaneTail, OpenUnit
from tapes.importers.claude.entries import Entry
from tapes.importers.lines import BadLine
from tapes.importers.project import project_of

units_open_max = 16
window_bytes_max = 64 * MIB  # of log lines in open units; a single unit may be larger
side_bytes_max = 4 * MIB  # of lines that are no turns, kept for one turn
lanes_max = 256  # sessions and subagents in one file; a concatenation of more forgets the stalest


@dataclass(slots=True, eq=False)
class Unit:
    """A turn being put together. `parent` is another unit, a node's hash, or ROOT."""

    entries: list[Entry]
    lane: str
    agent: str | None
    start: int  # byte offset and number of the first line that belongs to it, side lines included
    start_line: int
    parent: "Unit | str" = ROOT
    known: str = ""  # hash of the stored node, when this is a replay
    old: str = ""  # hash under which an earlier import stored it unfinished
    older: Node | None = None  # holds the first blocks of its message: only new ones are told here
    side: list[Entry] = field(default_factory=list)
    # Keys of side lines, and the turns they stand for.
    aliases: "dict[str, Unit | str]" = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)  # byte offsets of all its lines
    project: str | None = None
    hash: str = ""
    closed: bool = False
    size_bytes: int = 0
    # Parallel tool calls: `call` of a result is the unit it answers; a call knows the end of its results' chain.
    call: "Unit | None" = None
    chain_end: "Unit | None" = None
    answered: frozenset[str] = frozenset()
    splice: "Unit | None" = None  # a queued prompt that the next line of the tree goes through

    @property
    def first(self) -> Entry:
        """The line that opened it."""
        return self.entries[0]

    def release(self) -> None:
        """Forget the lines once the node is built: younger units point here, and would keep the whole log in memory."""
        del self.entries[1:]
        self.parent, self.call, self.chain_end, self.splice = ROOT, None, None, None
        self.side, self.older, self.aliases, self.starts = [], None, {}, []


Found = Unit | str | None


class Window:
    """The open units of one file. `known` finds the hash of a key's node, `node_of` a node by its hash."""

    def __init__(
        self, cursor: Cursor, known: Callable[[str], str | None], node_of: Callable[[str], Node | None]
    ) -> None:
        self._known = known
        self._node_of = node_of
        self._reopened = {unit.key: unit for unit in cursor.open}
        self._by_key: dict[str, Unit | str] = {}
        self._by_message: dict[str, Unit] = {}
        self._lanes: dict[str, tuple[Unit | str, str | None]] = {
            lane: (tail.hash, tail.project) for lane, tail in cursor.lanes.items()
        }
        self._size_bytes = 0
        self._side_bytes = 0
        self.closed_lanes = dict(cursor.lanes)
        self.open: deque[Unit] = deque()
        self.pending: list[Entry] = []

    def feed(self, entry: Entry) -> Iterator[Unit]:
        """Take the next line; yields the units that closed, oldest first. BadLine when there is no room for a side line."""
        if entry.kind == "side":
            self._keep_aside(entry)
            return
        unit = self._joins(entry)
        if unit is None:
            self._open(entry)
        else:
            self._merge(unit, entry)
        while len(self.open) > units_open_max or (self._size_bytes > window_bytes_max and len(self.open) > 1):
            yield self._close()

    # Lines that are no turns

    def _keep_aside(self, entry: Entry) -> None:
        if entry.key and self._find(entry.key) is not None:  # replayed from another file, or logged twice
            return
        size = entry.line.end - entry.line.start
        if self._side_bytes + size > side_bytes_max:
            raise BadLine(f"more than {side_bytes_max // MIB} MiB of lines between two turns")
        self._side_bytes += size
        self.pending.append(entry)
        target = self._find(entry.parent_key) or self._tail(entry.lane)
        if entry.key and target:
            self._by_key[entry.key] = target

    def _hand_over_pending(self, unit: Unit) -> None:
        unit.side += self.pending
        unit.starts += [side.line.start for side in self.pending]
        self.pending, self._side_bytes = [], 0

    # Turns

    def _joins(self, entry: Entry) -> Unit | None:
        """The open unit this line is a part or a repetition of."""
        same = self._by_key.get(entry.key)
        if isinstance(same, Unit) and not same.closed:
            return same
        unit = self._by_message.get(entry.message_key) if entry.message_key else None
        if unit is None or (unit.known and self._known(entry.key) != unit.known):
            return None
        return unit

    def _merge(self, unit: Unit, entry: Entry) -> None:
        unit.starts.append(entry.line.start)
        at = next((i for i, have in enumerate(unit.entries) if have.key == entry.key), None)
        if at is None:
            self._grow(unit, entry)
            unit.entries.append(entry)
            self._by_key[entry.key] = unit
        elif entry.output_tokens > unit.entries[at].output_tokens:  # the same line again, more complete
            self._grow(unit, entry)
            unit.entries[at] = entry

    def _grow(self, unit: Unit, entry: Entry) -> None:
        size = entry.line.end - entry.line.start
        unit.size_bytes += size
        self._size_bytes += size
        if not unit.known:
            self._hand_over_pending(unit)

    def _open(self, entry: Entry) -> None:
        known, older = self._already(entry)
        target = self._find(entry.parent_key)
        agent = self._agent(entry, target)
        lane = entry.session if agent is None else f"{entry.session}/{agent}"
        first = entry if known or not self.pending else self.pending[0]
        unit = Unit([entry], lane, agent, first.line.start, first.line.number, known=known, older=older)
        unit.starts.append(entry.line.start)
        unit.hash = known
        if not known:
            unit.parent = self._parent(unit, target)
        self._answer(unit, target)
        self._grow(unit, entry)
        self._register(unit)

    def _register(self, unit: Unit) -> None:
        entry = unit.first
        self.open.append(unit)
        self._by_key[entry.key] = unit
        if entry.message_key:
            self._by_message[entry.message_key] = unit
        _, project = self._lanes.pop(unit.lane, (ROOT, None))
        unit.project = project_of(entry.record.get("cwd")) or project
        self._lanes[unit.lane] = (unit, unit.project)
        if len(self._lanes) > lanes_max:
            del self._lanes[next(iter(self._lanes))]

    def _already(self, entry: Entry) -> tuple[str, Node | None]:
        """The hash of the node that holds this line already, else the node that holds the beginning of its message."""
        known = self._known(entry.key)
        if known:
            return known, None
        found = self._message_node(entry.message_key) if entry.message_key else None
        older = self._node_of(found) if found else None
        if older is None or entry.blocks is None:
            return "", None
        held = older.bucket["content"]
        return (older.hash, None) if all(block in held for block in entry.blocks.content) else ("", older)

    def _message_node(self, message_key: str) -> str | None:
        unit = self._by_message.get(message_key)
        return unit.known if unit else self._known(message_key)

    def _agent(self, entry: Entry, target: Found) -> str | None:
        """Whose sidechain: what the line says, else its parent's, else a new one named after this line."""
        if entry.agent != "":
            return entry.agent
        if isinstance(target, Unit) and target.agent is not None and target.first.session == entry.session:
            return target.agent
        return entry.key

    # The tree

    def _find(self, key: str | None) -> Found:
        if not key:
            return None
        return self._by_key.get(key) or self._known(key)

    def _tail(self, lane: str) -> Unit | str:
        return self._lanes[lane][0] if lane in self._lanes else ROOT

    def _parent(self, unit: Unit, target: Found) -> Unit | str:
        computed = self._attach(unit, target)
        before = self._reopened.get(unit.first.key)
        if before is None:
            return computed
        # Formed by an earlier import, when units that are closed by now still counted: what it said then holds.
        unit.old = before.hash
        if before.parent.startswith("@"):
            return self._by_key.get(before.parent[1:]) or computed
        return before.parent

    def _attach(self, unit: Unit, target: Found) -> Unit | str:
        """What a new unit follows. Compaction and truncation cut the tree: then it follows its lane in file order."""
        entry = unit.first
        if unit.older is not None and (not target or _hash(target) == unit.older.parent_hash):
            return unit.older.hash
        if entry.spliced or not target:
            tail = self._tail(unit.lane)
            if entry.spliced and isinstance(tail, Unit):
                tail.splice = unit
            return tail
        if isinstance(target, str):
            return target
        return _through_splices(_end_of_results(entry, target))

    def _answer(self, unit: Unit, target: Found) -> None:
        """Remember a tool result as the new end of its call's results."""
        ids = unit.first.result_ids
        call = _call_of(target) if isinstance(target, Unit) else None
        if not ids or call is None or call.closed:
            return
        again = bool(ids & call.answered)
        if again and target is not call:
            return
        unit.call, call.chain_end = call, unit
        call.answered = ids if again else call.answered | ids

    # Closing

    def _close(self) -> Unit:
        unit = self.open.popleft()
        unit.closed = True
        self._size_bytes -= unit.size_bytes
        for entry in unit.entries:
            self._by_key.pop(entry.key, None)
        unit.aliases = {
            side.key: self._by_key.pop(side.key) for side in unit.side if side.key in self._by_key
        }
        if unit.first.message_key and self._by_message.get(unit.first.message_key) is unit:
            del self._by_message[unit.first.message_key]
        return unit

    def settle(self, unit: Unit) -> None:
        """A closed unit has its hash now: its lane can be continued from the cursor."""
        self.closed_lanes.pop(unit.lane, None)
        self.closed_lanes[unit.lane] = LaneTail(unit.hash, unit.project)
        if len(self.closed_lanes) > lanes_max:
            del self.closed_lanes[next(iter(self.closed_lanes))]

    def reopened(self) -> tuple[OpenUnit, ...]:
        """The open units as a cursor keeps them."""
        return tuple(
            OpenUnit(u.first.key, _reference(u.parent), u.hash or u.old) for u in self.open if not u.known
        )


def _hash(found: Found) -> str:
    return found.hash if isinstance(found, Unit) else found or ROOT


def _reference(parent: Unit | str) -> str:
    if isinstance(parent, str):
        return parent
    return parent.hash if parent.closed or parent.known else f"@{parent.first.key}"


def _call_of(target: Unit) -> Unit | None:
    return target if target.first.kind == "assistant" else target.call


def _end_of_results(entry: Entry, target: Unit) -> Unit:
    """Straighten parallel results: each goes after the one before, and what follows any of them goes after the last."""
    call = _call_of(target)
    if call is None or call.closed or call.chain_end is None:
        return target
    if entry.result_ids:
        first_answer = not entry.result_ids & call.answered
        return call.chain_end if first_answer or target is not call else target
    return call.chain_end if target is not call else target


def _through_splices(unit: Unit) -> Unit:
    while unit.splice is not None and not unit.closed:
        following, unit.splice = unit.splice, None
        unit = following
    return unit
