"""What people can have seen of a turn, as plain text: what searching looks through.

Derived from the node's own bytes wherever it is needed, and stored nowhere but in this device's encrypted word index: beside the
packs it would be as large as they are (docs/decisions/0011-texts-are-not-stored.md). What a tool was told or answered stands
between two control characters, so that it can be searched alone.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from store.nodes import Node
from store.storable import storable_text

_TOOL_BEGIN: Final = "\x0e"
_TOOL_END: Final = "\x0f"
_MARKS: Final = re.compile(f"[{_TOOL_BEGIN}{_TOOL_END}]")
_TOOL_PART: Final = re.compile(
    f"{_TOOL_BEGIN}([^{_TOOL_END}]*){_TOOL_END}?"
)  # one that is cut off goes to the end
_TOOL_TYPES: Final = ("tool_use", "tool_result")
_TOOL_FIELDS: Final = ("tool_name", "tool_input", "tool_output")


def searchable_text(node: Node) -> str:
    """What people can have seen of a turn: text, thinking, tool names, inputs and outputs, one per line, in the turn's order.

    Tool calls and results stand in marks; `told_and_tools` and `unmarked` read them.
    """
    content = node.bucket.get("content")
    blocks = content if isinstance(content, list) else [content]
    return storable_text("\n".join(filter(None, map(_block_text, blocks))))


def told_and_tools(text: str) -> tuple[str, str]:
    """A searchable text apart: what people and models said, and what tools were told and answered."""
    if _TOOL_BEGIN not in text:
        return text, ""
    return _TOOL_PART.sub("", text), "\n".join(_TOOL_PART.findall(text))


def unmarked(text: str) -> str:
    """A searchable text as it is shown."""
    return _MARKS.sub("", text)


def _block_text(block: Any) -> str:
    """One block's lines. A mark inside is blanked: content must not pass for a tool's, nor hide from them."""
    text = _MARKS.sub(" ", "\n".join(filter(None, _block_texts(block))))
    is_tool = isinstance(block, dict) and (
        block.get("type") in _TOOL_TYPES or any(name in block for name in _TOOL_FIELDS)
    )
    return f"{_TOOL_BEGIN}{text}{_TOOL_END}" if is_tool and text else text


def _block_texts(block: Any) -> Iterator[str]:
    if isinstance(block, str):
        yield block
    if not isinstance(block, dict):
        return
    for field in ("text", "thinking", "tool_name"):
        if isinstance(block.get(field), str):
            yield block[field]
    yield from _strings(block.get("tool_input"))
    yield from _strings(block.get("tool_output"))
    yield from _raw_texts(block.get("content"))


def _raw_texts(content: Any) -> Iterator[str]:
    """The raw `content` of a block (hash era E4c): strings and text parts, not the base64 of pictures."""
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            yield text


def _strings(value: Any) -> Iterator[str]:
    """Every string value inside, in document order; by a stack, since foreign JSON may nest deeper than Python recurses."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack.extend(reversed(item.values()))
        elif isinstance(item, list):
            stack.extend(reversed(item))
