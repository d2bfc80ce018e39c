"""What a node's content is reduced to before it is hashed, from era E4 on (tapes.md §1.4).

The agent re-sends earlier turns with other reminders, blank lines and defaults than it first sent; without the reduction each
re-sending would fork the chain. Every rule here is Go's behaviour to the character, but in linear time: the text is hostile.
"""

import re
from typing import Final

from store.nodes import Json

TAGS_E4: Final = (
    "system-reminder",
    "command-name",
    "command-message",
    "command-args",
    "local-command-stdout",
    "local-command-stderr",
    "local-command-caveat",
)
TAGS_E5: Final = (
    *TAGS_E4,
    "session",
    "conversation",
    "new-diagnostics",
    "task-notification",
    "status",
    "summary",
    "transcript",
    "event",
    "tool-use-id",
    "output-file",
    "task-id",
)
TAGS_E6: Final = (*TAGS_E5, "environment_context")

# Go's unicode.IsSpace. Python's own strip() would also take U+001C to U+001F.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
# The look-behind lets a match start only where a run of blanks starts: without it a megabyte of blanks takes hours.
_TRAILING_BLANKS = re.compile(r"(?<![ \t])[ \t]+\n")
_BLANK_LINES = re.compile(r"\n{2,}")


def project_text(text: str, tags: tuple[str, ...]) -> str:
    """`text` without the agent's own spans, with its white space normalised. No lone surrogates, please."""
    data = text.encode()
    for tag in tags:
        data = _strip_span(data, b"<" + tag.encode() + b">", b"</" + tag.encode() + b">")
    lines = data.decode().replace("\r\n", "\n")
    if (
        " \n" in lines or "\t\n" in lines
    ):  # the pattern stops at every blank of a text; this look is 30 times faster
        lines = _TRAILING_BLANKS.sub("\n", lines)
    return _BLANK_LINES.sub("\n", lines).strip(_SPACE)


def project_blocks(
    blocks: list[dict[str, Json]], tags: tuple[str, ...], *, outputs: bool
) -> list[dict[str, Json]]:
    """The blocks that count for identity; `outputs` says whether tool output is reduced too (E5 on)."""
    projected = (_project_block(block, tags, outputs=outputs) for block in blocks)
    return [block for block in projected if block is not None]


def _project_block(block: dict[str, Json], tags: tuple[str, ...], *, outputs: bool) -> dict[str, Json] | None:
    made = {name: value for name, value in block.items() if name != "thinking_signature"}
    if made.get("text"):
        made["text"] = project_text(made["text"], tags)
        if not made["text"]:
            return None  # a block that was nothing but reminders, whatever else it carries
    if made.get("tool_input"):
        made["tool_input"] = _prune(made["tool_input"])
    if outputs and made.get("tool_output"):
        made["tool_output"] = project_text(made["tool_output"], tags)
    return made


def _prune(mapping: dict[str, Json]) -> dict[str, Json]:
    """Without entries that say nothing: null, false, 0, "", [], {} and objects of only those. Lists stay as they are."""
    made = {}
    for key, value in mapping.items():
        kept = _prune(value) if isinstance(value, dict) else value
        if kept:
            made[key] = kept
    return made


def _strip_span(data: bytes, opening: bytes, closing: bytes) -> bytes:
    """`data` without every `opening … closing`; an opening that is never closed takes the rest with it.

    Go cuts one span and searches again from the start, so that what a cut brings together can open a new span. Searching
    only the seam finds the same without the quadratic time that a message of a million tags would cost.
    """
    if opening not in data:
        return data
    kept, at, seam = bytearray(), 0, len(opening) - 1
    while True:
        before = bytes(kept[-seam:])
        joined = (before + data[at : at + seam]).find(opening)
        if joined >= 0:
            taken = len(before) - joined  # how much of the opening was already kept
            del kept[-taken:]
            at += len(opening) - taken
        else:
            start = data.find(opening, at)
            if start < 0:
                return bytes(kept + data[at:])
            kept += data[at:start]
            at = start + len(opening)
        end = data.find(closing, at)
        if end < 0:
            return bytes(kept)
        at = end + len(closing)
