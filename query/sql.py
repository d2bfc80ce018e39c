"""SQL that somebody wrote, over the tables of query/tables.py: read-only, in a process that can reach nothing else.

Nothing of a session ever becomes SQL: content, labels and names are rows. What the asker writes is only ever one SELECT.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa

from crypto.errors import UsageError
from query.answers import Session
from query.engine import threads
from query.sessions import list_sessions
from query.source import Source
from query.sql_process import Limits, Process, asked_within, default_limits, waiting
from query.table_rows import Loader, content_batches, node_batches, rows_batch, session_batches
from query.tables import (
    EXPORTED,
    MEMBERS,
    MESSAGES,
    NODES,
    SESSIONS,
    TOOL_CALLS,
    USAGE_DAILY,
    USAGE_DAILY_SQL,
    WITH_CONTENT,
    TableShape,
)

rows_max: Final = 1_000_000  # of an answer
sql_chars_max: Final = 1_000_000
_ASKS_CONTENT: Final = re.compile("|".join(shape.name for shape in WITH_CONTENT), re.IGNORECASE)
_ASKS_SHAPE: Final = re.compile(r"\s*(?:desc|describe|show)\s+(?:table\s+)?\w+\s*;?\s*", re.IGNORECASE)
_SETTINGS: Final = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "threads": str(threads),
    "temp_directory": "",
}
_GLOB: Final = re.compile(r"[*?\[]")
_MEMBERS_VIEW: Final = """
CREATE VIEW members AS SELECT DISTINCT member AS id, CAST(NULL AS VARCHAR) AS name FROM nodes WHERE member IS NOT NULL
"""
_USAGE_VIEW: Final = f"CREATE VIEW {USAGE_DAILY.name} AS {USAGE_DAILY_SQL}"


def ask_source(
    source: Source,
    names: dict[str, str],
    sql: str,
    limits: Limits = default_limits,
    process: Process | None = None,
) -> pa.Table:
    """The answer over everything a source has; `names`: what members call themselves, by hex id; `process`: one that waits.

    UsageError for SQL that is not one SELECT or does not fit the tables, TapesError when it takes too long or too much memory.
    Turns are read (from the bucket, if need be) only where the words `messages` or `tool_calls` stand in the SQL.
    """
    sessions = list_sessions(source).sessions
    loader = Loader(source)
    people = [{"id": key, "name": name} for key, name in sorted(names.items())]
    tables: dict[TableShape, Iterable[pa.RecordBatch]] = {
        NODES: node_batches(loader, sessions, in_order=False),
        SESSIONS: session_batches(sessions),
        MEMBERS: [rows_batch(MEMBERS, people)],
    }
    views = [_USAGE_VIEW]
    if _ASKS_CONTENT.search(sql) and not _ASKS_SHAPE.fullmatch(sql):
        calls: list[pa.RecordBatch] = []
        tables |= {MESSAGES: _messages(loader, sessions, calls), TOOL_CALLS: calls}
    else:
        views += map(_unread_view, WITH_CONTENT)
    return _ask(sql, limits, tables, views, None, process)


def _unread_view(shape: TableShape) -> str:
    """A table that is listed and described, and says so where it is read after all: empty it would pass for an answer."""
    columns = ", ".join(f"CAST(NULL AS {column.sql_type}) AS {column.name}" for column in shape.columns)
    why = f"name {shape.name} in the SQL: what was said is read only for a question that does"
    return f"CREATE VIEW {shape.name} AS SELECT {columns} WHERE error('{why}') IS NULL"


def _messages(
    loader: Loader, sessions: Sequence[Session], calls: list[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Rows of MESSAGES; those of TOOL_CALLS, met on the way, are kept in `calls`: turns are read once."""
    for shape, batch in content_batches(loader, sessions):
        if shape is MESSAGES:
            yield batch
        else:
            calls.append(batch)


def ask_export(
    folder: Path, sql: str, limits: Limits = default_limits, process: Process | None = None
) -> pa.Table:
    """The answer over a Parquet export (query/export_parquet.py); errors as `ask_source`. Only that folder is read."""
    whole = folder.resolve()
    there = [shape for shape in EXPORTED if (whole / shape.name).is_dir()]
    if NODES not in there:
        raise UsageError(
            f"{folder} is no parquet export", hint="tapes export --all --format parquet -o FOLDER"
        )
    if _GLOB.search(str(whole)):
        raise UsageError(
            f"{folder} has one of *?[ in its name", hint="rename it: DuckDB takes them for patterns"
        )
    views = [*(_view_over(whole, shape) for shape in there), _MEMBERS_VIEW, _USAGE_VIEW]
    return _ask(sql, limits, {}, views, whole, process)


def _view_over(folder: Path, shape: TableShape) -> str:
    columns = ", ".join(column.name for column in shape.columns)
    files = str(folder / shape.name / "**" / "*.parquet").replace("'", "''")
    return (
        f"CREATE VIEW {shape.name} AS SELECT {columns} FROM read_parquet('{files}', hive_partitioning = true)"  # noqa: S608 - quoted
    )


def _ask(
    sql: str,
    limits: Limits,
    tables: Mapping[TableShape, Iterable[pa.RecordBatch]],
    views: Sequence[str],
    folder: Path | None,
    process: Process | None,
) -> pa.Table:
    if len(sql) > sql_chars_max:
        raise UsageError(f"the SQL has {len(sql)} characters; {sql_chars_max} are the most")
    task = {
        "sql": sql,
        "tables": [shape.name for shape in tables],
        "views": list(views),
        "folder": str(folder) if folder else None,
        "rows_max": rows_max,
        "seconds_max": limits.seconds,
        "settings": {**_SETTINGS, "memory_limit": f"{limits.memory_mib}MiB"},
    }
    with (
        nullcontext(process) if process else waiting() as child,
        asked_within(child, limits.seconds) as pipes,
    ):
        try:
            with suppress(BrokenPipeError):  # it ended early: what it says comes next
                _send(pipes.stdin, task, tables)
            return _received(pipes.stdout)
        except pa.ArrowInvalid as cut:
            raise EOFError from cut


def _send(
    pipe: IO[bytes], task: dict[str, Any], tables: Mapping[TableShape, Iterable[pa.RecordBatch]]
) -> None:
    pipe.write(json.dumps(task).encode() + b"\n")
    for shape, batches in tables.items():
        with pa.ipc.new_stream(pipe, shape.schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
    pipe.close()


def _received(pipe: IO[bytes]) -> pa.Table:
    line = pipe.readline()
    if not line:
        raise EOFError
    if "error" in (said := json.loads(line)):
        raise UsageError(
            f"SQL: {said['error']}", hint="SHOW TABLES, DESCRIBE nodes; docs/schema.md says what they mean"
        )
    with pa.ipc.open_stream(pipe) as stream:
        return stream.read_all()
