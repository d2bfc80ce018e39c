"""Ctrl-C stays Ctrl-C, also where a library makes an error of its own out of it.

DuckDB and Arrow meet a KeyboardInterrupt inside their own code and raise a RuntimeError or InvalidInputException instead: neither
a crash to keep nor a broken file. So what counts is that the signal came, not what surfaced.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_came = False


def listen() -> None:
    """From now on remember an interrupt. A process that was told to ignore them, as by nohup, goes on ignoring them."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    global _came  # noqa: PLW0603 - the signals of a process are global
    _came = True
    raise KeyboardInterrupt


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Whatever leaves the block after an interrupt came in it leaves it as KeyboardInterrupt."""
    global _came  # noqa: PLW0603 - as above
    _came = False
    try:
        yield
    except Exception:
        if _came:
            raise KeyboardInterrupt from None
        raise
