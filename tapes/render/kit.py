"""The recovery kit on a screen and on paper."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table

_columns: Final = 4


def words_table(words: Sequence[str]) -> Table:
    """Numbered words in columns, read from left to right."""
    table = Table.grid(padding=(0, 3))
    for row in _rows(words):
        table.add_row(*row)
    return table


def kit_text(name: str, words: Sequence[str], mark: str) -> str:
    """The kit as a page to print; `mark` tells it from a member's other kits."""
    lines = "\n".join("   ".join(cell.ljust(14) for cell in row).rstrip() for row in _rows(words))
    return (
        f"tapes recovery kit of {name}\nmark: {mark}\n\n{lines}\n\n"
        "Whoever has these words is you. They are kept nowhere else: without them, losing the device means losing\n"
        "the sessions. Keep this page where you keep a passport, and delete the file once it is printed.\n"
    )


def _rows(words: Sequence[str]) -> list[list[str]]:
    cells = [f"{number:>2} {word}" for number, word in enumerate(words, 1)]
    return [cells[start : start + _columns] for start in range(0, len(cells), _columns)]
