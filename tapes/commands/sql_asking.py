"""Asking with SQL: over this home's sessions or an export, once or many times, answered as a table or a file."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyarrow import Table

from crypto.errors import UsageError
from query.sealed_sections import SectionsBroken
from query.source import Source
from query.sql import ask_export, ask_source
from query.sql_output import (
    answer_rows,
    cell,
    write_answer_csv,
    write_answer_json,
    write_answer_parquet,
)
from query.sql_process import Limits, Process
from tapes.commands.at_desk import say_damaged
from tapes.commands.context import Run
from tapes.commands.desk import Desk
from tapes.commands.names import names_of
from tapes.commands.output_file import writing
from tapes.render.tables import Column, plain_lines, terminal_table
from tapes.terminal import terminal

_WRITERS = {"csv": write_answer_csv, "json": write_answer_json, "parquet": write_answer_parquet}


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask, and how to answer."""

    run: Run
    format: Literal["table", "csv", "json", "parquet"]
    output: Path | None  # stdout
    over: Path | None  # an export instead of this home
    limits: Limits
    process: Process | None  # one that waits for a question

    @contextmanager
    def opened(self) -> Iterator[Callable[[str], Table]]:
        """What answers. The home's sessions are those of now: a shell that stays open answers from what was there at first."""
        limits, process, over = self.limits, self.process, self.over
        if over is not None:
            yield lambda text: ask_export(over, text, limits, process)
            return
        with ExitStack() as closing:
            there = self._open(closing)

            def ask(text: str) -> Table:
                nonlocal there
                try:
                    return ask_source(*there, text, limits, process)
                except SectionsBroken as broken:
                    say_damaged(self.run, broken)
                there = self._open(closing)
                return ask_source(*there, text, limits)  # the process that waited has some of the tables

            yield ask

    def _open(self, closing: ExitStack) -> tuple[Source, dict[str, str]]:
        """The home's sessions, and the names of members by id."""
        source = closing.enter_context(Desk(self.run)).source()
        return source, names_of(source.client)


def ask_one(asking: Asking, query: str) -> None:
    """One statement; - is what stdin says."""
    with asking.opened() as ask:
        _answer(asking, ask(_undotted(sys.stdin.read() if query == "-" else query)))


def ask_many(asking: Asking) -> None:
    """Statements from the keyboard, or from a pipe up to the first that cannot be answered."""
    with asking.opened() as ask:
        _answer_many(asking, lambda text: _answer(asking, ask(_undotted(text))))


def _undotted(text: str) -> str:
    """The SQL; what is a word of the shell's would be a riddle of the parser's."""
    if text.lstrip().startswith("."):
        raise UsageError("words with a dot are for the shell", hint="SHOW TABLES, or DESCRIBE nodes")
    return text


def _answer_many(asking: Asking, answer: Callable[[str], None]) -> None:
    from tapes.sql_shell import run_shell, statements  # noqa: PLC0415 - one question needs no line editor

    run = asking.run
    if asking.output is not None:
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


def _answer(asking: Asking, answer: Table) -> None:
    run = asking.run
    columns, rows = answer.column_names, answer_rows(answer)
    if run.flags.json:
        run.out.answer("sql", {"columns": columns, "rows": list(rows)})
    elif asking.format != "table":
        with writing(asking.output) as out:
            _WRITERS[asking.format](answer, out)
    else:
        _show(run, columns, [[cell(value) for value in row] for row in rows])


def _show(run: Run, names: list[str], rows: list[list[str]]) -> None:
    columns = [Column(name, flexible=True) for name in names]
    if run.out.stdout.is_terminal:
        run.out.show(terminal_table(columns, rows, run.out.stdout.width))
    else:
        run.out.lines(plain_lines(columns, [names, *rows]))
