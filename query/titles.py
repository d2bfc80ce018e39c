"""What a session is called: its last few prompts, a line of each."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from store.nodes import Node
from store.texts import searchable_text, unmarked

prompts_kept: Final = 3  # the newest of a path
title_chars_max: Final = 72
line_chars_max: Final = 400  # of a prompt's line that is looked at
_joint: Final = " / "
_WRAPPED: Final = re.compile(r"<(system-reminder|local-command-[a-z]+)>.*?</\1>", re.DOTALL)


def title_of(prompts: Iterable[str]) -> str | None:
    """A title out of prompts in the order they were typed; None when none has a line that says something."""
    lines = [line for prompt in prompts if (line := _usable_line(prompt))]
    title = _joint.join(lines)
    if not title:
        return None
    return title if len(title) <= title_chars_max else title[: title_chars_max - 1].rstrip() + "…"


def title_of_nodes(nodes: Sequence[Node]) -> str | None:
    """As lists call a session, out of its nodes, root first.

    A user's turn below tool calls, or below another, brings results (query/paths.py).
    """
    prompts: list[str] = []
    above: Node | None = None
    for node in nodes:
        role, kind = node.bucket.get("role"), node.bucket.get("type")
        answered = above is not None and (above.bucket.get("role") == "user" or _calls(above))
        if role == "user" and kind == "message" and not answered:
            prompts.append(unmarked(searchable_text(node)))
        above = node
    return title_of(prompts[-prompts_kept:])


def _calls(node: Node) -> bool:
    content = node.bucket.get("content")
    blocks = content if isinstance(content, list) else []
    return any(isinstance(block, dict) and block.get("type") == "tool_use" for block in blocks)


def _usable_line(prompt: str) -> str | None:
    """The first line that somebody typed: agents wrap commands and reminders in tags."""
    for line in _WRAPPED.sub("", prompt).splitlines():
        stripped = " ".join(line[:line_chars_max].split())
        if stripped and not stripped.startswith("<") and not stripped.lower().startswith("command:"):
            return stripped
    return None
