"""The project of a turn: the last part of its working directory, on whichever system that was."""

import re
from typing import Any

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
project_chars_max = 256


def project_of(cwd: Any) -> str | None:
    """`demo` for `/home/kim/src/demo`, and likewise on Windows; None when there is no directory or it has no name.

    A backslash separates only on Windows: elsewhere it is a letter of the name.
    """
    if not isinstance(cwd, str):
        return None
    path = cwd.replace("\\", "/") if _WINDOWS.match(cwd) else cwd
    name = path.rstrip("/").rpartition("/")[2]
    return name[:project_chars_max] or None
