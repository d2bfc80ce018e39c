"""The local store's file: whose it is, who shares it, and what a crash, a full disk or damage leaves."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crypto.errors import StoreError, UsageError
from store.database import is_ours, schema_version_known
from store.local import LocalStore, local_store_path
from store.local_path import LOCAL_STORE
from tests.node_strategies import turn

HOUSE = Path(__file__).parent.parent.parent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty store."""
    with LocalStore.open(tmp_path / "tapes.db") as opened:
        yield opened


def test_our_file_is_marked_private_and_reopens(tmp_path: Path) -> None:
    """A new file carries our application id, is readable by its owner only, and is found again with its nodes."""
    path = tmp_path / "deep" / "home" / "tapes.db"
    with LocalStore.open(path) as store:
        store.add([turn("a")])
        assert is_ours(path, LOCAL_STORE)
    with LocalStore.open(path) as store:
        assert store.count() == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (LOCAL_STORE.application_id,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def _foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE nodes (hash TEXT PRIMARY KEY, bucket TEXT)")
        db.commit()


@pytest.mark.parametrize("content", ["database", "text"])
def test_a_strangers_file_is_never_touched(tmp_path: Path, content: str) -> None:
    """The Go tool's database and any other file stay byte for byte; ours goes beside it."""
    path = tmp_path / "tapes.db"
    if content == "database":
        _foreign_database(path)
    else:
        path.write_text("my notes")
    before = path.read_bytes()

    with pytest.raises(UsageError, match=r"tapes\.db") as caught:
        LocalStore.open(path)
    assert "tapes-sync.db" in caught.value.hint
    assert [entry.name for entry in tmp_path.iterdir()] == ["tapes.db"]
    assert path.read_bytes() == before
    assert local_store_path(tmp_path) == tmp_path / "tapes-sync.db"


def test_the_usual_path_is_ours_when_nobody_else_has_it(tmp_path: Path) -> None:
    """tapes.db when there is none, an empty one, or one of ours."""
    assert local_store_path(tmp_path) == tmp_path / "tapes.db"
    (tmp_path / "tapes.db").touch()
    assert local_store_path(tmp_path) == tmp_path / "tapes.db"
    LocalStore.open(tmp_path / "tapes.db").close()
    assert local_store_path(tmp_path) == tmp_path / "tapes.db"


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A file of a later version is left alone, with a hint to update."""
    path = tmp_path / "tapes.db"
    LocalStore.open(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {schema_version_known(LOCAL_STORE) + 1}")

    with pytest.raises(UsageError, match="schema") as caught:
        LocalStore.open(path)
    assert "update" in caught.value.hint


def test_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    """A file that stopped after the first migration keeps its nodes and gets the rest."""
    path = tmp_path / "tapes.db"
    with LocalStore.open(path) as store:
        store.add([turn("a")])
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "DROP TABLE cursors; DROP TABLE line_nodes; DROP TABLE store; PRAGMA user_version = 1"
        )
    with LocalStore.open(path) as store:
        store.set_cursor("f", {"offset": 1})
        assert store.count() == 1


def test_a_full_disk_is_said_and_leaves_nothing_half(store: LocalStore) -> None:
    """SQLite's "full" becomes a StoreError with a hint, and the store works on once there is space."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full") as caught:
        store.add([turn("x" * 100_000)])
    assert caught.value.hint
    assert (store.count(), store._db.in_transaction) == (0, False)

    store._db.execute("PRAGMA max_page_count = 1000000")
    assert store.add([turn("x" * 100_000)]).new == 1


def test_a_read_only_store_is_said(store: LocalStore) -> None:
    """A write that SQLite may not make is a StoreError with a hint, and reading goes on."""
    store.add([turn("a")])
    store._db.execute("PRAGMA query_only = ON")

    with pytest.raises(StoreError, match="read-only") as caught:
        store.add([turn("b")])
    assert caught.value.hint
    assert store.count() == 1


def test_an_impossible_folder_is_said(tmp_path: Path) -> None:
    """A path below a file, or a folder in the file's place, is an error of ours."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        LocalStore.open(tmp_path / "file" / "tapes.db")
    with pytest.raises(StoreError):
        LocalStore.open(tmp_path)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    """Garbage inside our own file is a StoreError that says damaged, not a traceback."""
    path = tmp_path / "tapes.db"
    with LocalStore.open(path) as store:
        store.add(turn(str(number)) for number in range(200))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (size - 4096))

    with pytest.raises(StoreError, match="damaged"), LocalStore.open(path) as store:
        list(store.facts())


_WRITER = """
import sys
from pathlib import Path
from store.local import LocalStore
from tests.node_strategies import turn
me, path = sys.argv[1], Path(sys.argv[2])
with LocalStore.open(path) as store:
    shared = turn("shared")
    for batch in range(10):
        with store.transaction():
            store.add([shared, *(turn(f"{me} {batch} {n}", shared.hash) for n in range(10))])
            seen = store.cursor("count") or {"n": 0}
            store.set_cursor("count", {"n": seen["n"] + 1})
"""

_KILLED = """
import sys, time
from pathlib import Path
from store.local import LocalStore
from tests.node_strategies import turn
with LocalStore.open(Path(sys.argv[1])) as store:
    store.add([turn("whole")])
    with store.transaction():
        store.add(turn(f"half {n} " + "x" * 10000) for n in range(500))
        store.set_cursor("f", {"offset": 500})
        print("inside", flush=True)
        time.sleep(60)
"""


def _start(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_four_processes_write_at_once(tmp_path: Path) -> None:
    """From a path that does not exist yet: every node of all four is there once, and no update of theirs is lost."""
    path = tmp_path / "tapes.db"
    writers = [_start(_WRITER, str(number), str(path)) for number in range(4)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0, 0]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()

    with LocalStore.open(path) as store:
        assert store.count() == 401
        assert store.cursor("count") == {"n": 40}
        assert {facts.conversation for facts in store.facts()} == {turn("shared").hash}
        assert store.last_change() == 401


def test_a_killed_writer_leaves_nothing_half(tmp_path: Path) -> None:
    """SIGKILL in the middle of a transaction: what was committed is there, nothing of the rest, and writing goes on."""
    path = tmp_path / "tapes.db"
    writer = _start(_KILLED, str(path))
    assert writer.stdout is not None
    assert writer.stdout.readline() == "inside\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait(timeout=30)
    writer.stdout.close()

    with LocalStore.open(path) as store:
        assert [facts.facts.hash for facts in store.facts()] == [turn("whole").hash]
        assert store.cursor("f") is None
        assert store.add([turn("half 0 " + "x" * 10000)]).new == 1
