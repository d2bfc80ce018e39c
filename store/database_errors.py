"""What SQLite's errors mean to whoever runs the command."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from crypto.errors import StoreError, TapesError, UsageError

busy_seconds_max: Final = 30.0  # how long a command waits for another one that is writing

_PRIMARY = 0xFF  # the low byte of an extended result code
_MEANING: Final = {
    sqlite3.SQLITE_FULL: (
        "the disk is full",
        "free some space and run the command again; nothing was written",
    ),
    sqlite3.SQLITE_READONLY: ("the file is read-only", "check who owns the file and its folder"),
    sqlite3.SQLITE_PERM: ("no permission for the file", "check who owns the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: (
        "the file cannot be opened",
        "check that its folder exists and is yours",
    ),
    sqlite3.SQLITE_BUSY: (
        f"another command has kept the file for {busy_seconds_max:.0f} s",
        "wait for it to finish, then run this one again",
    ),
    sqlite3.SQLITE_LOCKED: (
        "the file is locked",
        "wait for the other command, then run this one again",
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk failed while the file was used",
        "check the disk and its free space",
    ),
    sqlite3.SQLITE_TOOBIG: ("a node is larger than SQLite can hold", "leave that node out"),
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged",
        "keep a copy, move the file away, import and sync again; what was pushed is in the bucket",
    ),
}
_UNKNOWN = ("the file failed", "run `tapes doctor`")


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file at `path` into ours, with a hint; UsageError when it is no database."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a closed store, a foreign thread: a bug of ours, nothing the user can mend
    except sqlite3.Error as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.Error, path: Path) -> TapesError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
    if code == sqlite3.SQLITE_NOTADB:
        return UsageError(f"{path} is no database", hint="move it away, or choose another TAPES_HOME")
    meaning, hint = _MEANING.get(code, _UNKNOWN)
    return StoreError(f"{path}: {meaning} ({error})", hint=hint)
