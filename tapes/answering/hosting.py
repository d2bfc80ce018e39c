"""The resident process as a service of `tapes watch`: a child of its own, so that its memory and its end are its own."""

import subprocess
import sys
import threading
from contextlib import suppress
from typing import Final

restart_seconds: Final = (
    30.0  # a child that ended is missed by nobody for that long: commands do the work themselves
)


class Answering:
    """A `Resident` (tapes/watching/resident.py). Nothing is lost with it at any moment: it only reads."""

    name = "answering"

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="watch-answering", daemon=True)

    def start(self) -> None:
        """Begin; the child opens nothing before the first question."""
        self._thread.start()

    def stop(self, seconds_max: float) -> bool:
        """End the child, and wait for that at most so long."""
        self._ending.set()
        child = self._child
        if child is None:
            return True
        with suppress(OSError):
            child.kill()  # it only reads, and its index is written in whole transactions
        self._thread.join(seconds_max)
        return not self._thread.is_alive()

    def _keep(self) -> None:
        while not self._ending.is_set():
            # The other end of its standard input closes with this process, however that ends: no child is left behind.
            with subprocess.Popen(
                [sys.executable, "-m", "tapes.answering.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as self._child:
                if self._ending.is_set():  # asked to stop while it was being started
                    self._child.kill()
                self._child.wait()
            self._ending.wait(restart_seconds)
