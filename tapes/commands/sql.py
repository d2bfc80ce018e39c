"""`tapes sql`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tapes.terminal import terminal

Format = Literal["table", "csv", "json", "parquet"]
Ask = Callable[[str, Limits], Table]
_WRITERS = {"csv": write_answer_csv, "json": write_answer_json, "parquet": write_answer_parquet}


def sql(
    query: Annotated[
        str | None,
        Parameter(
            help="One SELECT (docs/schema.md has the tables), - from stdin. Without: a shell, or many from a pipe.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    /,
    *,
    format_: Annotated[Format, Parameter(name="--format", help="How to answer.")] = "table",
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
        raise UsageError("a parquet answer is a file", hint="-o FILE")
    if format_ == "table" and output is not None:
        raise UsageError("a table is for reading", hint="--format csv, json or parquet with -o")
    asking = _asking_export(over) if over is not None else _asking_home(run)
    with asking as ask:

        def answer(text: str) -> None:
            _answer(run, ask(text, Limits(timeout, memory)), format_, output)

        if query is not None:
            answer(sys.stdin.read() if query == "-" else query)
        else:
            _answer_many(run, answer, output)
    return 0


def _answer_many(run: Run, answer: Callable[[str], None], output: Path | None) -> None:
    """Statements from the keyboard, or from a pipe up to the first that cannot be answered."""
    from tapes.sql_shell import run_shell, statements  # noqa: PLC0415 - one question needs no line editor

    if output is not None:
        raise UsageError("-o takes the answer to one question", hint='tapes sql "SELECT …" -o FILE')
    if sys.stdin is not None and not sys.stdin.isatty():
        asked = False
        for statement in statements(sys.stdin):
            asked = True
            answer(statement)
        if not asked:
            raise UsageError("no SQL came in", hint='tapes sql "SELECT …", or statements on stdin')
    elif run.flags.no_input or run.flags.json:
        raise UsageError("the shell is for somebody at a terminal", hint='tapes sql "SELECT …"')
    else:
        with terminal(
            plain=run.out.stderr.no_color, command="sql", instead='tapes sql "SELECT …"'
        ) as channels:
            run_shell(run.out, channels, run.home.path / "sql_history", answer)


def _answer(run: Run, answer: Table, format_: Format, output: Path | None) -> None:
    columns, rows = answer.column_names, answer_rows(answer)
    if run.flags.json:
        run.out.answer("sql", {"columns": columns, "rows": list(rows)})
    elif format_ != "table":
        with writing(output) as out:
            _WRITERS[format_](answer, out)
    else:
        _show(run, columns, [[cell(value) for value in row] for row in rows])


@contextmanager
def _asking_home(run: Run) -> Iterator[Ask]:
    """The home's sessions as they are now: a shell that stays open answers from what was there when it began."""
    with Desk(run) as desk:
        source = desk.source()
        names = names_of(source.client)
        yield lambda text, limits: ask_source(source, names, text, limits)


@contextmanager
def _asking_export(folder: Path) -> Iterator[Ask]:
    yield lambda text, limits: ask_export(folder, text, limits)


def _show(run: Run, names: list[str], rows: list[list[str]]) -> None:
    columns = [Column(name, flexible=True) for name in names]
    if run.out.stdout.is_terminal:
        run.out.show(terminal_table(columns, rows, run.out.stdout.width))
    else:
        run.out.lines(plain_lines(columns, [names, *rows]))
