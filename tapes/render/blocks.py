"""One content block of a turn as terminal text: what was said in full, what a tool did folded to a few lines."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from tapes.render import figures
from tapes.render.edits import command_output, diff_lines, edits_of
from tapes.render.indented import Indented
from tapes.render.safe import safe, safe_line

Block = dict[str, Any]
Parts = Iterator[Indented]
folded_lines_max: Final = 12
folded_chars_max: Final = 2_000
input_lines_max: Final = 6
WITHHELD: Final = "what was said did not leave its author's device"
_said_columns: Final = 2
_done_columns: Final = 4
_base64_chars_per_3_bytes: Final = 4


@dataclass(frozen=True, slots=True)
class Folding:
    """How much of thinking, tool inputs and results to show; None: all."""

    lines_max: int | None = folded_lines_max
    chars_max: int | None = folded_chars_max


ALL: Final = Folding(None, None)


def blocks_of(bucket: Block) -> list[Block]:
    """A bucket's content as blocks; foreign shapes become text, so that nothing stored is left unseen."""
    content = bucket.get("content")
    items = content if isinstance(content, list) else [] if content is None else [content]
    return [item if isinstance(item, dict) else {"type": "text", "text": _words(item)} for item in items]


def render_block(block: Block, folding: Folding) -> Parts:
    """The parts of one block."""
    kind = block.get("type")
    renderer = _RENDERERS.get(kind) if isinstance(kind, str) else None
    yield from (renderer or _other)(block, folding)


def _text(block: Block, _folding: Folding) -> Parts:
    text = safe(_words(block.get("text"))).strip("\n")
    if text:
        yield Indented(Text(text), _said_columns)


def _thinking(block: Block, folding: Folding) -> Parts:
    words = _words(block.get("text") or block.get("thinking"))
    style = "dim italic"
    yield Indented(
        _folded(words or "(not recorded)", folding, style), _said_columns, Text("thinking: ", style)
    )


def _tool_use(block: Block, folding: Folding) -> Parts:
    name = Text(safe_line(_words(block.get("tool_name"))) or "tool", style="bold cyan")
    mark = Text("▸ ", style="cyan")
    fields = block.get("tool_input")
    changes, rest = edits_of(fields) if isinstance(fields, dict) else ([], {})
    entries = list(rest.items())
    if (
        len(entries) == 1
        and not changes
        and isinstance(entries[0][1], str)
        and "\n" not in entries[0][1].strip()
    ):
        yield Indented(Text.assemble(name, "  ", safe_line(entries[0][1])), _said_columns, mark)
        return
    yield Indented(name, _said_columns, mark)
    lines_max = min(input_lines_max, folding.lines_max) if folding.lines_max is not None else None
    for field, value in entries:
        label = Text(f"{safe_line(_words(field))}: ", style="dim")
        yield Indented(
            _folded(_words(value), Folding(lines_max, folding.chars_max), ""), _done_columns, label
        )
    for old, new in changes:
        yield Indented(_diff(old, new, folding), _done_columns)


def _diff(old: str, new: str, folding: Folding) -> Text:
    """What an edit takes away in red, what it puts there in green; the signs say the same without colours."""
    shown = _folded("\n".join(diff_lines(old, new)), folding, "")
    at = 0
    for line in shown.plain.split("\n"):
        style = {"- ": "red", "+ ": "green"}.get(line[:2])
        if style:
            shown.stylize(style, at, at + len(line))
        at += len(line) + 1
    return shown


def _tool_result(block: Block, folding: Folding) -> Parts:
    failed = block.get("is_error") is True
    words = command_output(_words(block.get("tool_output") or block.get("content")))
    mark, style = ("✗ error: ", "red") if failed else ("◂ ", "dim")
    yield Indented(_folded(words or "(no output)", folding, style), _said_columns, Text(mark, style))


def _image(block: Block, _folding: Folding) -> Parts:
    yield Indented(Text(f"[{picture_line(block)}]", style="dim"), _said_columns)


def picture_line(block: Block) -> str:
    """What is said of a picture that is not shown: its type, and its size or where it is."""
    data = _words(block.get("image_base64"))
    media = safe_line(_words(block.get("media_type"))) or "image"
    bytes_long = len(data) * 3 // _base64_chars_per_3_bytes
    where = figures.size(bytes_long) if data else safe_line(_words(block.get("image_url")))
    return f"{media}, {where}"


def _other(block: Block, folding: Folding) -> Parts:
    kind = safe_line(_words(block.get("type"))) or "block"
    rest = {name: value for name, value in block.items() if name != "type"}
    words = _words(rest.get("text") if rest.keys() == {"text"} else rest)
    yield Indented(_folded(words, folding, "dim"), _said_columns, Text(f"{kind}: ", style="dim"))


_RENDERERS: Final[dict[str, Callable[[Block, Folding], Parts]]] = {
    "text": _text,
    "thinking": _thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image": _image,
}


def _folded(words: str, folding: Folding, style: str) -> Text:
    """The beginning of a text, and how much is left out."""
    text = safe(words).strip("\n")
    lines = text.split("\n")
    shown = "\n".join(lines[: folding.lines_max])
    cut = shown if folding.chars_max is None else shown[: folding.chars_max]
    out = Text(cut, style=style)
    if len(cut) < len(text):
        left = len(lines) - cut.count("\n") - 1
        out.append(f"\n… {left} more lines" if left else f"… {len(text) - len(cut)} more characters")
    return out


def _words(value: Any) -> str:
    """A JSON value as text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
