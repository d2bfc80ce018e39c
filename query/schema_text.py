"""`docs/schema.md`, written from the tables themselves: `python -m query.schema_text > docs/schema.md`."""

import sys
from collections.abc import Iterator

from query.tables import EVERY, TableShape

_START = """# Tables for SQL and Parquet

Written by `python -m query.schema_text` from `query/tables.py`; a test holds them together. `tapes sql` answers over these
tables; `tapes export --format parquet` writes `nodes`, `sessions` and, with `--content full`, `messages` and `tool_calls`.
Columns keep name, type and meaning for good; new ones come at the end. Every column may be null unless it says otherwise.
Hashes and ids are lower-case hex, times UTC,
money integer micro-USD (1 000 000 = $1): sum it as an integer or a decimal, never as a float.
"""


def schema_text() -> str:
    """The whole page."""
    return "\n".join([_START, *(line for shape in EVERY for line in _table(shape))])


def _table(shape: TableShape) -> Iterator[str]:
    yield f"## {shape.name}\n\n{shape.about}"
    if shape.dated:
        yield f"In an export partitioned by `date`, the UTC day of `{shape.dated}`."
    yield "\n| column | type | meaning |\n|---|---|---|"
    for column in shape.columns:
        yield f"| `{column.name}` | {column.sql_type} | {column.about} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(schema_text())
