"""`tapes sql`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts.validators
from cyclopts import Parameter
from pyarrow import Table

from crypto.errors import UsageError
from query.sql import Limits, ask_export, ask_source, memory_mib_default, seconds_max_default
from query.sql_output import (
    answer_rows,
    cell,
    write_answer_csv,
    write_answer_json,
    write_answer_parquet,
)
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.names import names_of
from tapes.commands.output_file import writing
from tapes.render.tables import Column, plain_lines, terminal_table

_WRITERS = {"csv": write_answer_csv, "json": write_answer_json, "parquet": write_answer_parquet}


def sql(
    query: Annotated[
        str,
        Parameter(
            help="One SELECT (docs/schema.md has the tables); - reads it from stdin.",
            allow_leading_hyphen=True,
        ),
    ],
    /,
    *,
    format_: Annotated[
        Literal["table", "csv", "json", "parquet"], Parameter(name="--format", help="How to answer.")
    ] = "table",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="File; else stdout.")] = None,
    over: Annotated[Path | None, Parameter(help="Ask a parquet export instead of this home.")] = None,
    timeout: Annotated[
        int, Parameter(help="Seconds.", validator=cyclopts.validators.Number(gte=1, lte=86_400))
    ] = seconds_max_default,
    memory: Annotated[
        int, Parameter(help="MiB.", validator=cyclopts.validators.Number(gte=64))
    ] = memory_mib_default,
    flags: Flags = no_flags,
) -> int:
    """Ask with SQL, read-only; nothing but the tables can be reached."""
    run = begin(flags)
    if format_ == "parquet" and output is None:
        raise UsageError("parquet is nothing for a terminal", hint="-o FILE")
    text = sys.stdin.read() if query == "-" else query
    limits = Limits(timeout, memory)
    answer = ask_export(over, text, limits) if over is not None else _ask_home(run, text, limits)
    columns, rows = answer.column_names, answer_rows(answer)
    if flags.json:
        run.out.answer("sql", {"columns": columns, "rows": list(rows)})
    elif format_ != "table":
        with writing(output) as out:
            _WRITERS[format_](answer, out)
    elif output is not None:
        raise UsageError("a table is for reading", hint="--format csv, json or parquet with -o")
    else:
        _show(run, columns, [[cell(value) for value in row] for row in rows])
    return 0


def _ask_home(run: Run, text: str, limits: Limits) -> Table:
    with Desk(run) as desk:
        source = desk.source()
        return ask_source(source, names_of(source.client), text, limits)


def _show(run: Run, names: list[str], rows: list[list[str]]) -> None:
    columns = [Column(name, flexible=True) for name in names]
    if run.out.stdout.is_terminal:
        run.out.show(terminal_table(columns, rows, run.out.stdout.width))
    else:
        run.out.lines(plain_lines(columns, [names, *rows]))
