"""Somebody's SQL: answers over the tables, reaches nothing else, and ends in time."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from crypto.errors import TapesError, UsageError
from query.export_parquet import write_parquet
from query.records import About
from query.schema_text import schema_text
from query.sessions import list_sessions
from query.source import Source, open_source
from query.sql import ask_export, ask_source
from query.sql_process import Limits, waiting
from query.table_rows import Loader
from query.tables import EVERY
from store.eras import make_node
from store.local import LocalStore
from store.nodes import Cost, Node, Usage
from store.nodes import Source as Found
from tests.command_line import HOUSE
from tests.laptops import conversation

INJECTION = "'; DROP TABLE nodes; --"
ABOUT = About("tapes 1", None, (), "2026-02-14T10:00:00Z", None)


def call(parent: Node, when: str | None, text: str = "ok") -> Node:
    """An assistant's turn with two tool calls, of which one has an answer below."""
    blocks = [
        {"type": "text", "text": text},
        {"type": "tool_use", "tool_use_id": "a", "tool_name": INJECTION, "tool_input": {"path": "x"}},
        {"type": "tool_use", "tool_use_id": "b", "tool_name": "Bash", "tool_input": {}},
    ]
    bucket = {"type": "message", "role": "assistant", "content": blocks, "model": "m", "provider": "p"}
    return make_node(
        bucket,
        parent.hash,
        usage=Usage(1, 2, 3, 4),
        cost=Cost(5, "computed", "prices 1"),
        project=INJECTION,
        created_at=when,
        source=Found("test", session=INJECTION, usage_id=f"call {when}"),
    )


def result(parent: Node) -> Node:
    """The failed result of the first call."""
    block = {"type": "tool_result", "tool_result_id": "a", "tool_output": "no such file", "is_error": True}
    bucket = {"type": "message", "role": "user", "content": [block], "model": "", "provider": ""}
    return make_node(bucket, parent.hash, created_at="2026-02-15T00:00:01.000000Z")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """Two conversations: eight plain turns, and a call before midnight UTC with its result after, and one undated."""
    plain = conversation("plain", 8)
    asked = call(conversation("talk", 1)[0], "2026-02-14T23:59:59.999999Z")
    answered = result(asked)
    with LocalStore.open(tmp_path_factory.mktemp("store") / "tapes.db") as local:
        local.add([*plain, *conversation("talk", 1), asked, answered, call(answered, None)])
        with open_source(local, None) as opened:
            yield opened


@pytest.fixture(scope="module")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a parquet export with content."""
    out = tmp_path_factory.mktemp("export") / "it's out"
    write_parquet(Loader(source), list_sessions(source).sessions, ABOUT, "full", out)
    return out


QUESTIONS = (
    "SELECT count(*), count(DISTINCT conversation), min(created_at) FROM nodes",
    "SELECT project, sum(turns)::BIGINT, sum(output)::BIGINT FROM usage_daily GROUP BY ALL ORDER BY ALL",
    "SELECT day, sum(cost_usd_micro)::BIGINT FROM usage_daily GROUP BY ALL ORDER BY ALL",
    "SELECT * FROM sessions ORDER BY id",
    "SELECT * EXCLUDE (text), length(text) FROM messages ORDER BY node",
    "SELECT * FROM tool_calls ORDER BY node, position",
    "SELECT * FROM nodes ORDER BY hash",
)


@pytest.mark.parametrize("question", QUESTIONS)
def test_home_and_export_answer_alike(question: str, source: Source, folder: Path) -> None:
    """The same SQL gives the same rows over what is here and over its export."""
    here, there = ask_source(source, {}, question), ask_export(folder, question)

    assert here.num_rows > 0
    assert here.to_pylist() == there.to_pylist()


def test_the_tables_say_what_was_done(source: Source) -> None:
    """A call at a microsecond before midnight belongs to that UTC day; its failed result is beside it; money is exact."""
    calls = ask_source(
        source, {}, "SELECT tool, failed, output FROM tool_calls ORDER BY created_at, position"
    )
    days = ask_source(source, {}, "SELECT day, turns, cost_usd_micro FROM usage_daily ORDER BY ALL")
    late = ask_source(source, {}, "SELECT created_at FROM nodes WHERE starts_with(project, chr(39))")

    assert calls.to_pylist()[:2] == [
        {"tool": INJECTION, "failed": True, "output": "no such file"},
        {"tool": "Bash", "failed": None, "output": None},
    ]
    assert {"day": date(2026, 2, 14), "turns": 1, "cost_usd_micro": 5} in days.to_pylist()
    assert datetime(2026, 2, 14, 23, 59, 59, 999_999, UTC) in [row["created_at"] for row in late.to_pylist()]


def test_every_table_is_there_as_documented(source: Source) -> None:
    """Names and types of all columns are those of query/tables.py, in their order."""
    for shape in EVERY:
        answer = ask_source(source, {}, f"FROM {shape.name} -- messages")
        assert answer.schema.names == shape.schema.names
        assert [field.type for field in answer.schema] == [field.type for field in shape.schema]


@pytest.mark.parametrize(
    ("question", "column"),
    [
        ("SHOW TABLES", 0),
        ("SELECT table_name FROM information_schema.tables", 0),
        ("SELECT DISTINCT table_name FROM information_schema.columns", 0),
    ],
)
def test_all_tables_are_listed_before_any_is_asked(source: Source, question: str, column: int) -> None:
    """Those that take reading what was said stand in the lists of a question that does not."""
    names = ask_source(source, {}, question).column(column).to_pylist()

    assert sorted(names) == sorted(shape.name for shape in EVERY)


def test_describing_reads_nothing(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """`DESCRIBE messages` tells names and types as they are, without opening one turn."""
    read = ask_source(source, {}, "SELECT * FROM (DESCRIBE SELECT * FROM messages)").to_pylist()
    monkeypatch.setattr("query.sql.content_batches", lambda *_: pytest.fail("a turn was read"))

    for question in ("DESCRIBE messages", "desc messages;", "SHOW messages", "DESCRIBE TABLE messages"):
        assert ask_source(source, {}, question).to_pylist() == read


def test_a_table_that_was_not_read_is_never_empty(source: Source) -> None:
    """A question that hides which table it means is refused with what to do: no rows would pass for an answer."""
    with pytest.raises(UsageError, match="name messages in the SQL"):
        ask_source(source, {}, "FROM query_table('mess' || 'ages')")


def test_names_are_rows(source: Source) -> None:
    """A member called like SQL is a row of `members` and nothing more."""
    answer = ask_source(source, {"ab" * 32: INJECTION}, "SELECT * FROM members")

    assert answer.to_pylist() == [{"id": "ab" * 32, "name": INJECTION}]


def test_the_schema_page_is_what_the_code_says() -> None:
    """docs/schema.md was written from the tables as they are."""
    assert (HOUSE / "docs" / "schema.md").read_text() == schema_text()


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_csv('{secret}')",
        "FROM '{secret}'",
        "SELECT * FROM read_blob('{folder}/../secret.txt')",
        "SELECT * FROM glob('{parent}/*')",
        "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/x.csv''')",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/x.csv') SELECT 1",
        "WITH x AS (COPY (SELECT 1 WHERE false) TO '{folder}/x.csv' (HEADER false)) SELECT 1",
        "WITH x AS (COPY (SELECT 1 WHERE false) TO '{folder}/_export.json' (FORMAT csv, HEADER false)) SELECT 1 ; --",
        "WITH x AS (COPY (SELECT 1 AS a, 2 AS b) TO '{folder}/nodes' (PARTITION_BY (a), OVERWRITE true)) FROM x",
        "COPY (SELECT 1) TO '{folder}/x.csv'",
        "EXPORT DATABASE '{folder}/x'",
        "ATTACH '{folder}/x.db'",
        "INSTALL httpfs",
        "LOAD '{secret}'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL enable_logging(storage_path='{folder}')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/x.csv'",
        "DROP TABLE nodes",
        "INSERT INTO nodes SELECT * FROM nodes",
        "SELECT 1; SELECT 2",
        "SELECT * FROM task",
        "SELECT getenv('HOME')",
        "SELECT nonsense",
        "",
        ";",
    ],
)
def test_nothing_but_the_tables_can_be_reached(attack: str, folder: Path) -> None:
    """Files, network, extensions, settings, Python's variables, other statements: a clear error, and no file more."""
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    before = _files(folder.parent)
    sql = attack.format(secret=secret, folder=str(folder).replace("'", "''"), parent=folder.parent)

    with pytest.raises(UsageError, match="SQL: "):
        ask_export(folder, sql)
    assert _files(folder.parent) == before


def _files(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "change",
    [
        "WITH changed AS (DELETE FROM nodes RETURNING *) SELECT count(*) FROM changed",
        "WITH changed AS (INSERT INTO nodes FROM nodes RETURNING *) FROM changed",
        "WITH changed AS (UPDATE nodes SET role = NULL RETURNING *) FROM changed",
    ],
)
def test_nothing_is_changed_in_passing(source: Source, change: str) -> None:
    """A WITH may hold statements that write, and is a SELECT all the same: refused, though it were only a copy."""
    with pytest.raises(UsageError, match="one SELECT"):
        ask_source(source, {}, change)


@pytest.mark.parametrize("end", ["", ";", " ;; ", "; -- é;", " /* ; */ ;", " -- ;", "\n;\n"])
def test_a_statement_ends_as_people_end_them(source: Source, end: str) -> None:
    """Semicolons and comments behind it are no part of it; those in a text are."""
    assert ask_source(source, {}, f"SELECT 'é;' AS a{end}").to_pylist() == [{"a": "é;"}]


def test_the_environment_is_empty(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of the caller's environment is not in the process that answers; neither are the house's modules."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    child = (HOUSE / "query" / "sql_child.py").read_text()
    with pytest.raises(UsageError, match="Permission Error"):
        ask_source(source, {}, "FROM read_text('/proc/self/environ')")

    assert not any(
        f"from {room}" in child or f"import {room}" in child for room in ("crypto", "store", "sync")
    )


def _children() -> list[str]:
    return Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children").read_text().split()


def test_a_process_that_is_never_asked_is_ended() -> None:
    """It is begun before there is a question; where none comes, as on Ctrl-C, it goes with the block."""
    with pytest.raises(KeyboardInterrupt), waiting() as process:
        raise KeyboardInterrupt

    assert -signal.SIGKILL == process.returncode


def test_a_query_out_of_time_is_ended(source: Source) -> None:
    """What would run for hours is stopped by the clock, and its process is gone."""
    started = time.monotonic()
    with pytest.raises(TapesError, match="took longer than 1 seconds"):
        ask_source(
            source, {}, "SELECT sum(a.i * b.i % 7) FROM range(10000000) a(i), range(10000000) b(i)", Limits(1)
        )

    assert time.monotonic() - started < 15
    left = [Path(f"/proc/{child}/cmdline").read_text() for child in _children()]
    assert not any("sql_child" in command for command in left)


def test_a_query_out_of_memory_is_an_error(source: Source) -> None:
    """A sort that does not fit is told as such; nothing spills to disk."""
    with pytest.raises(UsageError, match=r"[Mm]emory"):
        ask_source(
            source,
            {},
            "SELECT list(i) FROM (SELECT i FROM range(100000000) t(i) ORDER BY hash(i))",
            Limits(60, 64),
        )


def test_too_many_rows_are_refused(source: Source) -> None:
    """An answer has an end; the error says how to get one."""
    with pytest.raises(UsageError, match="LIMIT"):
        ask_source(source, {}, "SELECT * FROM range(1000001)")


def test_what_is_no_export_is_said(tmp_path: Path) -> None:
    """A folder without nodes/ is refused with what to do."""
    with pytest.raises(UsageError, match="no parquet export"):
        ask_export(tmp_path, "SELECT 1")


def test_an_export_says_what_it_is(folder: Path) -> None:
    """`_export.json` stands beside the tables; every file repeats it; undated rows are in hive's null partition."""
    said = json.loads((folder / "_export.json").read_text())
    file = next((folder / "nodes").rglob("*.parquet"))
    days = sorted(path.name for path in (folder / "nodes").iterdir())

    assert said["tool"] == "tapes 1"
    assert json.loads(pa.parquet.read_metadata(file).metadata[b"tapes.export"]) == said
    assert days == ["date=2026-02-14", "date=2026-02-15", "date=__HIVE_DEFAULT_PARTITION__"]
