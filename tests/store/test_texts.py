"""Texts: every word a person saw is searchable, and nothing a node may hold breaks that."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from store.node_parse import node_from_bytes
from store.nodes import Node
from store.texts import searchable_text, told_and_tools, unmarked
from tests.sealing_keys import digest

GOLDEN = Path(__file__).parent.parent / "golden" / "formats"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def node_with(content: Any) -> Node:
    """A node whose bucket has this content."""
    return Node(digest("node").hex(), None, None, {"type": "message", "role": "user", "content": content})


def test_everything_a_person_saw_is_searchable() -> None:
    """Text, thinking, tool names, inputs' strings at any depth, outputs and raw content, in the turn's order."""
    blocks = [
        {"type": "text", "text": "hello"},
        {"type": "thinking", "thinking": "hmm", "thinking_signature": "c2lnbmF0dXJl"},
        {
            "type": "tool_use",
            "tool_name": "Bash",
            "tool_input": {"command": "ls", "env": [{"A": "deep"}, 7, None]},
        },
        {"type": "tool_result", "tool_output": "file.txt"},
        {"type": "tool_result", "tool_output": {"stdout": "nested out"}},
        {
            "type": "tool_result",
            "content": [{"type": "text", "text": "raw"}, "bare", {"type": "image", "data": "aGk="}],
        },
        {"type": "image", "image_base64": "aW1hZ2U="},
    ]

    found = searchable_text(node_with(blocks))

    assert unmarked(found) == "hello\nhmm\nBash\nls\ndeep\nfile.txt\nnested out\nraw\nbare"
    assert told_and_tools(found)[1] == "Bash\nls\ndeep\nfile.txt\nnested out\nraw\nbare"
    assert told_and_tools(found)[0].strip() == "hello\nhmm"
    assert told_and_tools("a\x0eb") == ("a", "b")


def test_no_content_passes_for_a_tools() -> None:
    """The marks of tool parts cannot be written by what is said, nor ended by what a tool says."""
    found = searchable_text(
        node_with(
            [{"type": "text", "text": "\x0efake\x0f"}, {"type": "tool_result", "tool_output": "x\x0fy"}]
        )
    )

    assert told_and_tools(found) == (" fake \n", "x y")


def test_plain_string_content_is_searchable() -> None:
    """A foreign node may hold its words directly."""
    assert searchable_text(node_with("just words")) == "just words"


def test_lone_surrogates_are_replaced() -> None:
    """Half a surrogate pair becomes U+FFFD; whole characters stay, also beyond the basic plane."""
    assert (
        searchable_text(node_with([{"text": "a \ud800 b \U0001f600 \udc00"}]))
        == "a \ufffd b \U0001f600 \ufffd"
    )


def test_deeply_nested_input_is_read_without_recursion() -> None:
    """Foreign JSON deeper than Python's stack costs nothing but its reading."""
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]

    assert searchable_text(node_with([{"tool_input": deep}])) == "\x0ebottom\x0f"
    while isinstance(deep, list):  # taken apart by hand: freeing it at once would recurse in C
        deep = deep.pop()


@given(json_values)
def test_any_content_gives_storable_text(content: Any) -> None:
    """Whatever a foreign bucket holds: text that any database takes, never an exception."""
    found = searchable_text(node_with(content))

    assert found.encode().decode() == found


def test_the_golden_turns_give_their_texts_for_ever() -> None:
    """The words of nodes that an earlier version stored are still the same."""
    expected = json.loads((GOLDEN / "expected.json").read_text())
    stored = [turn for talk in sorted(expected["pack"]["nodes"]) for turn in expected["pack"]["nodes"][talk]]
    found = {
        node.hash: searchable_text(node) for node in (node_from_bytes(turn.encode(), "x") for turn in stored)
    }

    assert dict(expected["text"]) == found
