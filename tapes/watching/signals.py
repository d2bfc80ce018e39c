"""Signals as a queue that the main thread reads.

A handler that set an `Event` could meet the very lock it needs held by the code it interrupted; here the interpreter writes
the signal's number into a pipe, and no code of ours runs inside a handler.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
_WANTED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """The signals that came, in their order."""

    def __init__(self, pipe: int, before: Mapping[int, Handler]) -> None:
        self._pipe = pipe
        self._before = before

    def next(self) -> int:
        """Wait for the next one."""
        return os.read(self._pipe, 1)[0]

    def let_through(self) -> None:
        """From now on SIGTERM and SIGINT end the process as usual. SIGHUP still does not: a closing terminal sends several."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._before[number])


@contextmanager
def caught() -> Iterator[Signals]:
    """SIGTERM, SIGINT and SIGHUP go to the queue as long as the block runs; only in the main thread.

    Afterwards SIGHUP is ignored: the process is about to end, and a closing terminal must not make a failure of it.
    """
    out, into = os.pipe()
    os.set_blocking(into, False)
    before = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    handlers: dict[int, Handler] = {number: signal.signal(number, _nothing) for number in _WANTED}
    try:
        yield Signals(out, handlers)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handlers[number])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(before)
        os.close(out)
        os.close(into)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Only so that the signal is neither fatal nor ignored."""
