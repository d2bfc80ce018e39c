"""Finding the Go tool's database, by the rules it finds it itself."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from crypto.errors import UsageError
from store.database import is_ours, stands
from store.local_path import LOCAL_STORE

# The second name is the one its writers used until 2026-03; a home may hold both.
_NAMES: Final = ("tapes.sqlite", "tapes.db")
_HINT: Final = "give the Go tool's tapes.sqlite (or tapes.db), or the folder that holds it"


def find_database(environ: Mapping[str, str], home: Path, here: Path) -> Path:
    """Where the Go tool would look: TAPES_SQLITE, TAPES_DB, then its usual folders. UsageError when there is none.

    A file with our own application id is ours: it is passed over, not imported into itself.
    """
    named = next((environ[name] for name in ("TAPES_SQLITE", "TAPES_DB") if environ.get(name)), "")
    if named:
        return _foreign(Path(named).expanduser())
    data = environ.get("XDG_DATA_HOME")
    folders = [*([Path(data) / "tapes"] if data else []), home / ".tapes", here, here / ".tapes"]
    found = next((file for folder in folders for file in _in(folder)), None)
    if found is None:
        raise UsageError("the Go tool has no database here", hint=_HINT)
    return found


def databases_at(paths: Sequence[Path]) -> list[Path]:
    """The databases at or in `paths`. UsageError for a path that holds none, or one of our own files."""
    return [file for path in paths for file in _at(path)]


def _at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [_foreign(path)]
    found = list(_in(path))
    if not found:
        raise UsageError(f"{path} holds no database of the Go tool", hint=_HINT)
    return found


def _in(folder: Path) -> Iterator[Path]:
    for name in _NAMES:
        file = folder / name
        if file.is_file() and stands(file) and not is_ours(file, LOCAL_STORE):
            yield file


def _foreign(file: Path) -> Path:
    if not file.is_file():
        raise UsageError(f"there is nothing at {file}", hint=_HINT)
    if is_ours(file, LOCAL_STORE):
        raise UsageError(f"{file} is this tool's own store, not the Go tool's", hint=_HINT)
    return file
