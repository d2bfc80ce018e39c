"""How a service is told to end, and until when it may finish what it is at."""

import threading
import time
from collections.abc import Callable


class Stopped(BaseException):
    """Time is up. Like a KeyboardInterrupt no `except Exception` holds it: imports and syncs may be cut anywhere."""


class Stopping:
    """Asked by one thread, looked at by the one that works."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._asked = threading.Event()
        self._deadline = float("inf")

    @property
    def asked(self) -> bool:
        """Whether the work is to end soon."""
        return self._asked.is_set()

    def ask(self, seconds_max: float) -> None:
        """End within so many seconds; asked again, it may only come sooner."""
        self._deadline = min(self._deadline, self._monotonic() + seconds_max)
        self._asked.set()

    def check(self) -> None:
        """Go on, or Stopped when the time is over. Called where the work reports how far it is."""
        if self.asked and self._monotonic() >= self._deadline:
            raise Stopped
