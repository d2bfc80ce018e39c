"""Importing the Go tool's database: every hash kept and named, every token counted once, nothing of the file touched."""

import json
import random
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import StoreError, UsageError
from query.sessions import list_sessions
from query.source import open_source
from store.local import LocalStore
from tapes.importers.tapes_db import run, stitching
from tapes.importers.tapes_db.files import find_database
from tapes.importers.tapes_db.rows import parse_go_time
from tapes.importers.tapes_db.run import import_tapes_db
from tests.claude_logs import stored, stored_tokens
from tests.tapes_db import GoDatabase, bucket_of, e3_hash

VECTORS = Path(__file__).parents[1] / "vectors" / "tapes-node-hash.json"
State = set[tuple[object, ...]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty local store."""
    with LocalStore.open(tmp_path / "ours.db") as opened:
        yield opened


@pytest.fixture
def go(tmp_path: Path) -> GoDatabase:
    """An empty database of the Go tool."""
    return GoDatabase(tmp_path / "tapes.sqlite")


def _state(store: LocalStore) -> State:
    return {
        (f.hash, f.parent_hash, f.usage_id, f.output, f.cost_usd_micro, f.harness_session)
        for f in stored(store)
    }


def test_totals_are_exact_and_resent_answers_count_once(store: LocalStore, go: GoDatabase) -> None:
    """Most turns fork the chain; still each call counts once and the tree lists one session, not one per answer."""
    heads = go.conversation(4)

    report = import_tapes_db(store, [go.path])

    assert go.tokens == {model: +counts for model, counts in stored_tokens(store).items()}
    assert (go.nodes, 0, 1, 0) == (
        report.nodes_new,
        report.unverified,
        report.conversations,
        report.skipped_lines,
    )
    with open_source(store, None) as source:
        listed = list_sessions(source)
    assert [heads[-1]] == [session.id for session in listed.sessions]
    assert 4 * 9 == listed.totals.tokens.output


def test_chains_that_drifted_apart_share_an_alias(store: LocalStore, go: GoDatabase) -> None:
    """A system-reminder makes another root, hence another conversation; the alias says that both are one session's."""
    first = go.add(bucket_of("user", "hello"), None)
    second = go.add(
        bucket_of("user", "hello<system-reminder>3 o'clock</system-reminder>", "other-model"), None
    )
    other = go.add(bucket_of("user", "good evening"), None)

    import_tapes_db(store, [go.path])

    aliases = {facts.hash: facts.harness_session for facts in stored(store)}
    assert aliases[first] == aliases[second] != aliases[other]
    assert 3 == len({store.conversation_of(each) for each in (first, second, other)})


def test_roots_of_nothing_but_noise_are_not_glued(store: LocalStore, go: GoDatabase) -> None:
    """Projected, they are all the same empty message; each keeps an alias of its own."""
    for number in range(3):
        go.add(bucket_of("user", f"<system-reminder>{number}</system-reminder>"), None)

    import_tapes_db(store, [go.path])

    assert 3 == len({facts.harness_session for facts in stored(store)})


def test_every_era_is_named_and_nothing_is_relabelled(store: LocalStore, go: GoDatabase) -> None:
    """The known hashes of every era are verified; one that fits none is kept as it is, marked unverified."""
    bucket = {**bucket_of("user", "hello world"), "model": "test-model", "provider": "test-provider"}
    e3 = go.add(bucket, None, "54b2e84f39abda96cae9b6a8d9e410474407d7c1753b64d65f020832b8e60b79")
    e6 = go.add(bucket, None, "7d3a447a18e3f3a102967dde0d802d512f69383907c3d32a48d10058a1f55950")
    none = go.add(bucket, None, "ab" * 32)

    report = import_tapes_db(store, [go.path])

    eras = {facts.hash: facts.hash_version for facts in stored(store)}
    assert {e3: "E3", e6: "E4", none: None} == eras
    assert (3, 1) == (report.nodes_new, report.unverified)


def test_text_buckets_and_missing_columns_are_read(store: LocalStore, tmp_path: Path) -> None:
    """JSON stands as TEXT where another writer made it; older files have fewer columns."""
    go = GoDatabase(tmp_path / "tapes.sqlite", blob=False)
    go.conversation(2)
    for column in ("cache_creation_input_tokens", "total_duration_ns", "project"):
        go.db.execute(f"ALTER TABLE nodes DROP COLUMN {column}")

    report = import_tapes_db(store, [go.path])

    assert (go.nodes, 0) == (report.nodes_new, report.skipped_lines)


def test_parents_go_in_first_whatever_their_rowids(store: LocalStore, go: GoDatabase) -> None:
    """Rows in any order become the same conversations as in the right one."""
    chain: list[tuple[str, dict[str, object], str | None]] = []
    tip = None
    for number in range(40):
        bucket = bucket_of("user" if number % 2 else "assistant", str(number))
        chain.append((e3_hash(bucket, tip), bucket, tip))
        tip = chain[-1][0]
    for node_hash, bucket, parent in random.Random(1).sample(chain, len(chain)):
        go.add(bucket, parent, node_hash)

    report = import_tapes_db(store, [go.path])

    assert (40, 0, 0, 1) == (report.nodes_new, report.nodes_known, report.unverified, report.conversations)
    assert 40 == len(store.ancestry(chain[-1][0]))


def test_a_dangling_parent_starts_a_conversation(store: LocalStore, go: GoDatabase) -> None:
    """The topmost known ancestor names it; the parent's hash stays, so the hash is still verified."""
    bucket = bucket_of("user", "orphan")
    orphan = go.add(bucket, "cd" * 32)

    report = import_tapes_db(store, [go.path])

    node = store.get(orphan)
    assert node is not None
    assert (0, orphan, "cd" * 32) == (report.unverified, store.conversation_of(orphan), node.parent_hash)


def test_circles_and_junk_rows_end_nothing(store: LocalStore, go: GoDatabase) -> None:
    """A row that is no node is reported by its rowid; a circle of parents is stored as it stands."""
    go.add(bucket_of("user", "a"), "bb" * 32, "aa" * 32)
    go.add(bucket_of("user", "b"), "aa" * 32, "bb" * 32)
    go.add(bucket_of("user", "c"), None, "not a hash")
    go.add(bucket_of("user", "d"), None)
    go.db.execute("INSERT INTO nodes (hash, bucket) VALUES (?, ?)", ("ee" * 32, b"\xff{"))
    go.db.execute(
        "INSERT INTO nodes (hash, bucket) VALUES (?, ?)",
        ("ff" * 32, b'{"content": [{"tool_input": {"n": 1e999}}]}'),
    )
    go.db.execute("INSERT INTO nodes (hash, bucket) VALUES (?, NULL)", ("dd" * 32,))
    go.db.commit()

    report = import_tapes_db(store, [go.path])

    assert (3, 2, 4) == (report.nodes_new, report.unverified, report.skipped_lines)
    assert {3, 5, 6, 7} == {error.line for error in report.errors}


def test_only_new_and_changed_rows_are_read_again(store: LocalStore, go: GoDatabase) -> None:
    """New rows come in; usage that the Go tool corrected in place comes in too; an unchanged file is known."""
    heads = go.conversation(2)
    first = import_tapes_db(store, [go.path])
    again = import_tapes_db(store, [go.path])
    go.conversation(2, "another")
    grown = import_tapes_db(store, [go.path])
    go.db.execute("UPDATE nodes SET completion_tokens = 700 WHERE hash = ?", (heads[-1],))
    go.db.commit()
    import_tapes_db(store, [go.path])

    assert (5, 0, 5) == (first.nodes_new, again.nodes_new, again.nodes_known)
    assert (5, 5, 2) == (grown.nodes_new, grown.nodes_known, grown.conversations)
    node = store.get(heads[-1])
    assert node is not None
    assert node.usage is not None
    assert 700 == node.usage.output


def test_small_batches_and_a_small_memory_change_nothing(
    tmp_path: Path, go: GoDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little is held in memory, the nodes, aliases and usage ids are the same."""
    for number in range(3):
        go.conversation(4, f"talk {number}")
    with LocalStore.open(tmp_path / "large.db") as store:
        import_tapes_db(store, [go.path])
        large = _state(store)
    monkeypatch.setattr(run, "batch_nodes_max", 2)
    monkeypatch.setattr(stitching, "places_kept_max", 1)
    with LocalStore.open(tmp_path / "small.db") as store:
        import_tapes_db(store, [go.path])

        assert large == _state(store)


def test_cache_tokens_are_inside_the_prompt_since_104(store: LocalStore, go: GoDatabase) -> None:
    """Rows of before leave the cache out of prompt_tokens; a prompt smaller than its cache does so at any time; NULL is 0."""

    def usage(**columns: Any) -> tuple[int | None, ...]:
        node_hash = go.add(bucket_of("assistant", str(columns)), None, **columns)
        import_tapes_db(store, [go.path])
        node = store.get(node_hash)
        assert node is not None
        return (node.usage.input_uncached, node.usage.cache_read, node.usage.output) if node.usage else ()

    cached = {"prompt_tokens": 100, "cache_read_input_tokens": 60}
    assert (40, 60, 0) == usage(**cached)
    assert (100, 60, 0) == usage(**cached, created_at="2026-02-14 23:59:59+00:00")
    assert (10, 60, 0) == usage(**{**cached, "prompt_tokens": 10})
    assert () == usage(total_duration_ns=5)


def test_times_carry_the_writers_offset(store: LocalStore, go: GoDatabase) -> None:
    """Nine digits and a local offset become UTC; a row with the column's default is UTC already."""
    shown = [
        parse_go_time(text)
        for text in ("2026-02-20 10:30:00.123456789+01:00", "2026-02-20 09:30:00", "soon", None)
    ]

    assert ["2026-02-20T09:30:00.123456+00:00", "2026-02-20T09:30:00+00:00"] == [
        at.isoformat() for at in shown if at
    ]
    assert [None, None] == shown[2:]


def test_the_file_is_not_touched(store: LocalStore, go: GoDatabase) -> None:
    """Not a byte changes and nothing appears beside it, even while the Go tool holds a lock for reading."""
    go.conversation(2)
    before = sha256(go.path.read_bytes()).hexdigest()
    go.db.execute("BEGIN")
    go.db.execute("SELECT * FROM nodes").fetchone()

    import_tapes_db(store, [go.path])

    assert before == sha256(go.path.read_bytes()).hexdigest()
    assert {"tapes.sqlite", "ours.db", "ours.db-wal", "ours.db-shm"} >= {
        file.name for file in go.path.parent.iterdir()
    }


def test_the_lookup_order_is_the_go_tools(tmp_path: Path) -> None:
    """Environment, then XDG data, home, here; tapes.sqlite before tapes.db; our own file under that name is passed over."""
    home, here, data = tmp_path / "home", tmp_path / "here", tmp_path / "data"
    for folder in (home / ".tapes", here / ".tapes", data / "tapes"):
        folder.mkdir(parents=True)
    with pytest.raises(UsageError, match="no database"):
        find_database({}, home, here)
    LocalStore.open(home / ".tapes" / "tapes.db").close()
    GoDatabase(here / ".tapes" / "tapes.db")
    assert here / ".tapes" / "tapes.db" == find_database({}, home, here)
    GoDatabase(home / ".tapes" / "tapes.sqlite")
    assert home / ".tapes" / "tapes.sqlite" == find_database({}, home, here)
    GoDatabase(data / "tapes" / "tapes.db")
    assert data / "tapes" / "tapes.db" == find_database({"XDG_DATA_HOME": str(data)}, home, here)
    GoDatabase(tmp_path / "named.db")
    environ = {"TAPES_DB": str(tmp_path / "named.db"), "XDG_DATA_HOME": str(data)}
    assert tmp_path / "named.db" == find_database(environ, home, here)


def test_what_is_no_database_of_the_go_tool_is_refused(store: LocalStore, tmp_path: Path) -> None:
    """Our own store, a stranger's database, a damaged one, a missing one: a clear error each."""
    sqlite3.connect(tmp_path / "strange.db").executescript("CREATE TABLE t (x)")
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0" + b"?" * 5_000)
    for name, error in (
        ("ours.db", UsageError),
        ("strange.db", UsageError),
        ("damaged.db", StoreError),
        ("no", UsageError),
    ):
        with pytest.raises(error):
            import_tapes_db(store, [tmp_path / name])


def test_the_vectors_come_through_a_database(store: LocalStore, go: GoDatabase) -> None:
    """Every published hash of every era is recognised when it stands in a row."""
    vectors = json.loads(VECTORS.read_text())["vectors"]
    rows = {h: v for v in vectors for h in v["hash"].values()}
    for node_hash, vector in rows.items():
        go.add(vector["bucket"], vector.get("parent") or None, node_hash)

    report = import_tapes_db(store, [go.path])

    assert (len(rows), 0) == (report.nodes_new, report.unverified)
