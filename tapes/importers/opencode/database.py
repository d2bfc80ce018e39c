"""Reading opencode's SQLite database, which opencode may be writing to: read-only, one snapshot per session.

Rows are edited in place, so what has changed is told by the newest `time_updated` and the row counts, not by what was appended.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from crypto.errors import StoreError, UsageError
from store.limits import MIB
from tapes.importers.lines import BadLine, Record, decode
from tapes.importers.opencode.records import MessageRecord, SessionRecord, Stored, callers
from tapes.importers.turns import short_text

busy_seconds_max: Final = 10
session_bytes_max: Final = 512 * MIB  # of one session's JSON: it is built in memory
_NEEDED: Final = {
    "session": {"id"},
    "message": {"id", "session_id", "time_created", "time_updated", "data"},
    "part": {"id", "message_id", "session_id", "time_updated", "data"},
}
_STAMP: Final = """
SELECT
    (SELECT count(*) FROM message WHERE session_id = :id), (SELECT max(time_updated) FROM message WHERE session_id = :id),
    (SELECT count(*) FROM part WHERE session_id = :id), (SELECT max(time_updated) FROM part WHERE session_id = :id),
    (SELECT coalesce(sum(length(data)), 0) FROM part WHERE session_id = :id)
"""
_MESSAGES: Final = "SELECT id, data FROM message WHERE session_id = ? ORDER BY time_created, id"
_PARTS: Final = "SELECT id, data FROM part WHERE message_id = ? ORDER BY id"


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection. UsageError for what is no opencode database, StoreError when it cannot be read."""
    try:
        # Not `immutable=1`: opencode's newest rows are in the WAL, which that would ignore.
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=busy_seconds_max)
        ) as db:
            db.row_factory = sqlite3.Row
            _check(db, path)
            yield db
    except sqlite3.DatabaseError as problem:
        raise StoreError(
            f"{path} cannot be read: {problem}", hint="is it a whole opencode database?"
        ) from None


def sessions(db: sqlite3.Connection) -> list[Stored]:
    """All sessions, those before that others were called from."""
    rows = [dict(row) for row in db.execute("SELECT * FROM session ORDER BY id")]
    parents = {str(row["id"]): short_text(row.get("parent_id")) for row in rows}
    found = [_stored(db, row, parents) for row in rows]
    return sorted(found, key=lambda stored: (len(stored.session.above), stored.session.id))


def _stored(db: sqlite3.Connection, row: Record, parents: dict[str, str]) -> Stored:
    session_id = str(row["id"])
    stamp = [*db.execute(_STAMP, {"id": session_id}).fetchone(), row.get("time_updated")]
    directory = row.get("directory")
    session = SessionRecord(
        session_id,
        callers(session_id, parents),
        directory if isinstance(directory, str) else None,
        {name: value for name, value in row.items() if isinstance(value, str | int | float)},
        [str(part) for part in stamp],
    )
    return Stored(session, lambda problems: _messages(db, session_id, problems))


def _messages(db: sqlite3.Connection, session_id: str, problems: list[str]) -> Iterator[MessageRecord]:
    db.execute("BEGIN")  # one snapshot: a message and its parts belong together
    try:
        size_bytes = 0
        for told, data in db.execute(_MESSAGES, (session_id,)).fetchall():
            record = _decoded(told, data, problems)
            if record is None:
                continue
            message = MessageRecord({**record, "id": str(told), "sessionID": session_id})
            for part_id, part in db.execute(_PARTS, (told,)):
                size_bytes += len(part or "")
                if size_bytes > session_bytes_max:
                    problems.append(
                        f"its parts are larger than {session_bytes_max // MIB} MiB; the rest is left out"
                    )
                    return
                decoded = _decoded(part_id, part, problems)
                message.parts += [] if decoded is None else [{**decoded, "id": str(part_id)}]
            yield message
    finally:
        db.execute("ROLLBACK")


def _decoded(told: object, data: Any, problems: list[str]) -> Record | None:
    try:
        return decode(data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogatepass"))
    except BadLine as bad:
        problems.append(f"row {short_text(told)}: {bad}")
        return None


def _check(db: sqlite3.Connection, path: Path) -> None:
    for table, columns in _NEEDED.items():
        there = {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}
        if not columns <= there:
            raise UsageError(
                f"{path} is no opencode database: no {table} table with {', '.join(sorted(columns))}",
                hint="give opencode's data folder, its opencode.db, or its storage folder",
            )
