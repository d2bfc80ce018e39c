"""The terminal that a command is typed into and drawn on, whatever stdin and stdout are."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from crypto.errors import UsageError

_TERMINAL: Final = Path("/dev/tty")


@dataclass(frozen=True, slots=True)
class Channels:
    """Where keys come from and what is drawn on. `plain`: without colours."""

    keys: TextIO
    screen: TextIO
    plain: bool


@contextmanager
def terminal(*, plain: bool, command: str, instead: str) -> Iterator[Channels]:
    """Stdin and stderr where they are a terminal, else that of the session. UsageError where there is none.

    Never stdout: that carries data, and may be a pipe.
    """
    if os.environ.get("TERM") == "dumb":
        raise UsageError(f"{command} needs a terminal that can move its cursor", hint=instead)
    opened: list[TextIO] = []
    try:
        keys = _of(sys.stdin) or _open(opened, writing=False)
        screen = _of(sys.stderr) or _open(opened, writing=True)
        yield Channels(keys, screen, plain)
    except OSError as error:
        if error.filename != str(_TERMINAL):
            raise
        raise UsageError(f"{command} needs a terminal", hint=instead) from error
    finally:
        for file in opened:
            file.close()


def _of(stream: TextIO | None) -> TextIO | None:
    return stream if stream is not None and stream.isatty() else None


def _open(opened: list[TextIO], *, writing: bool) -> TextIO:
    file: TextIO = open(_TERMINAL, "w" if writing else "r", encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115 - typed as text; the caller closes it
    opened.append(file)
    return file
