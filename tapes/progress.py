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
    TimeRemainingColumn,
)

from tapes.render.output import Output
from tapes.render.safe import safe_line

line_every_seconds: Final = 15.0  # in a log file, often enough to see that it lives
counted_max: Final = 1_000_000  # of more, the share is told

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
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out.stderr, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=safe_line(what), completed=done, total=total or None)

        yield tell


def _lines(out: Output, monotonic: Callable[[], float] = time.monotonic) -> Tell:
    told_at, since, from_done = monotonic(), monotonic(), 0
    of, last = -1, 0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal told_at, of, last, since, from_done
        now = monotonic()
        if (
            total != of or done < last
        ):  # another step; an import goes on from file to file, and they have one total
            of, since, from_done = total, now, done
        last = done
        if now - told_at >= line_every_seconds:
            told_at = now
            out.say(f"{what}: {_amount(done, total)}{_left(now - since, done - from_done, total - done)}")

    return tell


def _amount(done: int, total: int) -> str:
    """Turns and objects are counted, bytes are not for reading."""
    if total > counted_max:
        return f"{100 * done // total} %"
    return f"{done} of {total}" if total else str(done)


def _left(seconds: float, done: int, more: int) -> str:
    """How long the rest takes at the pace of this step so far; nothing while there is no pace yet."""
    if done <= 0 or more <= 0:
        return ""
    minutes, rest = divmod(round(seconds * more / done), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f", about {hours}h{minutes:02d}m left"
    return f", about {minutes}m{rest:02d}s left" if minutes else f", about {rest}s left"
