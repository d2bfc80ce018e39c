"""Hypothesis strategies for JSON values, buckets and nodes, odd ones included."""

from typing import Any

from hypothesis import strategies as st

from store.eras import make_node
from store.nodes import Cost, Node, Source, Usage

_PIECES = st.sampled_from(
    [
        *("hello", "<status>", "</status>", "<sta", "tus>", "<session>x</session>", "<system-reminder>"),
        *("\r\n", "\n\n", " \t\n", "  ", "\u00a0", "\u2028", "\x1c", "\x00", "é", "\ufb33", "😀", '<&>"\\'),
    ]
)
texts = st.one_of(st.text(max_size=12), st.lists(_PIECES, max_size=8).map("".join))
counts = st.integers(0, 2**40)


def json_values(
    numbers: st.SearchStrategy[Any], keys: st.SearchStrategy[str] = texts
) -> st.SearchStrategy[Any]:
    """Any JSON value of a few levels, with leaves from `numbers`."""
    leaves = st.one_of(st.none(), st.booleans(), texts, numbers)
    return st.recursive(
        leaves,
        lambda below: st.lists(below, max_size=4) | st.dictionaries(keys, below, max_size=4),
        max_leaves=12,
    )


small_numbers = st.integers(-(2**53) + 1, 2**53 - 1)
any_numbers = st.one_of(
    small_numbers,
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
)

blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result", "thinking"])},
    optional={
        "text": texts,
        "tool_use_id": texts,
        "tool_name": texts,
        "tool_input": st.dictionaries(texts, json_values(any_numbers), max_size=3),
        "tool_output": texts,
        "is_error": st.booleans(),
        "thinking": texts,
        "thinking_signature": texts,
        "content": json_values(any_numbers),
    },
)
buckets: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "role": st.sampled_from(["user", "assistant", "tool"]),
        "content": st.lists(blocks, max_size=3),
        "model": texts,
        "provider": texts,
    },
    optional={"agent_name": texts},
)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
usages = st.builds(
    Usage, counts, counts, counts, counts, counts, st.none() | st.just({"service_tier": "standard"})
)
costs = st.builds(Cost, st.none() | counts, st.sampled_from(["computed", "unpriced"]), st.none() | texts)
sources = st.builds(Source, texts, st.none() | texts, st.none() | texts, st.just({}) | st.just({"cwd": "/x"}))


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    """A node in the era we write, with any metadata."""
    return make_node(
        draw(buckets),
        draw(st.none() | hashes),
        stop_reason=draw(st.none() | texts),
        usage=draw(st.none() | usages),
        cost=draw(st.none() | costs),
        project=draw(st.none() | texts),
        created_at=draw(st.none() | st.just("2026-02-14T09:30:00.000000Z")),
        source=draw(st.none() | sources),
    )


def turn(text: str, parent: str | None = None, **metadata: Any) -> Node:
    """A plain node for tests that only need one."""
    bucket = {
        "type": "message",
        "role": "user",
        "content": [{"type": "text", "text": text}],
        "model": "m",
        "provider": "p",
    }
    return make_node(bucket, parent, **metadata)
