"""Importing opencode's sessions: exact totals over rows that are edited in place, from the database and the files of before."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto.errors import UsageError
from store.local import LocalStore
from store.node_parse import node_from_bytes
from tapes.importers.opencode.run import import_opencode
from tests.claude_logs import stored, stored_tokens
from tests.opencode_db import Session, new_database, save, save_legacy, truth, world

State = set[tuple[object, ...]]
Save = Callable[[sqlite3.Connection, Path, Session], None]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty local store."""
    with LocalStore.open(tmp_path / "ours.db") as opened:
        yield opened


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database of opencode, open as while it runs."""
    (tmp_path / "opencode").mkdir()
    opened = new_database(tmp_path / "opencode" / "opencode.db")
    yield opened
    opened.close()


def _state(store: LocalStore) -> State:
    return {(f.hash, f.parent_hash, f.usage_id, f.output, f.cost_usd_micro, f.project) for f in stored(store)}


def _into_database(db: sqlite3.Connection, place: Path, session: Session) -> None:
    save(db, session)


def _into_files(db: sqlite3.Connection, place: Path, session: Session) -> None:
    save_legacy(place / "storage", session)


def _tokens(store: LocalStore) -> dict[str, dict[str, int]]:
    return {model: +counts for model, counts in stored_tokens(store).items()}


@pytest.mark.parametrize("seed", range(6))
def test_totals_are_exact(store: LocalStore, db: sqlite3.Connection, tmp_path: Path, seed: int) -> None:
    """Message figures or their steps', never both; nested subagents; rows that are in the WAL only."""
    sessions = world(seed)
    for session in sessions:
        save(db, session)

    report = import_opencode(store, [tmp_path / "opencode"])

    assert truth(sessions) == _tokens(store)
    assert sum(session.nodes for session in sessions) == report.nodes_new == store.count()
    assert (2, 1, 0) == (report.conversations, report.files, report.skipped_lines)
    assert {"heron", "kite", None} == {facts.project for facts in stored(store)} | {None}


def test_the_files_of_before_are_the_same_sessions(
    store: LocalStore, db: sqlite3.Connection, tmp_path: Path
) -> None:
    """What opencode moved from its JSON files into the database is imported once."""
    sessions = world(1)
    for session in sessions:
        save_legacy(tmp_path / "opencode" / "storage", session)
    import_opencode(store, [tmp_path / "opencode" / "storage"])
    before = _state(store)
    for session in sessions:
        save(db, session)

    report = import_opencode(store, [tmp_path / "opencode"])

    assert (0, 2) == (report.nodes_new, report.files)
    assert truth(sessions) == _tokens(store)
    assert before == _state(store)


def test_a_second_import_finds_nothing_new(store: LocalStore, db: sqlite3.Connection, tmp_path: Path) -> None:
    """Importing twice stores nothing twice and reports the same conversations."""
    for session in world(3):
        save(db, session)
    first = import_opencode(store, [tmp_path / "opencode"])
    before = _state(store)

    again = import_opencode(store, [tmp_path / "opencode"])

    assert (0, first.conversations) == (again.nodes_new, again.conversations)
    assert first.nodes_new + first.nodes_known == again.nodes_known
    assert before == _state(store)


@pytest.mark.parametrize("save_into", [_into_database, _into_files])
def test_rows_edited_in_place_end_as_if_read_once(
    db: sqlite3.Connection, tmp_path: Path, save_into: Save
) -> None:
    """A message imported while its tool was running is superseded by its final form, and what follows it comes along."""
    session = Session(world(4)[0].rng)
    place = tmp_path / "opencode"
    with LocalStore.open(tmp_path / "grown.db") as store:
        for _ in range(3):
            session.user()
            message = session.begin()
            save_into(db, place, session)
            import_opencode(store, [place])
            session.finish(message, 2)
            save_into(db, place, session)
            import_opencode(store, [place])
        grown = _state(store)
    with LocalStore.open(tmp_path / "whole.db") as store:
        import_opencode(store, [place])

        assert _state(store) == grown
        assert truth([session]) == _tokens(store)


def test_a_subagent_hangs_below_its_callers(
    store: LocalStore, db: sqlite3.Connection, tmp_path: Path
) -> None:
    """A session called from another is part of its conversation, below a root of its own."""
    sessions = world(5)
    for session in sessions:
        save(db, session)
    import_opencode(store, [tmp_path / "opencode"])

    paths = [store.ancestry(leaf) for leaf in store.leaves()]
    deepest = max(paths, key=lambda path: sum(node.bucket["type"] == "session" for node in path))

    roots = [
        node.bucket["content"][0]["text"] for node in reversed(deepest) if node.bucket["type"] == "session"
    ]
    said = [f"session {sessions[0].id}", f"subagent {sessions[1].id}", f"subagent {sessions[3].id}"]
    assert [f"opencode {each}" for each in said] == roots


def test_damaged_rows_are_counted_not_raised(
    store: LocalStore, db: sqlite3.Connection, tmp_path: Path
) -> None:
    """Rows that are no JSON, parents in a circle, wrong types: the rest is imported, the report names what was not."""
    session = Session(world(6)[0].rng, parent="ses_circle")
    session.turn()
    save(db, session)
    db.execute("INSERT INTO session VALUES ('ses_circle', 'p', ?, 7, NULL, NULL, NULL)", (session.id,))
    db.execute("INSERT INTO message VALUES ('m1', ?, 'never', 0, '{')", (session.id,))
    db.execute(
        "INSERT INTO message VALUES ('m2', ?, 'never', 0, ?)",
        (session.id, '{"role": 4, "tokens": 3, "time": []}'),
    )
    db.execute("INSERT INTO part VALUES ('p1', 'm2', ?, 0, 0, '[]')", (session.id,))
    db.execute("INSERT INTO part VALUES ('p2', 'm2', ?, 0, 0, '{\"type\": {}, \"state\": 1}')", (session.id,))
    db.commit()

    report = import_opencode(store, [tmp_path / "opencode"])

    assert (2, session.nodes + 2) == (report.skipped_lines, report.nodes_new)
    assert truth([session]) == _tokens(store)


def test_what_opencode_wrote_down_as_cost_counts(
    store: LocalStore, db: sqlite3.Connection, tmp_path: Path
) -> None:
    """A recorded cost is kept; its 0 means "not known", so then the list price counts, or none for an unknown model."""
    session = Session(world(7)[0].rng)
    for cost, model in ((0.25, "claude-sonnet-4-5"), (0, "claude-sonnet-4-5"), (0, "qwen-some")):
        message = session.begin()
        session.finish(message)
        message.data |= {"cost": cost, "modelID": model, "providerID": "anthropic"}
    save(db, session)

    import_opencode(store, [tmp_path / "opencode"])

    costs = [(f.cost_source, f.cost_usd_micro) for f in stored(store) if f.cost_source]
    assert [("recorded", 250_000), "computed", ("unpriced", None)] == [costs[0], costs[1][0], costs[2]]


def test_a_strangers_database_is_a_row_of_the_report(store: LocalStore, tmp_path: Path) -> None:
    """A database that is none of opencode's, or is damaged, is named; a missing path is the caller's mistake."""
    sqlite3.connect(tmp_path / "opencode-x.db").executescript("CREATE TABLE t (x)")
    (tmp_path / "opencode-y.db").write_bytes(b"SQLite format 3\0" + b"?" * 5_000)

    report = import_opencode(store, [tmp_path])

    assert [True, True] == [
        word in error.problem for word, error in zip(("opencode", "read"), report.errors, strict=True)
    ]
    with pytest.raises(UsageError):
        import_opencode(store, [tmp_path / "nowhere"])


def test_every_node_hashes_to_its_name(store: LocalStore, db: sqlite3.Connection, tmp_path: Path) -> None:
    """What was stored reads back as the same turn: nothing in the mapping lies outside what era E3 hashes."""
    for session in world(8):
        save(db, session)
    import_opencode(store, [tmp_path / "opencode"])

    data = [(facts.hash, store.get_bytes(facts.hash)) for facts in stored(store)]

    assert all(found and node_from_bytes(found, name).hash_version == "E3" for name, found in data)
