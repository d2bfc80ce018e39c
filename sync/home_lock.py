"""One process at a time writes for a home: two syncs at once would push every node twice and share one journal row.

The lock is the kernel's (flock) on a file beside the replica, so a killed process leaves none behind.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from crypto.errors import StoreError

lock_wait_seconds_max: Final = 600.0  # a first sync of years of sessions may hold it for minutes
_lock_poll_seconds: Final = 0.05


class HomeLock:
    """Held by one process among those that use a home; entering it again inside is free. Not for several threads."""

    def __init__(
        self,
        path: Path,
        wait_seconds_max: float = lock_wait_seconds_max,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_wait` is called once when another process has the lock."""
        self._path = path
        self._wait_seconds_max = wait_seconds_max
        self._on_wait = on_wait
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, hold it, let it go. StoreError when another process keeps it for too long."""
        with self._opened() if self._depth == 0 else nullcontext() as handle:
            if handle is not None:
                self._wait(handle)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Closing lets go of the lock. The file itself stays: removing it would let two processes lock two files."""
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self._path} cannot be opened: {error.strerror}",
                hint="check that its folder exists and is yours",
            ) from error
        try:
            yield handle
        finally:
            os.close(handle)

    def _wait(self, handle: int) -> None:
        deadline = time.monotonic() + self._wait_seconds_max
        waited = False
        while not _try_lock(handle):
            if time.monotonic() > deadline:
                raise StoreError(
                    f"another tapes process has kept this home for {self._wait_seconds_max:.0f} s",
                    hint="wait for its sync to end, or end it; then run this command again",
                )
            if not waited:
                self._on_wait()
                waited = True
            time.sleep(_lock_poll_seconds)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
