"""The two channels: data on stdout, everything else on stderr; no escape sequence where no terminal is."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from rich.console import Console, RenderableType
from rich.text import Text

from tapes.render.safe import safe

schema_version: Final = 0  # raised when a documented field changes its meaning or goes (docs/json.md)


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's answer and remarks go."""

    stdout: Console
    stderr: Console
    json: bool

    def answer(self, command: str, fields: Mapping[str, Any]) -> None:
        """The one JSON object of a `--json` run. ASCII with escapes: nothing in it can drive a terminal."""
        write(json.dumps({"schema": f"tapes/{command}/{schema_version}", **fields}) + "\n")

    def show(self, *parts: RenderableType) -> None:
        """Rendered data for people."""
        for part in parts:
            # In a pipe nothing is wrapped or cropped at a width that nobody sees.
            self.stdout.print(part, soft_wrap=not self.stdout.is_terminal)

    def lines(self, lines: Iterable[str]) -> None:
        """Plain data lines, made safe; for pipes."""
        for line in lines:
            write(safe(line) + "\n")

    def say(self, text: str, style: str = "") -> None:
        """A remark on stderr."""
        self.stderr.print(Text(safe(text), style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """A remark on stderr that asks for attention."""
        self.say(f"warning: {text}", "yellow")


class PipeConsole(Console):
    """A console whose reader may go away (`| head`): that ends the output, not the command."""

    def on_broken_pipe(self) -> None:
        """Rich would exit with 1 here, and a verification that failed would no longer say 6."""
        self.quiet = True
        silence_stdout()


def open_output(*, json_wanted: bool, color: str) -> Output:
    """Consoles for `color` = auto | always | never; NO_COLOR and FORCE_COLOR are rich's to honour in auto."""
    return Output(_console(sys.stdout, color), _console(sys.stderr, color), json_wanted)


def write(text: str) -> None:
    """To stdout; see PipeConsole for a reader that went away."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def silence_stdout() -> None:
    """Send the rest nowhere, the interpreter's own flush at exit included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _console(file: IO[str], color: str) -> Console:
    plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
    return PipeConsole(
        file=file,
        force_terminal={"always": True, "never": None, "auto": None}[color],
        # NO_COLOR in rich keeps bold and dim, which are escape sequences too.
        color_system=None if plain else "auto",
        no_color=plain,
        highlight=False,
        markup=False,
        emoji=False,
    )
