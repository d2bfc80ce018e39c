"""The engine is locked: what SQL could otherwise reach, it does not."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from crypto.errors import TapesError
from query.engine import Engine

a_table_in_python = pa.table({"secret": [1]})


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine, closed afterwards."""
    opened = Engine()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "sql",
    [
        "FROM a_table_in_python",
        "FROM read_csv('{file}')",
        "FROM '{file}'",
        "COPY (SELECT 1) TO '{file}'",
        "ATTACH '{file}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET temp_directory = '/tmp'",
    ],
)
def test_nothing_outside_is_reached(engine: Engine, tmp_path: Path, sql: str) -> None:
    """Neither files, nor Python variables, nor extensions, nor the settings that forbid them."""
    file = tmp_path / "outside.csv"
    file.write_text("a,b\n1,2\n")

    with pytest.raises(duckdb.Error):
        engine.all(sql.format(file=file))


def test_too_much_for_its_memory_is_an_error_with_a_hint() -> None:
    """Nothing is spilled to disk: the answer is refused in our words."""
    small = Engine(memory_mib=32)
    try:
        with pytest.raises(TapesError, match="memory") as refused:
            small.all("SELECT list(range) FROM range(20000000)")
    finally:
        small.close()

    assert refused.value.hint


def test_a_registered_table_is_gone_after_its_block(engine: Engine) -> None:
    """A name stands for a table only as long as its block lasts."""
    with engine.table("lent", a_table_in_python):
        assert [(1,)] == engine.all("FROM lent")

    with pytest.raises(duckdb.CatalogException):
        engine.all("FROM lent")
