"""Which files below a folder may be logs: none that would be waited for without end, and no folder left out in silence."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(root: Path, wanted: Callable[[str], bool]) -> Iterator[Path]:
    """Every file below whose name is `wanted`, but no pipe, socket or device: reading one may never end.

    Links to folders are not followed, they may lead in circles. A folder that may not be looked into comes as a file would, so
    that reading it fails in words.
    """
    denied: list[Path] = []

    def closed(error: OSError) -> None:
        if isinstance(error, PermissionError):
            denied.append(Path(os.fsdecode(error.filename)))

    for folder, _, names in os.walk(root, onerror=closed):
        yield from (path for name in names if wanted(name) and not _endless(path := Path(folder, name)))
    yield from denied


def is_endless(mode: int) -> bool:
    """Of a file's mode: a pipe, a socket or a device."""
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _endless(path: Path) -> bool:
    try:
        return is_endless(path.stat().st_mode)
    except OSError:
        return False  # reading it will say why it cannot be read
