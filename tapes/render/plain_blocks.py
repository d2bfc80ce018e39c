"""A turn's content blocks as plain pieces of text, for documents: harmless characters only, nothing stored left unseen."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import starmap
from typing import Any, Final, Literal

from store.nodes import Node
from tapes.render.blocks import WITHHELD, blocks_of, picture_line
from tapes.render.edits import command_output, diff_lines, edits_of
from tapes.render.safe import safe, safe_line

Kind = Literal["said", "thinking", "call", "result", "error", "other"]
_KINDS: Final[dict[str, Kind]] = {
    "text": "said",
    "thinking": "thinking",
    "tool_use": "call",
    "tool_result": "result",
}
_PICTURES: Final = ("image_base64", "image_url", "media_type")


@dataclass(frozen=True, slots=True)
class Piece:
    """One block: what it is, one line about it, and its text (no control characters but tab and newline).

    `is_diff`: lines that begin with `-`, `+` or a blank.
    """

    kind: Kind
    label: str
    text: str
    is_diff: bool = False


def pieces_of(node: Node) -> Iterator[Piece]:
    """The blocks of a turn, in its order; one that says so where its content is withheld."""
    if node.withheld:
        yield Piece("other", "metadata only", WITHHELD)
    for block in blocks_of(node.bucket):
        name = block.get("type")
        kind = _KINDS.get(name, "other") if isinstance(name, str) else "other"
        if kind == "result" and block.get("is_error") is True:
            kind = "error"
        if kind == "call":
            yield from _call(block)
        else:
            yield Piece(kind, _label(kind, block), safe(_body(kind, block)).strip("\n"))


def _call(block: dict[str, Any]) -> Iterator[Piece]:
    """A tool call as `tapes show` has it: what it was told, field by field, then what it changes as a diff."""
    label, fields = _label("call", block), block.get("tool_input")
    changes, rest = edits_of(fields) if isinstance(fields, dict) else ([], fields)
    if rest or not changes:
        told = "\n".join(starmap(_field, rest.items())) if isinstance(rest, dict) else _words(rest, indent=2)
        yield Piece("call", label, safe(told).strip("\n"))
    for old, new in changes:
        yield Piece("call", label, safe("\n".join(diff_lines(old, new))), is_diff=True)


def _field(name: str, value: Any) -> str:
    """A field of a call. Further lines are set in: none of them can pass for a field of its own."""
    first, *further = _words(value).split("\n")
    if not further:
        return f"{safe_line(name)}: {first}"
    return "\n".join([f"{safe_line(name)}:", *(f"  {line}" for line in (first, *further))])


def who(node: Node) -> str:
    """Who speaks in a turn, on one line."""
    role = node.bucket.get("role") or node.bucket.get("type")
    return safe_line(role) if isinstance(role, str) else "turn"


def model_of(node: Node) -> str:
    """The model that answered, on one line; empty where none did."""
    model = node.bucket.get("model")
    return safe_line(model) if isinstance(model, str) and node.usage is not None else ""


def _label(kind: Kind, block: dict[str, Any]) -> str:
    if kind == "call":
        return safe_line(_words(block.get("tool_name"))) or "tool"
    if kind == "other":
        return safe_line(_words(block.get("type"))) or "block"
    return {"said": "", "thinking": "thinking", "result": "result", "error": "failed"}[kind]


def _body(kind: Kind, block: dict[str, Any]) -> str:
    if kind == "said":
        return _words(block.get("text"))
    if kind == "thinking":
        return _words(block.get("text") or block.get("thinking")) or "(not recorded)"
    if kind in {"result", "error"}:
        return command_output(_words(block.get("tool_output") or block.get("content"))) or "(no output)"
    rest = {name: value for name, value in block.items() if name not in {"type", *_PICTURES}}
    if rest.keys() == block.keys() - {"type"}:
        return _words(rest, indent=2)
    # A picture's base64 says nothing to a reader; a document with its own pictures would need more than text.
    return picture_line(block) + (f"\n{_words(rest, indent=2)}" if rest else "")


def _words(value: Any, indent: int | None = None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)
