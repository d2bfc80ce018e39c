"""Texts: the searchable words of a push's nodes, in sealed Parquet objects of their own.

Apart from the manifest because they are a hundred times larger, and lists and totals never need them. Row groups are small: a
reader that knows the row decrypts and unpacks a few blocks, not the object. What a tool was told or answered stands between two
control characters, so that it can be searched alone.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from crypto.errors import FormatBroken
from crypto.sealing import Kind, SealKey, open_sealed, seal
from store.limits import MIB, manifest_rows_max, node_bytes_max
from store.nodes import Node
from store.parquet import TableFormat, read_table, storable_text, write_table

text_raw_bytes_target = 64 * MIB
# One more node may follow when the target is almost reached; 64 bytes a row for hashes and offsets.
text_raw_bytes_max = text_raw_bytes_target + node_bytes_max + 64 * manifest_rows_max
text_stored_bytes_max = text_raw_bytes_max + MIB  # incompressible, with seal and page overhead
TEXT_SCHEMA: Final = pa.schema(
    [pa.field("hash", pa.binary(32), nullable=False), pa.field("text", pa.string(), nullable=False)]
)
_FORM: Final = TableFormat(
    schema=TEXT_SCHEMA,
    row_group_rows=2048,
    dictionary=(),
    rows_max=manifest_rows_max,
    raw_bytes_max=text_raw_bytes_max,
)
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


def cut_texts(rows: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Cut (node hash, text) into runs that each fit one text object; a run closes at `text_raw_bytes_target`."""
    run: list[tuple[str, str]] = []
    held = 0
    for row in rows:
        run.append(row)
        held += len(row[1].encode())
        if held >= text_raw_bytes_target or len(run) == manifest_rows_max:
            yield run
            run, held = [], 0
    if run:
        yield run


def seal_text(seal_key: SealKey, rows: Iterable[tuple[str, str]]) -> bytes:
    """Seal (node hash, searchable text) rows, in their order. ValueError for more than one object may hold."""
    hashes, texts = [], []
    for node_hash, text in rows:
        hashes.append(bytes.fromhex(node_hash))
        texts.append(text)
    table = pa.table({"hash": hashes, "text": texts}, schema=TEXT_SCHEMA)
    return seal(seal_key, Kind.TEXT, write_table(table, _FORM))


def open_text(seal_key: SealKey, stored: bytes, name: str) -> pa.Table:
    """The rows of a text object, as a table of TEXT_SCHEMA. SealBroken or FormatBroken, calling the object `name`."""
    if len(stored) > text_stored_bytes_max:
        raise FormatBroken(
            name, f"a text of {len(stored)} bytes is over the limit of {text_stored_bytes_max}"
        )
    table, _ = read_table(open_sealed(seal_key, Kind.TEXT, stored, name), _FORM, name)
    return table


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
