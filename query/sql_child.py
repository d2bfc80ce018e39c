"""The process in which somebody's SQL runs: a DuckDB of its own, without files, network, keys or time to waste.

Run as a script by query/sql_process.py, isolated (`python -I`), with nothing of the caller's in its environment. In: one line of
JSON, then an Arrow stream per table. Out: one line of JSON, `{}` or `{"error": …}`, then an Arrow stream with the answer. It
imports nothing of the house: what SQL could reach through a hole in the engine is this file.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

_error_chars_max = 2_000
_ONE_SELECT = "one SELECT statement is answered, nothing else"


def main() -> None:
    """Answer one question."""
    task = json.loads(sys.stdin.buffer.readline())
    _no_more_than(task["seconds_max"])
    try:
        answer = _answer(task, sys.stdin.buffer)
    except duckdb.Error as error:
        _out({"error": str(error)[:_error_chars_max]})
        return
    _out({})
    with pa.ipc.new_stream(sys.stdout.buffer, answer.schema) as stream:
        stream.write_table(answer)


def _no_more_than(seconds: int) -> None:
    """Limits of the operating system, for what the engine's own settings miss: no file can be written, no core dumped."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds * 4, seconds * 4))  # the parent's clock ends it earlier


def _answer(task: dict[str, Any], tables: BinaryIO) -> pa.Table:
    database = duckdb.connect(":memory:", config=task["settings"])
    try:
        for name in task["tables"]:
            with pa.ipc.open_stream(tables) as stream:
                database.register("arriving", stream)
                database.execute(f"CREATE TABLE {name} AS FROM arriving")
                database.unregister("arriving")
        for statement in task["views"]:
            database.execute(statement)
        _lock(database, task["folder"])
        statement = _only_select(database, task["sql"])
        relation = _only_read(database, statement)
        answer = relation.limit(task["rows_max"] + 1).to_arrow_table()
        if answer.num_rows > task["rows_max"]:
            raise duckdb.InvalidInputException(f"more than {task['rows_max']} rows: add a LIMIT")
        return answer
    finally:
        database.close()


def _only_select(database: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one SELECT that `sql` is. COPY, ATTACH, SET, PRAGMA and the like are other statements, whatever surrounds them."""
    statements = database.extract_statements(sql)
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise duckdb.InvalidInputException(_ONE_SELECT)
    return _unended(statements[0].query)


def _unended(statement: str) -> str:
    """A statement without the semicolon at its end and what may follow that."""
    data = statement.encode()
    tokens = duckdb.tokenize(statement)
    ends = [at for at, kind in tokens if kind == duckdb.token_type.operator and data[at : at + 1] == b";"]
    return data[: ends[0]].decode() if ends else statement


def _only_read(database: duckdb.DuckDBPyConnection, statement: str) -> duckdb.DuckDBPyRelation:
    """Inside another statement nothing that writes is bound: `WITH x AS (COPY … TO …)` may only stand at the top."""
    try:
        return database.sql(f"FROM ({statement}\n)")
    except duckdb.BinderException as error:
        if "must be at the top level" in str(error):
            raise duckdb.InvalidInputException(_ONE_SELECT) from error
        raise


def _lock(database: duckdb.DuckDBPyConnection, folder: str | None) -> None:
    """From here on the folder of an export, if any, is all there is; and no statement can change that."""
    if folder is not None:
        database.execute("SET allowed_directories = ?", [[str(Path(folder)) + "/"]])
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")


def _out(line: dict[str, str]) -> None:
    sys.stdout.buffer.write(json.dumps(line).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
