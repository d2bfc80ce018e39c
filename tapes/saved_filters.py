"""Filters kept under a name: lines as they were written, so that `7d` is seven days before it is used."""

import difflib
import json
import re
from pathlib import Path
from typing import Final

from crypto.errors import TapesError, UsageError
from query.filter import SessionFilter
from query.grammar import parse_line
from tapes.config import replace_text

filters_max: Final = 1000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class SavedFilters:
    """The filters of one home."""

    def __init__(self, home: Path) -> None:
        self._path = home / "filters.json"

    def all(self) -> dict[str, str]:
        """Lines by name, in order of names. UsageError for a file that is none of ours."""
        try:
            lines = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{self._path} cannot be read: {error}", hint="correct or remove it") from None
        if not isinstance(lines, dict) or not all(isinstance(line, str) for line in lines.values()):
            raise UsageError(f"{self._path} is no list of filters", hint="correct or remove it")
        return dict(sorted(lines.items()))

    def named(self, name: str) -> SessionFilter:
        """What is saved under a name. UsageError for a name that nothing is saved under."""
        lines = self.all()
        if name not in lines:
            near = difflib.get_close_matches(name, lines, n=1)
            meant = f"did you mean @{near[0]}?" if near else "tapes filter list"
            raise UsageError(
                f"there is no saved filter {name!r}", hint=f'{meant} (for the words themselves: "@{name}")'
            )
        return parse_line(lines[name])

    def save(self, name: str, line: str) -> SessionFilter:
        """Keep a line, in place of another of that name. UsageError for a line that means nothing."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a filter's name", hint="a-z, 0-9 and -, up to 32")
        chosen, lines = parse_line(line), self.all()
        if chosen == SessionFilter():
            raise UsageError("there is nothing to save", hint="tapes filter save costly 'cost:>1 since:7d'")
        if name not in lines and len(lines) >= filters_max:
            raise UsageError(f"there are {filters_max} filters already", hint="tapes filter remove NAME")
        self._write({**lines, name: line})
        return chosen

    def remove(self, name: str) -> None:
        """Forget one; UsageError where there is none."""
        self.named(name)
        self._write({kept: line for kept, line in self.all().items() if kept != name})

    def _write(self, lines: dict[str, str]) -> None:
        try:
            replace_text(self._path, json.dumps(lines, indent=2, sort_keys=True) + "\n")
        except OSError as error:
            raise TapesError(
                f"{self._path} cannot be written: {error.strerror}", hint="check the disk"
            ) from None
