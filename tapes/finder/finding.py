"""`tapes search -i` put together: the terminal, the screen, and the desk in the worker's thread."""

import io
import sys
from dataclasses import dataclass, replace
from typing import Final

from rich.console import Console

from query.answers import Asked, Order
from query.filter import SessionFilter
from query.finding import Finder
from query.moments import Clock
from query.sealed_sections import SectionsBroken
from query.texts import Texts
from tapes.commands.at_desk import say_damaged
from tapes.commands.context import Run
from tapes.commands.desk import Desk
from tapes.commands.names import names_of
from tapes.commands.wording import ask_words, warn_unread
from tapes.finder.screen import Screen
from tapes.finder.worker import Heed, Serve, Tell, Worker
from tapes.render.output import write
from tapes.saved_filters import SavedFilters
from tapes.terminal import Channels, terminal

exit_left: Final = 130  # as for Ctrl-C: nothing was chosen, and a pipe must see that


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
    notes = io.StringIO()
    quiet = replace(run, out=replace(run.out, stderr=Console(file=notes, no_color=True)))
    try:
        with terminal(
            plain=run.out.stderr.no_color,
            command="search -i",
            instead="tapes search WORDS prints what it finds",
        ) as channels:
            try:
                ids = _chosen(channels, quiet, wanted)
            except SectionsBroken as broken:
                say_damaged(quiet, broken)
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

    saved = SavedFilters(run.home.path)

    def work(serve: Serve, tell: Tell, heed: Heed) -> None:
        with Desk(run) as desk:
            source = desk.source()
            source.settle()
            names.update(names_of(source.client))
            texts = Texts(source, heed=heed)
            asked = Asked(wanted.chosen, wanted.clock, names, wanted.order, wanted.limit)
            try:
                ask_words(
                    desk,
                    texts,
                    lambda words: serve(Finder(source, texts, words, asked, saved.named).look),
                    scan=wanted.scan,
                    tell=tell,
                )
            finally:
                warn_unread(desk, texts)

    with Worker(work, screen.deliver) as worker:
        screen.worker = worker
        return screen.run()
