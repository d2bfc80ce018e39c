"""The project of a turn: the last part of its working directory, on whichever system that was."""

import re
from functools import lru_cache
from typing import Any

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
project_chars_max = 256
directories_max = 64  # remembered: a log repeats its directory on every line


def project_of(cwd: Any) -> str | None:
    """`demo` for `/home/kim/src/demo`, and likewise on Windows; None when there is no directory or it has no name.

    A backslash separates only on Windows: elsewhere it is a letter of the name.
    """
    return _last_part(cwd) if isinstance(cwd, str) else None


@lru_cache(maxsize=directories_max)
def _last_part(cwd: str) -> str | None:
    path = cwd.replace("\\", "/") if _WINDOWS.match(cwd) else cwd
    name = path.rstrip("/").rpartition("/")[2]
    return name[:project_chars_max] or None
