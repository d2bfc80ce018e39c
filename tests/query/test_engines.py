"""The Parquet export in other engines: the dashboard's questions give equal answers everywhere."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from query.export_parquet import write_parquet
from query.records import About
from query.sessions import list_sessions
from query.source import open_source
from query.table_rows import Loader
from store.eras import make_node
from store.local import LocalStore
from store.nodes import Cost, Node, Source, Usage

ABOUT = About("tapes 1", None, (), "2026-02-14T10:00:00Z", None)
PROJECTS = (None, "alpha", "bücher/日本", "it's")
MODELS = ("m-1", "m-2", "")
BY_MODEL = """
SELECT model, count(*) AS nodes, count(DISTINCT conversation) AS conversations, sum(output) AS output,
    sum(cost_usd_micro) AS cost, min(created_at) AS first, max(created_at) AS last
FROM nodes WHERE counted GROUP BY model ORDER BY model NULLS FIRST
"""
BY_DAY = """
SELECT date, project, count(*) AS nodes, sum(input_uncached + cache_read + cache_write) AS input, sum(tool_calls) AS calls
FROM nodes WHERE counted GROUP BY date, project ORDER BY date NULLS FIRST, project NULLS FIRST
"""
_CLICKHOUSE_NODES = """
(SELECT *, toString(toDate(created_at, 'UTC')) AS date FROM file('FOLDER/nodes/**/*.parquet', Parquet))
"""
QUESTIONS = (BY_MODEL, BY_DAY)


def talk(chance: random.Random, number: int) -> Iterator[Node]:
    """A conversation over midnight and month end, with unpriced and undated turns."""
    parent: Node | None = None
    when = datetime(2026, 2, 28, 20, tzinfo=UTC) + timedelta(hours=chance.randrange(9), microseconds=number)
    project = chance.choice(PROJECTS)
    for turn in range(8):
        when += timedelta(minutes=chance.randrange(90))
        parent = make_node(
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": f"{number} {turn}"}],
                "model": chance.choice(MODELS),
                "provider": "p",
            },
            parent.hash if parent else None,
            usage=Usage(number, turn, chance.randrange(10**6), chance.randrange(10**6)),
            cost=Cost(chance.randrange(10**9), "computed")
            if chance.random() < 0.8
            else Cost(None, "unpriced"),
            project=project,
            created_at=when.isoformat(timespec="microseconds").replace("+00:00", "Z")
            if chance.random() < 0.9
            else None,
            source=Source("test", usage_id=f"call {number} {turn % 7}"),
        )
        yield parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of forty conversations."""
    chance, out = random.Random(7), tmp_path_factory.mktemp("export") / "out"
    with LocalStore.open(out.parent / "tapes.db") as local:
        for number in range(40):
            local.add(talk(chance, number))
        with open_source(local, None) as source:
            write_parquet(Loader(source), list_sessions(source).sessions, ABOUT, "full", out)
    return out


def plain(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows as every engine can have them: whole numbers, dates as text, times in UTC."""
    return [tuple(_plain(value) for value in row) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if value is None or isinstance(value, str | int):
        return value
    return int(value) if isinstance(value, Decimal) else str(value)


def of_duckdb(folder: Path, question: str) -> list[tuple[Any, ...]]:
    """The answer of a plain DuckDB, as docs/analysts.md shows it."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        files = f"{folder}/nodes/**/*.parquet"
        database.execute(
            f"CREATE VIEW nodes AS FROM read_parquet('{files}', hive_partitioning = true, hive_types_autocast = false)"
        )
        return plain([tuple(row.values()) for row in database.sql(question).to_arrow_table().to_pylist()])


def test_polars_agrees(folder: Path) -> None:
    """Polars reads the dataset as it is, null partition included, and counts what DuckDB counts."""
    nodes = pl.scan_parquet(folder / "nodes", hive_partitioning=True)
    with pl.SQLContext(nodes=nodes) as context:
        for question in QUESTIONS:
            answer = context.execute(question, eager=True)
            assert plain(answer.rows()) == of_duckdb(folder, question)


@pytest.mark.long
def test_clickhouse_agrees(folder: Path) -> None:
    """ClickHouse reads the same files and counts the same."""
    chdb = pytest.importorskip("chdb")
    # It would take the null partition for a date: the day comes from the time instead (docs/analysts.md).
    nodes = _CLICKHOUSE_NODES.replace("FOLDER", str(folder))
    for question in QUESTIONS:
        over = question.replace("FROM nodes", "FROM " + nodes)
        answer = chdb.query(f"{over} SETTINGS use_hive_partitioning = 0", "ArrowTable")
        assert plain([tuple(row.values()) for row in answer.to_pylist()]) == of_duckdb(folder, question)


@pytest.mark.long
def test_spark_agrees(folder: Path) -> None:
    """Spark reads the same folder and counts the same; partition values stay text."""
    sql = pytest.importorskip("pyspark.sql")
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    try:
        spark.read.parquet(str(folder / "nodes")).createOrReplaceTempView("nodes")
        for question in QUESTIONS:
            rows = [tuple(row) for row in spark.sql(question).collect()]
            assert plain(rows) == of_duckdb(folder, question)
    finally:
        spark.stop()
