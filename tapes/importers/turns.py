"""A turn of a foreign log, in the words all importers share, and the node it becomes.

In era E3 the same first words in two projects would be the SAME root node and glue two unrelated conversations together, with
whoever may read either. So every session gets a synthetic root, computable from its id alone: forks and subagents find it
whichever file is read first.
"""

from dataclasses import dataclass, field
from typing import Any

from store.eras import HashUndefined, make_node
from store.nodes import Cost, Json, Node, Source, Usage
from tapes.importers.lines import BadLine, Block, compact

id_chars_max = 256


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. `key` tells it apart from all others of its harness, for ever; `parent_key` names the turn it follows."""

    key: str
    role: str
    content: list[Block]
    parent_key: str | None = None
    kind: str = "message"
    model: str = ""
    provider: str = ""
    stop_reason: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    usage_id: str | None = None
    project: str | None = None
    created_at: str | None = None
    extra: dict[str, Json] = field(default_factory=dict)


def node_of(turn: Turn, parent_hash: str | None, harness: str, session: str) -> Node:
    """The node of a turn below `parent_hash`. BadLine when no hash exists for it."""
    bucket = {
        "type": turn.kind,
        "role": turn.role,
        "content": turn.content,
        "model": turn.model,
        "provider": turn.provider,
        "agent_name": harness,
    }
    try:
        return make_node(
            bucket,
            parent_hash,
            stop_reason=turn.stop_reason,
            usage=turn.usage,
            cost=turn.cost,
            project=turn.project,
            created_at=turn.created_at,
            source=Source(harness, session, turn.usage_id, turn.extra),
        )
    except HashUndefined as problem:
        raise BadLine(f"no node hash exists for it: {problem}") from None


def root_of(
    harness: str,
    session: str,
    parent_hash: str | None = None,
    *,
    project: str | None = None,
    created_at: str | None = None,
    extra: dict[str, Json] | None = None,
) -> Node:
    """The synthetic root of a session, or of a subagent below its session's root (`parent_hash`)."""
    what = "session" if parent_hash is None else "subagent"
    words = [{"type": "text", "text": f"{harness} {what} {session}"}]
    turn = Turn(
        "", "system", words, kind="session", project=project, created_at=created_at, extra=extra or {}
    )
    return node_of(turn, parent_hash, harness, session)


def short_text(value: Any) -> str:
    """`value` when it can serve as an id or a label, else ""."""
    return value if isinstance(value, str) and len(value) <= id_chars_max else ""


def text_block(text: str) -> Block:
    """Plain words."""
    return {"type": "text", "text": text}


def kept_block(value: Any, kind: str = "") -> Block:
    """Something without a field of its own, as its JSON text, so that the hash covers it."""
    named = value.get("type") if isinstance(value, dict) else None
    return {"type": kind or short_text(named) or "unknown", "text": compact(value)}


def call_block(call_id: str, name: str, tool_input: dict[str, Json]) -> Block:
    """A tool being called."""
    return {"type": "tool_use", "tool_use_id": call_id, "tool_name": name, "tool_input": tool_input}


def result_block(call_id: str, output: str, *, failed: bool) -> Block:
    """What a tool answered."""
    block: Block = {"type": "tool_result", "tool_result_id": call_id}
    if output:
        block["tool_output"] = output
    if failed:
        block["is_error"] = True
    return block
