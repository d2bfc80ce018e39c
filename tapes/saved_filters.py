"""Filters kept under a name: lines as they were written, so that `7d` is seven days before it is used."""

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from crypto.errors import TapesError, UsageError
from query.filter import SessionFilter
from query.grammar import parse_line
from sync.home_lock import HomeLock
from tapes.config import replace_text
from tapes.home import Home

filters_max: Final = 1000
format_version: Final = 0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class SavedFilters:
    """The filters of one home."""

    def __init__(self, home: Path) -> None:
        self._path = Home(home).filters

    def all(self) -> dict[str, str]:
        """Lines by name, in order of names. UsageError for a file that is none of ours, or of a version to come."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{self._path} cannot be read: {error}", hint="correct or remove it") from None
        return dict(sorted(self._lines(kept).items()))

    def _lines(self, kept: Any) -> dict[str, str]:
        lines = kept.get("filters") if isinstance(kept, dict) else None
        version = kept.get("format") if isinstance(kept, dict) else None
        if type(version) is int and version > format_version:
            raise UsageError(f"{self._path} is of a newer tapes (format {version})", hint="update tapes")
        if not isinstance(lines, dict) or not all(isinstance(line, str) for line in lines.values()):
            raise UsageError(f"{self._path} is no list of filters", hint="correct or remove it")
        return lines

    def named(self, name: str) -> SessionFilter:
        """What is saved under a name. UsageError for a name that nothing is saved under."""
        return parse_line(self._line(self.all(), name))

    def save(self, name: str, line: str) -> SessionFilter:
        """Keep a line, in place of another of that name. UsageError for a line that means nothing."""
        _check_name(name)
        chosen = parse_line(line)
        if chosen == SessionFilter():
            raise UsageError("there is nothing to save", hint="tapes filter save costly 'cost:>1 since:7d'")
        with self._changing() as lines:
            if name not in lines and len(lines) >= filters_max:
                raise UsageError(f"there are {filters_max} filters already", hint="tapes filter remove NAME")
            lines[name] = line
        return chosen

    def rename(self, name: str, new: str) -> str:
        """Call one otherwise; its line. UsageError where there is none, or another has that name."""
        _check_name(new)
        with self._changing() as lines:
            line = self._line(lines, name)
            if new in lines:
                raise UsageError(f"there is a filter {new!r} already", hint=f"tapes filter remove {new}")
            del lines[name]
            lines[new] = line
        return line

    def remove(self, name: str) -> None:
        """Forget one, also one that this version cannot read; UsageError where there is none."""
        with self._changing() as lines:
            self._line(lines, name)
            del lines[name]

    def _line(self, lines: dict[str, str], name: str) -> str:
        if name not in lines:
            near = difflib.get_close_matches(name, lines, n=1)
            meant = f"did you mean @{near[0]}?" if near else "tapes filter list"
            raise UsageError(
                f"there is no saved filter {name!r}", hint=f'{meant} (for the words themselves: "@{name}")'
            )
        return lines[name]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, str]]:
        """The lines, written when the block ends well: under a lock, or of two at it one would undo the other's."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with HomeLock(self._path.with_name("filters.lock")).held():
                lines = self.all()
                yield lines
                kept = {"format": format_version, "filters": lines}
                replace_text(self._path, json.dumps(kept, indent=2, sort_keys=True) + "\n")
        except OSError as error:
            raise TapesError(
                f"{self._path} cannot be written: {error.strerror}", hint="check the disk"
            ) from None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a filter's name", hint="a-z, 0-9 and -, up to 32")
