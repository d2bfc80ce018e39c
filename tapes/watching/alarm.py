"""Waiting for the next round, on a machine that sleeps, whose clock is set, and whose settings are edited meanwhile.

The monotonic clock says when: setting the wall clock neither skips nor repeats rounds. But it stands still while a laptop
sleeps, so the wall clock is compared with it: one that ran ahead means that the machine slept (or its clock was set forward),
and the round is due now.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

look_seconds: Final = 5.0  # how long a sleep or a changed file goes unnoticed
slept_seconds_min: Final = 30.0  # less is a slow machine, or NTP at work

Woken = Literal["due", "called", "slept", "changed"]


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks of the machine, in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@dataclass(slots=True)
class Alarm:
    """One waiter's alarm; others may call it."""

    settings: Path
    clocks: Clocks = field(default_factory=Clocks)
    look_seconds: float = look_seconds
    _called: threading.Event = field(default_factory=threading.Event)
    _seen: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """The settings are about to be read: a change from now on ends the next wait, however soon it comes."""
        self._seen = _signature(self.settings)

    def call(self) -> None:
        """Wake the waiter now, or, if it is at work, right after."""
        self._called.set()

    def wait(self, seconds: float) -> Woken:
        """Wait so long, or until something else is a reason; which one it was."""
        due = self.clocks.monotonic() + seconds
        ahead = self._ahead()
        while (left := due - self.clocks.monotonic()) > 0:
            if self._called.wait(min(left, self.look_seconds)):
                self._called.clear()
                return "called"
            if self._ahead() - ahead >= slept_seconds_min:
                return "slept"
            if _signature(self.settings) != self._seen:
                return "changed"
        return "due"

    def _ahead(self) -> float:
        return self.clocks.wall() - self.clocks.monotonic()


def _signature(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced or written; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
