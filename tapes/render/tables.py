"""Tables: fitted to a terminal, or aligned plain lines with the id first when the reader is a pipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from tapes.render.safe import safe_line


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `drop` > 0: left out on narrow terminals, the highest first. `flexible` ones are cut with an ellipsis."""

    title: str
    right: bool = False
    drop: int = 0
    flexible: bool = False
    style: str = ""


def terminal_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Table:
    """A rich table no wider than `width` columns."""
    clean = [[safe_line(cell) for cell in row] for row in rows]
    kept = _fitting(columns, clean, width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for number in kept:
        column = columns[number]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            style=column.style,
            min_width=None if column.flexible else _width(columns, clean, number),
        )
    for row in clean:
        table.add_row(*(Text(row[number]) for number in kept))
    return table


def plain_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """One line per row, cells aligned by two spaces, no heading: every line begins with its id."""
    clean = [[safe_line(cell) or "-" for cell in row] for row in rows]
    widths = [max((len(row[number]) for row in clean), default=0) for number in range(len(columns))]
    for row in clean:
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
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
    return sum(_width(columns, rows, number) + 3 for number in kept)


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], number: int) -> int:
    longest = max((len(row[number]) for row in rows), default=0)
    return max(len(columns[number].title), min(longest, 16) if columns[number].flexible else longest)
