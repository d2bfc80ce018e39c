"""`tapes sql`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import cyclopts.validators
from cyclopts import Parameter

from crypto.errors import UsageError
from query.sql_process import Limits, memory_mib_default, seconds_max_default, waiting
from tapes.commands.context import Flags, begin, no_flags

Format = Literal["table", "csv", "json", "parquet"]


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
    # It loads while this process loads what makes the tables. A shell, where people think, begins one for each question.
    with nullcontext() if query is None else waiting() as process:
        from tapes.commands.sql_asking import Asking, ask_many, ask_one  # noqa: PLC0415 - so that the other process begins first

        asking = Asking(run, format_, output, over, Limits(timeout, memory), process)
        if query is None:
            ask_many(asking)
        else:
            ask_one(asking, query)
    return 0
