"""Reading the Go tool's SQLite file in bounded memory, parents before children, without touching it.

It is opened read-only with a busy timeout: the Go tool has no WAL and may be writing. `immutable` would be wrong: it ignores the
other's locks and may read half a page.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from crypto.errors import StoreError, UsageError
from tapes.importers.tapes_db.rows import COLUMNS

busy_seconds_max: Final = 10
_page_rows: Final = 500
_NEEDED: Final = frozenset({"hash", "parent_hash", "bucket"})
Values = dict[str, Any]


@contextmanager
def reading(path: Path) -> Iterator["NodesTable"]:
    """The table of nodes. UsageError for what is no such database, StoreError when it cannot be read."""
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=busy_seconds_max)
        ) as db:
            # A text that is no UTF-8 is a damaged row, not the end of the import.
            db.text_factory = lambda raw: raw.decode(errors="surrogateescape")
            yield NodesTable(db, path)
    except sqlite3.DatabaseError as problem:
        raise StoreError(
            f"{path} cannot be read: {problem}", hint="is it a whole database of the Go tool?"
        ) from None


class NodesTable:
    """Rows by rowid, by hash, and what tells whether those up to a rowid have changed."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        there = {row[1] for row in db.execute("PRAGMA table_info(nodes)")}
        if not there >= _NEEDED:
            raise UsageError(
                f"{path} is not the Go tool's database: it has no table of nodes",
                hint="give the Go tool's tapes.sqlite (or tapes.db)",
            )
        # Older files lack newer columns.
        self._columns = ", ".join(name if name in there else f"NULL AS {name}" for name in COLUMNS)
        sums = [name for name in COLUMNS if name.endswith("_tokens") and name in there]
        self._sums = ", ".join(["count(*)", *(f"total({name})" for name in sums)])

    def print_of(self, last_rowid: int) -> list[str]:
        """Counts and token sums of the rows up to a rowid: the Go tool corrects usage in place, and users delete rows."""
        row = self._db.execute(f"SELECT {self._sums} FROM nodes WHERE rowid <= ?", (last_rowid,)).fetchone()  # noqa: S608 - our own column names
        return [str(value) for value in row]

    def after(self, rowid: int) -> Iterator[tuple[int, Values]]:
        """All rows after a rowid, in its order; a page at a time, so no long read transaction blocks the Go tool."""
        query = f"SELECT rowid, {self._columns} FROM nodes WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608 - our own column names
        while rows := self._db.execute(query, (rowid, _page_rows)).fetchall():
            yield from ((row[0], dict(zip(COLUMNS, row[1:], strict=True))) for row in rows)
            rowid = rows[-1][0]

    def of_hash(self, node_hash: str) -> Values | None:
        """The row with a hash, or None."""
        query = f"SELECT {self._columns} FROM nodes WHERE hash = ?"  # noqa: S608 - our own column names
        row = self._db.execute(query, (node_hash,)).fetchone()
        return None if row is None else dict(zip(COLUMNS, row, strict=True))

    def parent_of(self, node_hash: str) -> tuple[bool, str | None]:
        """Whether a node is there, and its parent's hash."""
        row = self._db.execute("SELECT parent_hash FROM nodes WHERE hash = ?", (node_hash,)).fetchone()
        return row is not None, row[0] if row and isinstance(row[0], str) else None
