"""`tapes search -i` put together: the terminal, the screen, and the desk in the worker's thread."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console

from crypto.errors import UsageError
from query.filter import SessionFilter
from query.finding import Finder
from query.moments import Clock
from query.search import Asked, Order
from query.texts import Texts
from tapes.commands.context import Run
from tapes.commands.desk import Desk
from tapes.commands.names import names_of
from tapes.commands.wording import ask_words, warn_unread
from tapes.finder.screen import Channels, Screen
from tapes.finder.worker import Serve, Tell, Worker
from tapes.render.output import write

exit_left: Final = 130  # as for Ctrl-C: nothing was chosen, and a pipe must see that
_TERMINAL: Final = Path("/dev/tty")
_NEEDS_TERMINAL: Final = "search -i needs a terminal"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line said: the line to begin with, and what holds whatever is typed."""

    line: str
    chosen: SessionFilter
    clock: Clock
    order: Order
    limit: int
    scan: bool


def find(run: Run, wanted: Wanted) -> int:
    """Run the finder; ids on stdout, one per line. UsageError without a terminal."""
    if os.environ.get("TERM") == "dumb":
        raise UsageError(f"{_NEEDS_TERMINAL} that can move its cursor", hint="tapes search WORDS")
    notes = io.StringIO()
    quiet = replace(run, out=replace(run.out, stderr=Console(file=notes, no_color=True)))
    try:
        with _terminal(plain=run.out.stderr.no_color) as channels:
            ids = _chosen(channels, quiet, wanted)
    finally:
        sys.stderr.write(notes.getvalue())  # not while the screen was drawn
    if ids is None:
        return exit_left
    write("".join(f"{session_id}\n" for session_id in ids))
    return 0


def _chosen(channels: Channels, run: Run, wanted: Wanted) -> tuple[str, ...] | None:
    names: dict[str, str] = {}
    screen = Screen(channels, wanted.line, names)

    def work(serve: Serve, tell: Tell) -> None:
        with Desk(run) as desk:
            source = desk.source()
            names.update(names_of(source.client))
            texts = Texts(source)
            asked = Asked(wanted.chosen, wanted.clock, names, wanted.order, wanted.limit)
            try:
                ask_words(
                    desk,
                    texts,
                    lambda words: serve(Finder(source, texts, words, asked).look),
                    scan=wanted.scan,
                    tell=tell,
                )
            finally:
                warn_unread(desk, texts)

    with Worker(work, screen.deliver) as worker:
        screen.worker = worker
        return screen.run()


@contextmanager
def _terminal(*, plain: bool) -> Iterator[Channels]:
    """What is typed into and drawn on: stdin and stderr where they are a terminal, else that of the session."""
    opened: list[TextIO] = []
    try:
        keys = sys.stdin if sys.stdin is not None and sys.stdin.isatty() else _open(opened, writing=False)
        screen = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else _open(opened, writing=True)
        yield Channels(keys, screen, plain)
    finally:
        for file in opened:
            file.close()


def _open(opened: list[TextIO], *, writing: bool) -> TextIO:
    try:
        file: TextIO = open(_TERMINAL, "w" if writing else "r", encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115 - typed as text; the caller closes it
    except OSError as error:
        raise UsageError(_NEEDS_TERMINAL, hint="tapes search WORDS prints what it finds") from error
    opened.append(file)
    return file
