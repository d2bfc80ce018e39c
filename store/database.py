"""Opening this house's SQLite files: whose a file is, which schema it has, and how it is brought up to date."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from crypto.errors import StoreError, UsageError
from store.database_errors import busy_seconds_max, sqlite_errors

IN_MEMORY: Final = Path("(memory)")  # what messages call a database that is in no file
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_wal_retry_seconds: Final = 0.02


@dataclass(frozen=True, slots=True)
class DatabaseKind:
    """One kind of file: its mark in SQLite's header (byte 68, big-endian), its numbered scripts, what to say of a stranger's."""

    application_id: int
    migrations: str  # a package of NNNN_name.sql
    foreign_hint: str


def is_ours(path: Path, kind: DatabaseKind) -> bool:
    """Whether the file at `path` carries the kind's mark. Read as bytes: SQLite itself would touch a foreign -wal."""
    with _os_errors(path), path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    return header.startswith(_MAGIC) and int.from_bytes(header[68:72]) == kind.application_id


def stands(path: Path) -> bool:
    """Whether something is there; an empty file is a database that nobody has written to yet."""
    with _os_errors(path):
        return path.exists() and (not path.is_file() or path.stat().st_size > 0)


def connect(path: Path, kind: DatabaseKind) -> sqlite3.Connection:
    """A connection to our file at `path`, made or migrated as needed, in autocommit mode.

    UsageError for a file that is not ours or has a newer schema; StoreError when it cannot be opened.
    """
    _prepare(path, kind)
    with sqlite_errors(path):
        db = sqlite3.connect(path, timeout=busy_seconds_max, isolation_level=None)
        try:
            _migrate(db, path, kind)
            _use_wal(db)
        except BaseException:
            db.close()
            raise
    return db


def connect_in_memory(kind: DatabaseKind) -> sqlite3.Connection:
    """As `connect`, of a database that is nowhere but in this process and ends with it."""
    db = open_in_memory()
    _migrate(db, IN_MEMORY, kind)
    return db


def open_in_memory() -> sqlite3.Connection:
    """An empty database in memory, in autocommit mode."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    # Else a large sort spills into a file in /tmp, in plain.
    db.execute("PRAGMA temp_store = MEMORY")
    return db


def schema_version_known(kind: DatabaseKind) -> int:
    """The newest schema this program knows."""
    return len(_scripts(kind))


def _prepare(path: Path, kind: DatabaseKind) -> None:
    """Refuse a stranger's file before SQLite sees it; create ours readable by its owner only: sessions hold secrets."""
    with _os_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not stands(path):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif not is_ours(path, kind):
            raise _foreign(path, kind)


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened: {error.strerror}", hint="check that its folder exists and is yours"
        ) from error


def _foreign(path: Path, kind: DatabaseKind) -> UsageError:
    return UsageError(f"{path} is another program's file and stays untouched", hint=kind.foreign_hint)


def _migrate(db: sqlite3.Connection, path: Path, kind: DatabaseKind) -> None:
    version = _schema_version(db)
    if version == schema_version_known(kind):
        return
    db.execute("BEGIN EXCLUSIVE")
    try:
        version = _schema_version(db)  # another process may have been first
        _check(db, version, path, kind)
        for script in _scripts(kind)[version:]:
            for statement in _statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {kind.application_id}")
        db.execute(f"PRAGMA user_version = {schema_version_known(kind)}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    # In the same transaction as the id and still with a rollback journal: a crash leaves an empty file or a whole one,
    # and the id stands in the main file, where a plain read finds it, not in a WAL.
    db.execute("COMMIT")


def _check(db: sqlite3.Connection, version: int, path: Path, kind: DatabaseKind) -> None:
    if version > schema_version_known(kind):
        raise UsageError(
            f"{path} has schema {version}, this program knows {schema_version_known(kind)}",
            hint="a newer version of tapes wrote it: update this one",
        )
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version == 0 and tables:  # made by somebody else since we looked
        raise _foreign(path, kind)


def _schema_version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _use_wal(db: sqlite3.Connection) -> None:
    # FULL, not NORMAL: after a power cut NORMAL may lose the last commits whole, and the agent's log that they were read
    # from may be gone by then. One fsync per transaction; importers put many turns into one.
    db.execute("PRAGMA synchronous = FULL")
    deadline = time.monotonic() + busy_seconds_max
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not call its busy handler for this switch when two first openers meet.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_wal_retry_seconds)
        else:
            return


def _scripts(kind: DatabaseKind) -> list[str]:
    """The numbered scripts in order; number n brings schema n-1 to n."""
    entries = [entry for entry in resources.files(kind.migrations).iterdir() if entry.name.endswith(".sql")]
    return [entry.read_text("utf-8") for entry in sorted(entries, key=lambda entry: entry.name)]


def _statements(script: str) -> Iterator[str]:
    """One statement at a time: `executescript` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
