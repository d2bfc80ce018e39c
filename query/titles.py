"""What a session is called: its last few prompts, a line of each."""

import re
from collections.abc import Iterable
from typing import Final

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


def _usable_line(prompt: str) -> str | None:
    """The first line that somebody typed: agents wrap commands and reminders in tags."""
    for line in _WRAPPED.sub("", prompt).splitlines():
        stripped = " ".join(line[:line_chars_max].split())
        if stripped and not stripped.startswith("<") and not stripped.lower().startswith("command:"):
            return stripped
    return None
