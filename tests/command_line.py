"""Running `tapes` in tests: in this process for speed, in one of its own where that is the point, at a terminal where that is."""

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tapes.cli import run

HOUSE = Path(__file__).parent.parent
SAMPLE = HOUSE / "tapes" / "samples" / "claude"
seconds_max = 60


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Person:
    """Somebody with a home. `user_home` keeps this machine's own agents out of it."""

    home: Path
    environment: Mapping[str, str] | None = None

    def tapes(self, *words: str | Path, stdin: str = "") -> Done:
        """One command, in this process."""
        bare, err = io.BytesIO(), io.StringIO()
        out = io.TextIOWrapper(bare, encoding="utf-8", newline="", write_through=True)
        umask = os.umask(0o077)  # the way in sets it for the whole process, which here is pytest's
        try:
            code = self._run(words, stdin, out, err)
        finally:
            os.umask(umask)
        return Done(code, bare.getvalue().decode(), err.getvalue())

    def _run(self, words: tuple[str | Path, ...], stdin: str, out: io.TextIOBase, err: io.StringIO) -> int:
        with (
            mock.patch.dict(os.environ, self._environ(), clear=True),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            return run([str(word) for word in words])

    def ok(self, *words: str | Path, stdin: str = "") -> Done:
        """As `tapes`, and it must end well."""
        done = self.tapes(*words, stdin=stdin)
        assert done.code == 0, done.err
        return done

    def json(self, *words: str | Path) -> Any:
        """The decoded `--json` answer of a command that must end well."""
        return self.ok(*words, "--json").json

    def listed(self, *words: str) -> Any:
        """`sessions --json` without titles, which each device has as far as it has read what was said: else all see the same."""
        found = self.json("sessions", *words)
        untitled = [
            {name: fact for name, fact in one.items() if name != "title"} for one in found["sessions"]
        ]
        return {**found, "sessions": untitled}

    def process(self, *words: str | Path, stdin: str = "") -> Done:
        """One command in a process of its own, through the real way in."""
        done = subprocess.run(
            [sys.executable, "-m", "tapes", *map(str, words)],
            env=self._environ(),
            cwd=HOUSE,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=seconds_max,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def loaded(self, *words: str) -> set[str]:
        """What the command has imported when it ends well, in a process of its own."""
        code = (
            "import sys; from tapes.cli import run; code = run(sys.argv[1:]); "
            "print(*sys.modules, file=sys.stderr); sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            env=self._environ(),
            cwd=HOUSE,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout
        return set(done.stderr.splitlines()[-1].split())

    def init(self, name: str) -> "Person":
        """Make the identity, with a kit beside the home."""
        self.ok("init", "--yes", "--name", name, "--kit-out", self.home.with_suffix(".kit"))
        return self

    def _environ(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("TAPES_", "CLAUDE_"))
        }
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            kept.pop(name, None)
        return {
            **kept,
            "HOME": str(self.home.parent),
            "TAPES_HOME": str(self.home),
            **(self.environment or {}),
        }

    def at_terminal(
        self, *words: str | Path, answers: Mapping[str, str] | None = None, columns: int = 100
    ) -> Done:
        """One command with a terminal on all three channels; `out` is what stood on the screen.

        `answers`: a pattern of a question, and what is then typed; `@kit` types the kit's word that was asked for.
        """
        return Terminal(self._environ() | {"COLUMNS": str(columns), "TERM": "xterm"}).run(
            words, answers or {}
        )


class Terminal:
    """A pseudo-terminal that types answers to what it reads."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)

    def run(self, words: tuple[str | Path, ...], answers: Mapping[str, str]) -> Done:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "tapes", *map(str, words)],
            env=self._environ,
            cwd=HOUSE,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        with process, os.fdopen(ours, "rb+", buffering=0) as terminal:
            screen = _converse(terminal, answers)
            code = process.wait(seconds_max)
        return Done(code, screen, "")


def _converse(terminal: Any, answers: Mapping[str, str]) -> str:
    screen, answered = "", 0
    while True:
        try:
            data = terminal.read(65536)
        except OSError:  # Linux: the other side is closed
            return screen
        if not data:
            return screen
        screen += data.decode("utf-8", "replace")
        for question, answer in answers.items():
            match = re.search(question, screen[answered:])
            if match:
                answered += match.end()
                terminal.write(_typed(answer, match, screen).encode() + b"\n")


def _typed(answer: str, match: re.Match[str], screen: str) -> str:
    """`@kit`: the kit's word of the number that was asked for, as it stood on the screen."""
    if answer != "@kit":
        return answer
    shown: dict[str, str] = dict(
        re.findall(r"(?<![0-9])([0-9]{1,2}) ([a-z]+)", screen.split("Whoever", maxsplit=1)[0])
    )
    return shown[match[1]]
