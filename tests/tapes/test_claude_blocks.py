"""Content blocks: every kind the API writes, mapped so that the node's hash covers what it says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.eras import hash_bucket
from tapes.importers.claude.blocks import map_content

E3_FIELDS = {
    *("type", "text", "image_url", "image_base64", "media_type", "tool_use_id", "tool_name", "tool_input"),
    *("tool_result_id", "tool_output", "is_error", "thinking_signature"),
}
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_block = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    st.sampled_from(["text", "thinking", "tool_use", "tool_result", "image", "new"]),
    st.dictionaries(
        st.sampled_from(["text", "thinking", "id", "name", "input", "tool_use_id", "content", "source"]),
        _json,
    ),
)


@pytest.mark.parametrize(
    ("block", "mapped"),
    [
        ({"type": "text", "text": "hi"}, [{"type": "text", "text": "hi"}]),
        (
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            [{"type": "thinking", "text": "hm", "thinking_signature": "c2ln"}],
        ),
        (
            {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
            [{"type": "tool_use", "tool_use_id": "t1", "tool_name": "Bash", "tool_input": {"command": "ls"}}],
        ),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "out"},
            [{"type": "tool_result", "tool_result_id": "t1", "tool_output": "out"}],
        ),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True},
            [{"type": "tool_result", "tool_result_id": "t1", "tool_output": "no", "is_error": True}],
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            [{"type": "image", "image_base64": "aGk=", "media_type": "image/png"}],
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            [{"type": "image", "image_url": "https://example.org/a.png"}],
        ),
        (
            {"type": "redacted_thinking", "data": "b64"},
            [{"type": "redacted_thinking", "text": '{"type":"redacted_thinking","data":"b64"}'}],
        ),
    ],
)
def test_each_kind_has_its_fields(block: dict[str, Any], mapped: list[dict[str, Any]]) -> None:
    """Thinking goes into `text`, since era E3 hashes no field of its own for it; unknown kinds go there whole."""
    found = map_content([block])

    assert found is not None
    assert (found.content, found.besides) == (mapped, {})


def test_a_result_with_texts_and_images_keeps_both() -> None:
    """Texts of a result are joined; an image of it is a block of its own that names the result."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    parts = [
        {"type": "text", "text": "a"},
        image,
        {"type": "text", "text": "b"},
        {"type": "tool_reference", "name": "x"},
    ]

    found = map_content([{"type": "tool_result", "tool_use_id": "t1", "content": parts}])

    assert found is not None
    assert found.content == [
        {"type": "tool_result", "tool_result_id": "t1", "tool_output": "a\nb"},
        {"type": "image", "image_base64": "aGk=", "media_type": "image/png", "tool_result_id": "t1"},
        {"type": "tool_reference", "text": '{"type":"tool_reference","name":"x"}', "tool_result_id": "t1"},
    ]


def test_what_has_no_field_is_kept_beside() -> None:
    """Citations, callers and cache marks are no part of era E3's hash, and not lost either."""
    found = map_content(
        [
            {"type": "text", "text": "hi", "citations": [1]},
            {"type": "tool_use", "id": "t", "name": "n", "input": {}, "caller": {"type": "direct"}},
        ]
    )

    assert found is not None
    assert found.besides == {0: {"citations": [1]}, 1: {"caller": {"type": "direct"}}}


@given(st.lists(_json | _block, max_size=4))
def test_nothing_a_block_says_is_lost(blocks: list[Any]) -> None:
    """Whatever a block is made of, it becomes a node that can be hashed, of E3's fields only, with all its texts in it."""
    found = map_content(blocks)

    assert found is not None
    assert all(block.keys() <= E3_FIELDS for block in found.content)
    assert len(hash_bucket({"type": "message", "role": "user", "content": found.content}, None)) == 64
    told = json.dumps([found.content, list(found.besides.values())], ensure_ascii=False)
    assert all(text in told for block in blocks for text in _texts(block))


def _texts(value: Any) -> list[str]:
    """Texts that stand as values in a block, its type aside."""
    if isinstance(value, str):
        return [value] if value.isalnum() else []
    inside = [v for k, v in value.items() if k != "type"] if isinstance(value, dict) else value
    return [text for child in inside for text in _texts(child)] if isinstance(inside, list) else []


@pytest.mark.parametrize("content", [7, True, {"type": "text"}])
def test_what_is_neither_text_nor_list_is_refused(content: object) -> None:
    """A message whose content cannot be a list of blocks is reported, not guessed."""
    assert map_content(content) is None
