"""Lines of a rollout -> nodes: one per input item, one per model call with all that the call wrote.

`response_item` lines are the content; `event_msg` repeats it for the screen and is used for token counts and the turns' course. A
call's token count stands after its items, before them, or after the tools' answers, depending on the version. So a count goes to
the open call, else to the last call that has none yet, else to the next one; one that no call claims (a compaction's) becomes a
call without content: tokens are never dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from store.limits import MIB
from store.nodes import Node, Usage
from tapes.importers.codex.items import blocks_of, is_input, rest_of, role_of
from tapes.importers.codex.thread import HARNESS, Thread
from tapes.importers.codex.usage import cost_of, read_usage, usage_problem
from tapes.importers.lines import BadLine, Block, Line, Record
from tapes.importers.project import project_of
from tapes.importers.times import format_time, parse_time
from tapes.importers.turns import Turn, node_of, root_of, short_text, text_block

side_bytes_max = 4 * MIB  # of lines that are no turns, kept for one turn
call_bytes_max = 64 * MIB  # of lines of one call
# What the screen was told, and `response_item` says as well.
_ECHOES = frozenset(
    {
        *("user_message", "agent_message", "agent_message_delta", "agent_message_content_delta"),
        *("agent_reasoning", "agent_reasoning_delta", "agent_reasoning_raw_content"),
        *("agent_reasoning_section_break", "token_count"),
    }
)
_TURN_BEGINS = ("turn_started", "task_started")
_TURN_ENDS = ("turn_complete", "task_complete", "turn_aborted")


@dataclass(slots=True)
class _Call:
    """A model call being read."""

    key: str
    at: object
    content: list[Block] = field(default_factory=list)
    besides: dict[str, Record] = field(default_factory=dict)
    size_bytes: int = 0


@dataclass(slots=True)
class Made:
    """What reading has made since it was last taken: nodes in order, keys of units, and how many were known replays."""

    nodes: list[Node] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)  # keys to remember
    again: list[Node] = field(default_factory=list)  # nodes given out before that have their usage now
    superseded: list[tuple[str, str]] = field(default_factory=list)
    replayed: int = 0


class Rollout:
    """Reads one rollout's lines from a state on.

    `before` are units that an earlier import made of lines from here on: unit -> hash. `known` finds the node of a key; `note`
    takes what is odd about a line that is imported all the same.
    """

    def __init__(
        self,
        thread: Thread,
        before: dict[str, str],
        known: Callable[[str], str | None],
        note: Callable[[Line, str], None],
    ) -> None:
        self.thread = thread
        self.made = Made()
        self.since_quiet: dict[str, str] = {}  # unit -> hash
        self.before = before
        self._known = known
        self._note = note
        self._open: _Call | None = None
        self._uncounted: Node | None = None  # the last call, as long as its usage is missing
        self._unclaimed: tuple[Usage, object] | None = None
        self.side: list[Record] = []
        self._side_bytes = 0

    @property
    def quiet(self) -> bool:
        """Whether nothing is half read: from here on the state alone is enough."""
        return not (self._open or self._uncounted or self._unclaimed or self.side)

    def feed(self, line: Line) -> None:
        """Take the next line. BadLine when it, or the node it completes, cannot be."""
        if line.record is None:
            raise BadLine(line.problem)
        kind, payload, record = _opened(line.record)
        if kind == "response_item":
            self._item(line, payload, record)
        elif kind == "event_msg":
            self._event(line, payload, record)
        elif kind == "session_meta":
            self.thread = self.thread.with_meta(payload)
        elif kind == "compacted":
            self._compacted(line, payload, record)
        else:
            if kind == "turn_context":
                self._turn_context(payload)
            self._keep_aside(line, record)

    def finish(self) -> None:
        """The end of what there is: give out what is open. It may yet grow, so the cursor stays before it."""
        self._close()
        self._flush_unclaimed()

    # Items

    def _item(self, line: Line, item: Record, record: Record) -> None:
        blocks = blocks_of(item)
        if is_input(item):
            self._close()
            rest = rest_of(item)
            extra = {"item": rest} if rest else {}
            turn = self._turn(f"line:{line.start}", role_of(item), blocks, record.get("timestamp"), extra)
            self._give(turn)
            return
        if self._open is None:
            self._end_call()
            self._open = _Call(f"line:{line.start}", record.get("timestamp"))
        elif self._open.size_bytes > call_bytes_max:
            raise BadLine(f"more than {call_bytes_max // MIB} MiB in one call")
        if rest := rest_of(item):
            self._open.besides[str(len(self._open.content))] = rest
        self._open.content += blocks
        self._open.size_bytes += line.end - line.start

    def _close(self) -> None:
        """The open call has written all it will write."""
        call, self._open = self._open, None
        if call is not None:
            usage, self._unclaimed = self._unclaimed, None
            self._call(call.content, call.at, usage, {"items": call.besides} if call.besides else {})

    def _call(
        self,
        content: list[Block],
        at: object,
        usage: tuple[Usage, object] | None,
        extra: Record,
        kind: str = "message",
    ) -> None:
        thread = self.thread
        turn = replace(
            self._turn(f"call:{thread.usage_id}", "assistant", content, at, extra),
            kind=kind,
            model=thread.model,
            usage_id=thread.usage_id,
            usage=usage[0] if usage else None,
            cost=cost_of(usage[0], thread.model, parse_time(usage[1])) if usage else None,
        )
        self.thread = replace(thread, calls=thread.calls + 1)
        node = self._give(turn)
        self._uncounted = None if usage else node

    def _end_call(self) -> None:
        """A new call begins: the one before will get no usage any more, and what no call claimed stands for itself."""
        self._uncounted = None

    def _flush_unclaimed(self) -> None:
        usage, self._unclaimed = self._unclaimed, None
        if usage is not None:
            self._call([], usage[1], usage, {})

    # Events

    def _event(self, line: Line, event: Record, record: Record) -> None:
        kind = short_text(event.get("type"))
        if kind == "token_count":
            self._token_count(line, event, record)
        elif kind in _TURN_BEGINS:
            self._begin_turn(short_text(event.get("turn_id")))
        elif kind in _TURN_ENDS:
            self._close()
        elif kind == "thread_rolled_back":
            turns = event.get("num_turns")
            self._close()
            self._end_call()
            self._flush_unclaimed()
            self.thread = self.thread.rolled_back(turns if isinstance(turns, int) else 0)
        if kind not in _ECHOES:
            self._keep_aside(line, record)

    def _token_count(self, line: Line, event: Record, record: Record) -> None:
        info = event.get("info")
        if problem := usage_problem(info):
            self._note(line, problem)
        usage, totals = read_usage(info, self.thread.totals)
        self.thread = replace(self.thread, totals=totals)
        if usage is None:
            return
        counted = (usage, record.get("timestamp"))
        if self._open is not None:
            earlier, self._unclaimed = self._unclaimed, None
            call, self._open = self._open, None
            if earlier is not None:
                self._call([], earlier[1], earlier, {})
            self._call(call.content, call.at, counted, {"items": call.besides} if call.besides else {})
        elif self._uncounted is not None:
            self._count_late(self._uncounted, counted)
        elif self.thread.replaying and self.thread.dropping:
            return  # of a call of the parent's, which was counted there
        else:
            self._flush_unclaimed()
            self._unclaimed = counted

    def _count_late(self, node: Node, counted: tuple[Usage, object]) -> None:
        usage, at = counted
        whole = replace(node, usage=usage, cost=cost_of(usage, node.bucket["model"], parse_time(at)))
        self._uncounted = None
        for index, given in enumerate(self.made.nodes):
            if given is node:
                self.made.nodes[index] = whole
                return
        self.made.again.append(whole)

    def _turn_context(self, context: Record) -> None:
        self._begin_turn(short_text(context.get("turn_id")))
        cwd, model = context.get("cwd"), short_text(context.get("model"))
        self.thread = replace(
            self.thread,
            cwd=cwd if isinstance(cwd, str) else self.thread.cwd,
            model=model or self.thread.model,
        )

    def _begin_turn(self, turn_id: str) -> None:
        if not turn_id or turn_id != self.thread.turn_id:
            self._close()
            self._end_call()
            self._flush_unclaimed()
        self.thread = self.thread.with_turn(turn_id)

    def _compacted(self, line: Line, payload: Record, record: Record) -> None:
        """The summary that replaced the history is a turn; the history repeated after it (`replacement_history`) is none."""
        self._close()
        message = payload.get("message")
        told = {name: value for name, value in record.items() if name != "payload"}
        if not isinstance(message, str) or not message:
            self._keep_aside(line, told)
            return
        self._end_call()
        usage, self._unclaimed = self._unclaimed, None
        self._call([text_block(message)], record.get("timestamp"), usage, {"line": told}, kind="compaction")

    def _keep_aside(self, line: Line, record: Record) -> None:
        size = line.end - line.start
        if self._side_bytes + size > side_bytes_max:
            raise BadLine(f"more than {side_bytes_max // MIB} MiB of lines between two turns")
        self._side_bytes += size
        self.side.append(record)

    # Nodes

    def _turn(self, key: str, role: str, content: list[Block], at: object, extra: Record) -> Turn:
        return Turn(
            key=key,
            role=role,
            content=content,
            provider="openai",
            project=project_of(self.thread.cwd),
            created_at=format_time(parse_time(at)),
            extra=extra,
        )

    def _give(self, turn: Turn) -> Node | None:
        """The turn's node below the tail; None when it is the parent's, which has it already."""
        if self._replayed():
            return None
        side, self.side, self._side_bytes = self.side, [], 0
        if side:
            turn = replace(turn, extra={**turn.extra, "lines": side})
        self._take_root(turn)
        node = node_of(turn, self.thread.tail or self.thread.anchor, HARNESS, self.thread.id)
        self.made.nodes.append(node)
        self.since_quiet[turn.key] = node.hash
        old = self.before.pop(turn.key, node.hash)
        if old != node.hash:
            self.made.superseded.append((old, node.hash))
        self._advance(node.hash)
        return node

    def _replayed(self) -> bool:
        """Whether this unit belongs to one of the parent's turns that lead the file. Then it is its node, not a new one."""
        thread = self.thread
        if not thread.replaying or not thread.has_global_turn:
            return False
        if thread.dropping is None:
            dropping = self._known(f"turn:{thread.parent}/{thread.turn_id}") is not None
            thread = self.thread = replace(thread, dropping=dropping, replaying=dropping)
        if not thread.dropping:
            return False
        found = self._known(f"unit:{thread.parent}/{thread.turn_id}#{thread.units}")
        self.side, self._side_bytes = [], 0
        self.made.replayed += 1
        self._advance(found or "")
        return True

    def _advance(self, node_hash: str) -> None:
        thread = self.thread
        if node_hash and thread.has_global_turn:
            self.made.hashes[f"unit:{thread.id}/{thread.turn_id}#{thread.units}"] = node_hash
            if thread.units == 0:
                self.made.hashes[f"turn:{thread.id}/{thread.turn_id}"] = node_hash
        # A subagent's own turns hang below its own root, whatever it was shown of its parent.
        stays = thread.dropping and thread.subagent
        tail = thread.tail if stays or not node_hash else node_hash
        self.thread = replace(thread, units=thread.units + 1, tail=tail)

    def _take_root(self, turn: Turn) -> None:
        """Find or make what the thread hangs under: a fork under its parent's root, so that what both tell is one turn."""
        thread = self.thread
        if thread.anchor:
            return
        above: Node | None = None
        anchor = self._known(f"session:{thread.parent or thread.id}")
        if anchor is None:
            above = root_of(
                HARNESS, thread.parent or thread.id, **_about(thread, turn, own=not thread.parent)
            )
            self.made.nodes.append(above)
            anchor = above.hash
        if thread.subagent and thread.parent:
            own = root_of(HARNESS, thread.id, anchor, **_about(thread, turn, own=True))
            self.made.nodes.append(own)
            anchor = own.hash
        self.made.hashes[f"session:{thread.id}"] = anchor
        self.thread = replace(thread, anchor=anchor)


def _about(thread: Thread, turn: Turn, *, own: bool) -> Record:
    extra = {"meta": dict(thread.meta)} if own and thread.meta else {}
    return {"project": turn.project, "created_at": turn.created_at, "extra": extra}


def _opened(record: Record) -> tuple[str, Record, Record]:
    """A line's kind, payload and record. The first versions had no envelope: the items stood bare below a bare meta line."""
    kind, payload = record.get("type"), record.get("payload")
    if isinstance(payload, dict):
        return short_text(kind), payload, record
    if "payload" in record:
        raise BadLine("its payload is no object")
    if isinstance(kind, str):
        return "response_item", record, record
    if "id" in record and "record_type" not in record:
        return "session_meta", record, record
    return "", record, record
