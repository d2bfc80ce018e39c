"""Opening the local store's file: whose it is, which schema it has, and how it is brought up to date."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from crypto.errors import StoreError, UsageError
from store.local_errors import busy_seconds_max, sqlite_errors

# "TAPS" in SQLite's header (byte 68, big-endian). The Go tool's own databases have 0 there.
APPLICATION_ID: Final = 0x54415053
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_OURS_BESIDE = "tapes-sync.db"
_wal_retry_seconds = 0.02


def local_store_path(home: Path) -> Path:
    """Where the local store under `home` is: tapes.db, or tapes-sync.db when tapes.db is somebody else's."""
    usual = home / "tapes.db"
    return home / _OURS_BESIDE if _stands(usual) and not is_ours(usual) else usual


def is_ours(path: Path) -> bool:
    """Whether the file at `path` carries our application id. Read as bytes: SQLite itself would touch a foreign -wal."""
    with _os_errors(path), path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    return header.startswith(_MAGIC) and int.from_bytes(header[68:72]) == APPLICATION_ID


def connect(path: Path) -> sqlite3.Connection:
    """A connection to our file at `path`, made or migrated as needed, in autocommit mode.

    UsageError for a file that is not ours or has a newer schema; StoreError when it cannot be opened.
    """
    _prepare(path)
    with sqlite_errors(path):
        db = sqlite3.connect(path, timeout=busy_seconds_max, isolation_level=None)
        try:
            _migrate(db, path)
            _use_wal(db)
        except BaseException:
            db.close()
            raise
    return db


def schema_version_known() -> int:
    """The newest schema this program knows."""
    return len(_migrations())


def _prepare(path: Path) -> None:
    """Refuse a stranger's file before SQLite sees it; create ours readable by its owner only: sessions hold secrets."""
    with _os_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _stands(path):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif not is_ours(path):
            raise _foreign(path)


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened: {error.strerror}", hint="check that its folder exists and is yours"
        ) from error


def _stands(path: Path) -> bool:
    """Whether something is there; an empty file is a database that nobody has written to yet."""
    with _os_errors(path):
        return path.exists() and (not path.is_file() or path.stat().st_size > 0)


def _foreign(path: Path) -> UsageError:
    return UsageError(
        f"{path} is not a local store of this program and stays untouched",
        hint=f"it may be the Go tool's database: ours lives beside it as {_OURS_BESIDE}; import from the other one",
    )


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = _schema_version(db)
    if version == schema_version_known():
        return
    db.execute("BEGIN EXCLUSIVE")
    try:
        version = _schema_version(db)  # another process may have been first
        _check(db, version, path)
        for script in _migrations()[version:]:
            for statement in _statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {schema_version_known()}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    # In the same transaction as the id and still with a rollback journal: a crash leaves an empty file or a whole one,
    # and the id stands in the main file, where a plain read finds it, not in a WAL.
    db.execute("COMMIT")


def _check(db: sqlite3.Connection, version: int, path: Path) -> None:
    if version > schema_version_known():
        raise UsageError(
            f"{path} has schema {version}, this program knows {schema_version_known()}",
            hint="a newer version of tapes wrote it: update this one",
        )
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version == 0 and tables:  # made by somebody else since we looked
        raise _foreign(path)


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


def _migrations() -> list[str]:
    """The numbered scripts in order; number n brings schema n-1 to n."""
    folder = resources.files("store") / "migrations"
    scripts = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text("utf-8") for name in scripts]


def _statements(script: str) -> Iterator[str]:
    """One statement at a time: `executescript` would commit the transaction around it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
