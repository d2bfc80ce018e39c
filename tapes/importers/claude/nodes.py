"""A unit of log lines -> the node it is, and the synthetic roots it hangs under.

In era E3 the same first words in two projects would be the SAME root node and glue two unrelated conversations together, with
whoever may read either. So every session gets a root of its own, computable from its id alone, and every subagent one below
the root of its session: it belongs to that conversation whichever file is imported first.
"""

from dataclasses import dataclass
from typing import Any

from store.eras import HashUndefined, make_node
from store.limits import KIB
from store.nodes import Cost, Node, Source, Usage
from tapes.importers.claude.cursor import ROOT
from tapes.importers.claude.entries import Entry, short_text
from tapes.importers.claude.usage import cost_of, usage_of
from tapes.importers.claude.window import Unit
from tapes.importers.lines import BadLine, Block, Record, compact
from tapes.importers.times import format_time, parse_time

HARNESS = "claude"
extra_value_bytes_max = (
    64 * KIB
)  # one envelope field; `toolUseResult` repeats whole files, and is not the turn itself
# What an envelope says that has a place of its own in the node.
_PLACED = frozenset({"type", "message", "sessionId"})
_MESSAGE_PLACED = frozenset({"id", "type", "role", "content", "model", "stop_reason", "usage"})


@dataclass(frozen=True, slots=True)
class Built:
    """The node of a unit, with the roots that must be stored before it (nearest last)."""

    node: Node
    roots: tuple[Node, ...]


def build(unit: Unit, parent_hash: str, anchor: str | None) -> Built:
    """Make the node of a unit below `parent_hash` (or below its lane's root). BadLine when it cannot be hashed.

    `anchor` is the root that the unit's session hangs under when that is not its own: a fork's is its parent's.
    """
    roots = _roots(unit, anchor) if parent_hash == ROOT else ()
    parent = roots[-1].hash if roots else parent_hash
    try:
        node = _assistant(unit, parent) if unit.first.kind == "assistant" else _user(unit, parent)
    except HashUndefined as problem:
        raise BadLine(f"no node hash exists for it: {problem}") from None
    return Built(node, roots)


def _bucket(role: str, content: list[Block], model: str = "", kind: str = "message") -> dict[str, Any]:
    return {
        "type": kind,
        "role": role,
        "content": content,
        "model": model,
        "provider": "anthropic",
        "agent_name": HARNESS,
    }


def _roots(unit: Unit, anchor: str | None) -> tuple[Node, ...]:
    subagent = f"claude subagent {unit.agent}"
    if unit.agent is not None and anchor:
        return (_root(subagent, anchor, unit),)
    session = _root(f"claude session {unit.first.session}", None, unit)
    return (session,) if unit.agent is None else (session, _root(subagent, session.hash, unit))


def _root(text: str, parent_hash: str | None, unit: Unit) -> Node:
    cwd = unit.first.record.get("cwd")
    return make_node(
        _bucket("system", [{"type": "text", "text": text}], kind="session"),
        parent_hash,
        project=unit.project,
        created_at=_created_at(unit.first.record),
        source=Source(HARNESS, unit.first.session, extra={"cwd": cwd} if cwd else {}),
    )


def _user(unit: Unit, parent_hash: str) -> Node:
    content, besides = _content(unit)
    return make_node(
        _bucket("user", content),
        parent_hash,
        project=unit.project,
        created_at=_created_at(unit.first.record),
        source=Source(HARNESS, unit.first.session, extra=_extra(unit, besides)),
    )


def _assistant(unit: Unit, parent_hash: str) -> Node:
    content, besides = _content(unit)
    model = next((name for name in (short_text(_message(e).get("model")) for e in unit.entries) if name), "")
    usage, cost = usage_and_cost(best_usage(unit.entries), model)
    first = unit.first
    return make_node(
        _bucket("assistant", content, model),
        parent_hash,
        stop_reason=stop_reason(unit.entries),
        usage=usage,
        cost=cost,
        project=unit.project,
        created_at=_created_at(first.record),
        source=Source(HARNESS, first.session, usage_id=_usage_id(first), extra=_extra(unit, besides)),
    )


def best_usage(entries: list[Entry]) -> Entry | None:
    """The line whose usage is the most complete: the first with the most output tokens (they grow while streaming)."""
    return max((e for e in entries if e.output_tokens >= 0), key=lambda e: e.output_tokens, default=None)


def usage_and_cost(entry: Entry | None, model: str) -> tuple[Usage | None, Cost | None]:
    """Usage and cost as `entry` tells them; None when no line has a usage."""
    if entry is None:
        return None, None
    usage = usage_of(_message(entry)["usage"])
    return usage, cost_of(usage, model, entry.record, parse_time(entry.record.get("timestamp")))


def stop_reason(entries: list[Entry]) -> str | None:
    """Why the model stopped: the last line that says so; the ones before were written while it still streamed."""
    reasons = (short_text(_message(entry).get("stop_reason")) for entry in reversed(entries))
    return next((reason for reason in reasons if reason), None)


def _usage_id(entry: Entry) -> str:
    return entry.message_key.removeprefix("msg:") if entry.message_key else entry.key


def _message(entry: Entry) -> Record:
    message: Record = entry.record["message"]
    return message


def _created_at(record: Record) -> str | None:
    return format_time(parse_time(record.get("timestamp")))


def _content(unit: Unit) -> tuple[list[Block], dict[str, Block]]:
    """The blocks of all lines in file order, without those that an earlier line or an older node holds already."""
    content: list[Block] = []
    besides: dict[str, Block] = {}
    older = unit.older.bucket["content"] if unit.older else []
    for entry in unit.entries:
        if entry.blocks is None:
            continue
        held = [*older, *content] if older or content else []
        for index, block in enumerate(entry.blocks.content):
            if block in held:
                continue
            if index in entry.blocks.besides:
                besides[str(len(content))] = entry.blocks.besides[index]
            content.append(block)
    return content, besides


def _extra(unit: Unit, besides: dict[str, Block]) -> Record:
    """What the lines said besides, verbatim: envelope, the API message's other fields, the lines kept for this turn."""
    extra: Record = {}
    rest: Record = {}
    for entry in unit.entries:
        _take(entry, entry.record, _PLACED, extra)
        if "message" in entry.record:
            _take(entry, _message(entry), _MESSAGE_PLACED, rest)
    attachment = extra.get("attachment")
    if isinstance(attachment, dict):  # a queued prompt: its words are the node's content
        extra["attachment"] = {name: value for name, value in attachment.items() if name != "prompt"}
    if len(unit.entries) > 1:
        extra["uuids"] = [entry.record.get("uuid") for entry in unit.entries]
    if rest:
        extra["message"] = rest
    if besides:
        extra["blocks"] = besides
    if unit.side:
        extra["lines"] = [side.record for side in unit.side]
    return extra


def _take(entry: Entry, record: Record, placed: frozenset[str], into: Record) -> None:
    """Copy the fields that have no place of their own; of several lines the first one to have a field counts."""
    small = entry.line.end - entry.line.start <= extra_value_bytes_max
    for name, value in record.items():
        if value is None or name in placed or name in into:
            continue
        if small or not isinstance(value, str | dict | list):
            into[name] = value
        else:
            size = len(compact(value).encode())
            into[name] = value if size <= extra_value_bytes_max else {"left_out_bytes": size}
