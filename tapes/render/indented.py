"""Text set in from the left, with a label hanging before its first line."""

from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

hanging_columns_max: Final = 12
text_columns_min: Final = 20


class Indented:
    """Wrapped to a terminal's width; for a pipe every line stays whole, so that it can be searched."""

    def __init__(self, text: Text, columns: int, label: Text | None = None) -> None:
        self._text = text
        self._columns = columns
        self._label = label or Text()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, without the trailing blanks that rich's own padding adds."""
        hanging = min(self._label.cell_len, hanging_columns_max)
        text = Text.assemble(self._label, self._text)
        width = max(options.max_width - self._columns - hanging, text_columns_min)
        lines = text.wrap(console, width) if console.is_terminal else text.split("\n", allow_blank=True)
        for number, line in enumerate(lines):
            line.rstrip()
            indent = self._columns + (hanging if number else 0)
            yield Text(" " * indent if line.plain else "", no_wrap=True, overflow="ignore").append_text(line)
