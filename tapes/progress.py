"""How long work goes on, told on stderr: a bar in a terminal, a line now and then anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from tapes.render.output import Output
from tapes.render.safe import safe_line

line_every_seconds: Final = 15.0  # in a log file, often enough to see that it lives

Tell = Callable[[str, int, int], None]  # what is being done, how much is done, of how much (0: unknown)


@contextmanager
def progress(out: Output) -> Iterator[Tell]:
    """A function to tell progress to, as long as the block runs."""
    if not out.stderr.is_terminal:
        yield _lines(out)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out.stderr, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=safe_line(what), completed=done, total=total or None)

        yield tell


def _lines(out: Output) -> Tell:
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= line_every_seconds:
            last = time.monotonic()
            out.say(f"{what}: {done}" + (f" of {total}" if total else ""))

    return tell
