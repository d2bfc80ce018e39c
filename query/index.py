"""The word index: FTS5 in an encrypted SQLite file. An accelerator of query/scan.py: deletable, rebuilt when in doubt.

    docs    every node that was looked at: a dense id (in order of arrival) and its hash
    words   FTS5 over those in which something was said; contentless: words and places, no text
    units   commits that were looked at; `done` 0: some of its texts could not be read
    marks   how far the local store was read: row, and the hash it had

Every page is encrypted (ChaCha20-Poly1305 under a key of this device's): what others said must not rest here in plain. The file
is filled in small transactions, so a kill loses a moment's work and a search may run meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import apsw
import numpy as np
from numpy.typing import NDArray

from crypto.errors import StoreError, TapesError
from query.answers import ranked_max
from query.grammar import Alternative, Phrase, Query
from query.tokenize import tokenizer_version
from query.words import Turn

application_id: Final = 0x54_41_50_57  # "TAPW"
schema_version: Final = 2
busy_ms_max: Final = 30_000
hash_bytes: Final = 32
_hashes_at_once: Final = 100_000
_cache_kib: Final = 65_536
# FTS5 gathers a step's words in memory. Its defaults, 1 MiB and four segments merged at once, write each word twice as often.
_gathered_bytes: Final = 64 * 1024 * 1024
_segments_merged: Final = 8
_version: Final = schema_version * 1000 + tokenizer_version

# The tokenizer `ascii` takes what `normal` made word for word: letters and digits as they are, every non-ASCII character as part
# of a word.
_SCHEMA: Final = f"""
CREATE TABLE docs (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE) STRICT;
CREATE VIRTUAL TABLE words USING fts5(told, tools, content='', tokenize='ascii');
CREATE TABLE units (seq INTEGER PRIMARY KEY, done INTEGER NOT NULL) STRICT;
CREATE TABLE marks (name TEXT PRIMARY KEY, row INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
PRAGMA application_id = {application_id};
PRAGMA user_version = {_version};
"""
# One text with all numbers is four times as fast as as many rows.
_FIND: Final = """
SELECT group_concat(id) FROM (SELECT rowid AS id FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC)
"""
_HASHES: Final = """
SELECT count(*), max(id), CAST(group_concat(hash, '') AS BLOB) FROM (SELECT id, hash FROM docs WHERE id > ? ORDER BY id LIMIT ?)
"""
_RANK: Final = "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"


class IndexBroken(TapesError):
    """The file is damaged, of another version or another device's: delete it and fill a new one."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, hint="tapes reindex")


class WordIndex:
    """An open index. Close it, or use it in a `with`. What it finds are docs; query/indexed.py knows their rows."""

    def __init__(self, db: apsw.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    @classmethod
    def open(cls, path: Path, key: bytes) -> Self:
        """The index at `path`, made if there is none; `key` has 32 bytes. IndexBroken, or StoreError when it cannot be opened."""
        with _errors_told(path):
            _make_private(path)
            db = apsw.Connection(str(path))
            try:
                db.set_busy_timeout(busy_ms_max)
                db.pragma("key", f"raw:{key.hex()}")
                db.pragma("temp_store", "memory")  # a temporary file would not be encrypted
                _settle(db)
            except BaseException:
                db.close()
                raise
        return cls(db, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def interrupt(self) -> None:
        """End the statement that runs, from another thread; whoever waits for it gets an exception."""
        self._db.interrupt()

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def docs(self, match: str, low: int = 1, high: int = 2**31 - 1) -> NDArray[np.int32]:
        """The docs from `low` to `high`, both included, that match (`match_of`), newest first."""
        with _errors_told(self._path):
            [(numbers,)] = self._db.execute(_FIND, (match, low, high))
        return np.fromstring(numbers or "", np.int32, sep=",")

    def ranked(self, match: str) -> list[tuple[int, float]]:
        """(doc, score) of the newest `ranked_max` matches; the higher the score, the better (BM25)."""
        with _errors_told(self._path):
            return list(self._db.execute(_RANK, (match, ranked_max)))

    def hashes(self, after: int) -> Iterator[bytes]:
        """The hashes of the docs after one, in order, end to end, some thousands at a time. Docs count from 1, without a gap."""
        with _errors_told(self._path):
            while True:
                [(count, last, joined)] = self._db.execute(_HASHES, (after, _hashes_at_once))
                if not count:
                    return
                if last != after + count or len(joined) != count * hash_bytes:
                    raise IndexBroken("the word index has a gap")
                yield joined
                after = last

    def count(self) -> int:
        """How many nodes were looked at."""
        with _errors_told(self._path):
            return int(next(self._db.execute("SELECT count(*) FROM docs"))[0])

    # ── filling ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or none of it; alone among processes."""
        with _errors_told(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def lacks(self, node_hash: bytes) -> bool:
        """Whether the node was not looked at yet."""
        with _errors_told(self._path):
            return not list(self._db.execute("SELECT 1 FROM docs WHERE hash = ?", (node_hash,)))

    def add(self, node_hash: bytes, turn: Turn) -> None:
        """Take a node in; nothing happens if it is in already."""
        with _errors_told(self._path):
            added = list(
                self._db.execute("INSERT OR IGNORE INTO docs(hash) VALUES (?) RETURNING id", (node_hash,))
            )
            if added and (turn.told or turn.tools):
                self._db.execute(
                    "INSERT INTO words(rowid, told, tools) VALUES (?,?,?)",
                    (added[0][0], turn.told, turn.tools),
                )

    def units(self) -> dict[int, bool]:
        """The commits that were looked at, and whether they are done."""
        with _errors_told(self._path):
            return {seq: bool(done) for seq, done in self._db.execute("SELECT seq, done FROM units")}

    def mark_unit(self, seq: int, *, done: bool) -> None:
        """Note a commit as looked at."""
        with _errors_told(self._path):
            self._db.execute("INSERT OR REPLACE INTO units VALUES (?,?)", (seq, int(done)))

    def local_mark(self) -> tuple[int, str]:
        """The last row of the local store that was looked at, and its hash; (0, "") before the first."""
        with _errors_told(self._path):
            rows = list(self._db.execute("SELECT row, hash FROM marks WHERE name = 'local'"))
        return rows[0] if rows else (0, "")

    def mark_local(self, row: int, node_hash: str) -> None:
        """Note how far the local store was read; two processes at it never go back."""
        with _errors_told(self._path):
            self._db.execute(
                "INSERT INTO marks VALUES ('local',?,?) ON CONFLICT(name) DO UPDATE SET row = excluded.row, hash = excluded.hash"
                " WHERE excluded.row > row",
                (row, node_hash),
            )


def remove_index(path: Path) -> None:
    """Delete the file and what SQLite keeps beside it."""
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def match_of(query: Query, *, in_tools: bool = False) -> str:
    """A query in FTS5's own words. A phrase is letters, digits and spaces, in quotes: nothing can break out."""
    columns = "tools" if in_tools else "told tools"
    return f"{{{columns}}} : ({' OR '.join(map(_alternative, query.alternatives))})"


def _alternative(one: Alternative) -> str:
    present = " AND ".join(map(_quoted, one.present))
    absent = " OR ".join(map(_quoted, one.absent))
    return f"(({present}) NOT ({absent}))" if absent else f"({present})"


def _quoted(phrase: Phrase) -> str:
    return f'"{phrase.words}"' + (" *" if phrase.prefix else "")


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _settle(db: apsw.Connection) -> None:
    """Check whose file it is; give an empty one its tables."""
    found = (db.pragma("application_id"), db.pragma("user_version"))
    if found == (0, 0):
        db.pragma("journal_mode", "wal")
        _create(db)
    elif found != (application_id, _version):
        raise IndexBroken("the word index was made by another version")
    db.pragma("synchronous", "normal")  # a power cut may lose the last moments, never the file
    db.pragma("cache_size", -_cache_kib)


def _create(db: apsw.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        if db.pragma("user_version") == 0:  # else another process made them a moment ago
            db.execute(_SCHEMA)
            settings = (("hashsize", _gathered_bytes), ("automerge", _segments_merged))
            db.executemany("INSERT INTO words(words, rank) VALUES (?,?)", settings)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def _errors_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError, apsw.SQLError) as error:
        raise IndexBroken(f"the word index is damaged ({error})") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreError(
            f"{path} is in use by another process", hint="try again when that one is done"
        ) from error
    except (apsw.Error, OSError) as error:
        raise StoreError(
            f"{path}: {error}",
            hint="check the disk; the index may be deleted, `tapes reindex` makes it again",
        ) from error
