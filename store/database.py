"""Opening this house's SQLite files: our mark on them, WAL, numbered migrations, errors with a next step."""

import re
import sqlite3
from importlib import resources
from pathlib import Path

from crypto.errors import StoreError, UsageError

busy_timeout_ms = 30_000
_MIGRATION = re.compile(r"([0-9]{4})_\w+\.sql\Z")


def file_application_id(path: Path) -> int | None:
    """The application id in an SQLite file's header (bytes 68-71); None for a missing, empty or foreign file. Never opens it."""
    try:
        with path.open("rb") as file:
            header = file.read(72)
    except FileNotFoundError:
        return None
    if len(header) < 72 or not header.startswith(b"SQLite format 3\x00"):
        return None
    return int.from_bytes(header[68:72], "big")


def is_ours_or_absent(path: Path, application_id: int) -> bool:
    """Whether we may write to `path`: it is not there, is still empty, or carries our mark."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    return file_application_id(path) == application_id


def open_database(path: Path, application_id: int, migrations: str) -> sqlite3.Connection:
    """Open or create a file of ours, migrated to the newest schema. Autocommit mode: callers say BEGIN themselves.

    `migrations` is a package of `NNNN_name.sql` files. UsageError for a file that is not ours; StoreError when the disk refuses.
    """
    if not is_ours_or_absent(path, application_id):
        raise UsageError(
            f"{path} is another program's file", hint="move it away, or set TAPES_HOME to another folder"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=busy_timeout_ms / 1000, isolation_level=None)
        # Before WAL: our mark must stand in the main file, where a plain read finds it, and not in a WAL.
        _migrate(connection, path, application_id, migrations)
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit that was acknowledged survives a power cut. The journal of commits and the pins depend on it.
        connection.execute("PRAGMA synchronous = FULL")
    except (sqlite3.Error, OSError) as error:
        raise disk_error(path, error) from error
    return connection


def disk_error(path: Path, error: Exception) -> StoreError:
    """What a full or read-only disk, or a damaged file, means to the user."""
    return StoreError(
        f"{path}: {error}", hint="check free space and permissions of the folder; nothing was half-written"
    )


def _migrate(connection: sqlite3.Connection, path: Path, application_id: int, package: str) -> None:
    """Apply what is missing, each file in one transaction: a kill leaves the schema before it or after it."""
    steps = sorted(
        (int(match.group(1)), item)
        for item in resources.files(package).iterdir()
        if (match := _MIGRATION.match(item.name))
    )
    newest = steps[-1][0]
    if connection.execute("PRAGMA user_version").fetchone()[0] == newest:
        return
    connection.execute(
        "BEGIN IMMEDIATE"
    )  # another process may be migrating: look again once we hold the lock
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        _refuse_newer(path, version, newest)
        connection.execute(f"PRAGMA application_id = {application_id:d}")
        for number, item in steps:
            if number > version:
                _run_script(connection, item.read_text())
                connection.execute(f"PRAGMA user_version = {number:d}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _refuse_newer(path: Path, version: int, newest: int) -> None:
    if version > newest:
        raise UsageError(f"{path} was written by a newer version of tapes", hint="upgrade tapes")


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """Statement by statement: `executescript` would commit our transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
