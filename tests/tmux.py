"""A real terminal that a test types into and looks at: tmux, on a server of its own."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from tests.command_line import HOUSE

seconds_max = 30
needs_tmux = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="tmux is not installed: no real terminal to type into"
)


class Pane:
    """One terminal in which one shell line runs."""

    def __init__(self, server: str) -> None:
        self._server = server

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._server, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def type(self, *keys: str) -> None:
        """Keys by tmux's names (Tab, Enter, Escape, C-c, Down), anything else letter for letter."""
        for key in keys:
            named = re.fullmatch(r"Tab|BTab|Enter|Escape|Up|Down|PageDown|PageUp|C-.", key)
            self._tmux("send-keys", "-t", "pane", *([] if named else ["-l"]), _escaped(key))

    def paste(self, text: str) -> None:
        """As from a clipboard, with the marks that a terminal puts around it."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p", "-t", "pane")

    def press_until(self, key: str, pattern: str) -> str:
        """A key, again and again until the screen shows the pattern: who listens to it may not have begun."""
        until = time.monotonic() + seconds_max
        while not re.search(pattern, screen := self.screen()):
            assert time.monotonic() < until, f"{key} never brought {pattern!r}:\n{screen}"
            self.type(key)
            time.sleep(0.3)
        return screen

    def resize(self, columns: int, rows: int) -> None:
        """As a window that is dragged."""
        self._tmux("resize-window", "-t", "pane", "-x", str(columns), "-y", str(rows))

    def screen(self, *, styled: bool = False) -> str:
        """What stands on the screen; `styled`: with its colours as escape sequences."""
        return self._tmux("capture-pane", "-p", "-t", "pane", *(["-e"] if styled else []))

    def wait(self, pattern: str) -> str:
        """The screen, as soon as it shows the pattern."""
        until = time.monotonic() + seconds_max
        while not re.search(pattern, screen := self.screen()):
            assert time.monotonic() < until, f"never showed {pattern!r}:\n{screen}"
            time.sleep(0.02)
        return screen


def _escaped(key: str) -> str:
    """A semicolon at the end of a word would end tmux's own command."""
    return f"{key[:-1]}\\;" if key.endswith(";") else key


@contextmanager
def terminal(line: str, environ: Mapping[str, str], columns: int = 80, rows: int = 24) -> Iterator[Pane]:
    """A pane of that size that runs a shell line; `tapes` in it is ours. It says `LEFT n`, its exit code, at the end."""
    server = f"tapes-{token_hex(4)}"
    ours = f'tapes() {{ {shlex.quote(sys.executable)} -m tapes "$@"; }}; '
    shell = f"{ours}{line}; echo LEFT $?; read -r _"
    command = shlex.join(
        [
            "env",
            "-u",
            "NO_COLOR",
            *(f"{name}={value}" for name, value in environ.items()),
            "bash",
            "-c",
            shell,
        ]
    )
    size = ["-x", str(columns), "-y", str(rows)]
    subprocess.run(
        ["tmux", "-L", server, "-f", "/dev/null", "new-session", "-d", "-s", "pane", *size, command],
        cwd=HOUSE,
        check=True,
    )
    try:
        yield Pane(server)
    finally:
        subprocess.run(["tmux", "-L", server, "kill-server"], check=False, capture_output=True)


def environ_of(home: Path) -> dict[str, str]:
    """Where a person's home is."""
    return {"TAPES_HOME": str(home), "HOME": str(home.parent), "LC_ALL": "C.UTF-8"}
