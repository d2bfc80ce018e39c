"""Tables: fitted to a terminal, or aligned plain lines with the id first when the reader is a pipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from tapes.render.safe import safe_line

_gap = 2  # cells between two columns


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `drop` > 0: left out on narrow terminals, the highest first. `flexible` ones are cut with an ellipsis.

    `least`: cells of a flexible one that are worth leaving others out for.
    """

    title: str
    right: bool = False
    drop: int = 0
    flexible: bool = False
    least: int = 16
    style: str = ""


def terminal_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Table:
    """A rich table no wider than `width` columns."""
    clean = [[safe_line(cell) for cell in row] for row in rows]
    kept = _fitting(columns, clean, width)
    widths = _widths(columns, clean, kept, width)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", show_edge=False)
    for number in kept:
        column = columns[number]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            style=column.style,
            width=widths[number],
        )
    for row in clean:
        table.add_row(*(Text(row[number]) for number in kept))
    return table


def plain_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """One line per row, cells aligned by two spaces, no heading: every line begins with its id."""
    clean = [[safe_line(cell) or "-" for cell in row] for row in rows]
    widths = [max((cell_len(row[number]) for row in clean), default=0) for number in range(len(columns))]
    for row in clean:
        cells = []
        for cell, width, column in zip(row, widths, columns, strict=True):
            blanks = " " * (width - cell_len(cell))  # a Chinese character takes two places, one of len()
            cells.append(blanks + cell if column.right else cell + blanks)
        yield "  ".join(cells).rstrip()


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that stay: droppable ones go until the rest fits."""
    kept = list(range(len(columns)))
    for number in sorted((n for n in kept if columns[n].drop), key=lambda n: -columns[n].drop):
        if _total(columns, rows, kept) <= width:
            break
        kept.remove(number)
    return kept


def _total(columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    return sum(_width(columns, rows, number) + _gap for number in kept)


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: Sequence[int], width: int
) -> dict[int, int]:
    """Cells per column. Left to itself rich takes from all alike: long texts would cost the id its place."""
    made = {n: _width(columns, rows, n) for n in kept if not columns[n].flexible}
    free = width - sum(made.values()) - _gap * len(kept)
    wanted = sorted((_longest(columns, rows, n), n) for n in kept if columns[n].flexible)
    for served, (longest, number) in enumerate(wanted):
        made[number] = max(1, min(longest, free // (len(wanted) - served)))
        free -= made[number]
    return made


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], number: int) -> int:
    longest = _longest(columns, rows, number)
    return (
        max(len(columns[number].title), min(longest, columns[number].least))
        if columns[number].flexible
        else longest
    )


def _longest(columns: Sequence[Column], rows: Sequence[Sequence[str]], number: int) -> int:
    return max([cell_len(columns[number].title), *(cell_len(row[number]) for row in rows)])
