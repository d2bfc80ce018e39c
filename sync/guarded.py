"""A SQLite connection whose errors come out as StoreError with a next step: a full disk must not end in a traceback."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from store.database_errors import sqlite_errors


class GuardedDatabase:
    """The few calls of a connection that the replica uses; every one of them, row by row too, speaks our errors."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @property
    def in_transaction(self) -> bool:
        """Whether a BEGIN is open; SQLite ends one itself when the disk is full."""
        return self._connection.in_transaction

    def execute(self, query: str, values: Iterable[Any] = ()) -> "GuardedRows":
        """Run one statement."""
        with sqlite_errors(self._path):
            return GuardedRows(self._connection.execute(query, tuple(values)), self._path)

    def executemany(self, query: str, rows: Iterable[tuple[Any, ...]]) -> int:
        """Run one statement for every row; the number of rows it changed in all."""
        with sqlite_errors(self._path):
            return self._connection.executemany(query, rows).rowcount

    def close(self) -> None:
        """Close the connection."""
        with sqlite_errors(self._path):
            self._connection.close()


class GuardedRows:
    """A statement's rows, each fetched under the same guard."""

    def __init__(self, cursor: sqlite3.Cursor, path: Path) -> None:
        self._cursor = cursor
        self._path = path

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def fetchone(self) -> Any:
        """The next row, or None."""
        with sqlite_errors(self._path):
            return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        """All remaining rows."""
        with sqlite_errors(self._path):
            return self._cursor.fetchall()
