"""The process that somebody's SQL runs in, from outside: begun before there is anything to ask, ended however the asking ends.

It takes as long to load as the tables take to be made. So this module imports nothing heavy, and whoever is about to ask lets a
process wait meanwhile.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Final

from crypto.errors import TapesError

seconds_max_default: Final = 60
memory_mib_default: Final = 2048
_SCRIPT: Final = Path(__file__).with_name("sql_child.py")
Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a question may cost."""

    seconds: int = seconds_max_default
    memory_mib: int = memory_mib_default


default_limits: Final = Limits()


@dataclass(frozen=True, slots=True)
class Pipes:
    """To the process and from it."""

    stdin: IO[bytes]
    stdout: IO[bytes]


@contextmanager
def waiting() -> Iterator[Process]:
    """A process that waits for one question, ended with the block. A kill of ours drops the pipes, and it ends by itself."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
        [sys.executable, "-I", "-W", "error", str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"OPENBLAS_NUM_THREADS": "1"},  # else numpy starts a thread a core, for products of matrices
        cwd="/",
    )
    try:
        yield process
    finally:
        _end(process)


@contextmanager
def asked_within(process: Process, seconds: int) -> Iterator[Pipes]:
    """A question and its answer go over these pipes; the clock runs from now on. TapesError when it ended unanswered."""
    timer = Timer(seconds, process.kill)
    timer.daemon = True  # no exit waits for the clock
    try:
        timer.start()
        if process.stdin is None or process.stdout is None:
            raise TapesError("no pipe to the SQL process")
        yield Pipes(process.stdin, process.stdout)
    except (BrokenPipeError, EOFError):
        late = not timer.is_alive()
        why = (
            f"took longer than {seconds} seconds"
            if late
            else "ended its process: it may have run out of memory"
        )
        raise TapesError(
            f"the query {why}", hint="ask for less at once, or raise --timeout or --memory"
        ) from None
    finally:
        timer.cancel()


def _end(process: Process) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # what was not flushed has no reader any more
                pipe.close()
    process.wait()
