"""The facts of a node that a manifest row carries: everything the session list, totals and filters need, and no text."""

import re
from typing import Any, NamedTuple

from store.limits import label_bytes_max
from store.nodes import Node
from store.storable import storable_text
from store.times import micros

tool_name_chars_max = 128
_GIT = re.compile(r"\bgit\s+(?:-\S+\s+)*(?:commit|push)\b")


class NodeFacts(
    NamedTuple
):  # two dozen fields of millions of nodes: a dataclass takes ten times as long to make
    """One node's metadata columns. Times are microseconds since 1970 UTC, money integer micro-USD, tokens counts."""

    hash: str
    hash_version: str | None
    parent_hash: str | None
    harness: str | None
    harness_session: str | None
    usage_id: str | None
    project: str | None
    agent: str | None
    provider: str | None
    model: str | None
    role: str | None
    kind: str | None  # bucket.type: message, session, …
    stop_reason: str | None
    created_us: int | None
    input_uncached: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    output: int | None
    cost_usd_micro: int | None
    cost_source: str | None  # None: the node is no model call
    cost_table: str | None
    tool_calls: int
    tool_errors: int
    git_activity: bool
    tools: str | None = None  # names of the tools called here, each once, one per line; None: none


def facts_of(node: Node) -> NodeFacts:
    """Derive a node's facts; wrong types inside a foreign bucket become None, never an exception."""
    bucket, usage, cost, source = node.bucket, node.usage, node.cost, node.source
    blocks = [b for b in _list(bucket.get("content")) if isinstance(b, dict)]
    calls = [b for b in blocks if b.get("type") == "tool_use"]
    results = [b for b in blocks if b.get("type") == "tool_result"]
    return NodeFacts(
        hash=node.hash,
        hash_version=node.hash_version,
        parent_hash=node.parent_hash,
        harness=source.harness if source else None,
        harness_session=source.session if source else None,
        usage_id=source.usage_id if source else None,
        project=node.project,
        agent=_text(bucket.get("agent_name")),
        provider=_text(bucket.get("provider")),
        model=_text(bucket.get("model")),
        role=_text(bucket.get("role")),
        kind=_text(bucket.get("type")),
        stop_reason=node.stop_reason,
        created_us=micros(node.created_at),
        input_uncached=usage.input_uncached if usage else None,
        cache_read=usage.cache_read if usage else None,
        cache_write=usage.cache_write if usage else None,
        cache_write_1h=usage.cache_write_1h if usage else None,
        output=usage.output if usage else None,
        cost_usd_micro=cost.usd_micro if cost else None,
        cost_source=cost.source if cost else None,
        cost_table=cost.table if cost else None,
        tool_calls=len(calls),
        tool_errors=sum(b.get("is_error") is True for b in results),
        git_activity=any(map(_is_git, calls)),
        tools=_tools(calls) if calls else None,
    )


def without_words(facts: NodeFacts) -> NodeFacts:
    """The facts of a node whose content is withheld: all but what is read out of it, a command's words and tools' names."""
    return facts._replace(git_activity=False, tools=None)


def _is_git(call: dict[str, Any]) -> bool:
    """A call that commits or pushes: the strongest sign that a session came to something (tapes.md §3.6)."""
    tool_input = call.get("tool_input")
    command = tool_input.get("command") if isinstance(tool_input, dict) else None
    # The expression alone looks for a word's beginning at every letter, and a command may be a whole script.
    return isinstance(command, str) and "git" in command and bool(_GIT.search(command))


def _tools(calls: list[dict[str, Any]]) -> str | None:
    """Names in the order of their first call, as many as fit whole into one label: a log may invent any number of them."""
    names = (call.get("tool_name") for call in calls)
    lines = (" ".join(name[:tool_name_chars_max].split()) for name in names if isinstance(name, str))
    kept, size_bytes = [], 0
    for line in dict.fromkeys(filter(None, lines)):
        size_bytes += len(storable_text(line).encode()) + 1
        if size_bytes > label_bytes_max:
            break
        kept.append(line)
    return "\n".join(kept) or None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
