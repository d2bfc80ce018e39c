"""One watch per home: a lock of the kernel's on a file that says whose it is. A killed watch leaves no lock behind."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from crypto.errors import TapesError

_patience_seconds: Final = 0.5  # who asks whether a watch runs holds the lock for a moment itself
_poll_seconds: Final = 0.02
_pid_chars_max: Final = 20


@contextmanager
def only_watch(path: Path) -> Iterator[None]:
    """Be the home's only watch for the block; TapesError naming the process that is it already."""
    handle = _open(path)
    try:
        if not _locked(handle, _patience_seconds):
            pid = _pid_in(handle)
            raise TapesError(
                f"{f'process {pid}' if pid else 'another process'} already watches this home",
                hint="`tapes storage status` shows what it does" + (f"; `kill {pid}` ends it" if pid else ""),
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)  # the file stays: removing it would let two processes lock two files


def watching_pid(path: Path) -> int | None:
    """The process that watches the home whose lock file this is; None when nobody does."""
    if not path.exists():
        return None
    handle = _open(path)
    try:
        return None if _locked(handle, 0, fcntl.LOCK_SH) else _pid_in(handle)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TapesError(
            f"{path} cannot be opened: {error.strerror}", hint="check that its folder exists and is yours"
        ) from None


def _locked(handle: int, patience_seconds: float, kind: int = fcntl.LOCK_EX) -> bool:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_poll_seconds)
        else:
            return True


def _pid_in(handle: int) -> int | None:
    """The number in the file; None in the moment before its owner has written it."""
    text = os.pread(handle, _pid_chars_max, 0).decode("ascii", "replace")
    return int(text) if text.isdecimal() else None
