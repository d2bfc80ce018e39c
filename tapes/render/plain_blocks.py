"""A turn's content blocks as plain pieces of text, for documents: harmless characters only, nothing stored left unseen."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from store.nodes import Node
from tapes.render.blocks import WITHHELD, blocks_of
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
    """One block: what it is, one line about it, and its text (no control characters but tab and newline)."""

    kind: Kind
    label: str
    text: str


def pieces_of(node: Node) -> Iterator[Piece]:
    """The blocks of a turn, in its order; one that says so where its content is withheld."""
    if node.withheld:
        yield Piece("other", "metadata only", WITHHELD)
    for block in blocks_of(node.bucket):
        name = block.get("type")
        kind = _KINDS.get(name, "other") if isinstance(name, str) else "other"
        if kind == "result" and block.get("is_error") is True:
            kind = "error"
        yield Piece(kind, _label(kind, block), safe(_body(kind, block)).strip("\n"))


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
    if kind == "call":
        return _words(block.get("tool_input"), indent=2)
    if kind in {"result", "error"}:
        return _words(block.get("tool_output") or block.get("content")) or "(no output)"
    # A picture's base64 says nothing to a reader; a document with its own pictures would need more than text.
    return _words(
        {name: value for name, value in block.items() if name not in {"type", *_PICTURES}}, indent=2
    )


def _words(value: Any, indent: int | None = None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=indent)
