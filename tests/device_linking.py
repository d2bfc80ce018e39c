"""Linking in tests: `tapes device link` in a process of its own, `tapes device join` beside it, as two machines would."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tests.command_line import HOUSE, Done, Person, seconds_max


@contextmanager
def offering(old: Person, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A running `tapes device link` and the code it shows; ended if the test does not let it end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tapes", "device", "link", *words],
        env=old._environ(),
        cwd=HOUSE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            shown = process.stderr if "--json" in words else process.stdout
            yield _code(shown), process
        finally:
            if process.poll() is None:
                process.kill()


def link(old: Person, new: Person, *words: str, name: str = "laptop two") -> tuple[Done, Done]:
    """Link `new` to `old`; how the join and the link ended."""
    with offering(old, "--yes", *words) as (code, process):
        joined = new.tapes("device", "join", "-", "--name", name, "--vault", "file", *words, stdin=code)
        out, err = process.communicate(timeout=seconds_max)
        return joined, Done(process.returncode, out, err)


def _code(shown: IO[str] | None) -> str:
    assert shown is not None
    for line in shown:
        if line.startswith("tapes://link#"):
            return line
    raise AssertionError("no code was shown")
