"""An answer's rows as CSV, JSON or Parquet."""

import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from store.nodes import Json


def answer_rows(answer: pa.Table) -> Iterator[list[Json]]:
    """The rows as JSON values: times in ISO 8601, exact decimals as text, bytes as hex, no infinities."""
    for batch in answer.to_batches():
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield [json_value(value) for value in row]


def write_answer_csv(answer: pa.Table, out: BinaryIO) -> None:
    """RFC 4180 with a heading, UTF-8, LF; null is an empty cell."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(answer.column_names)
    writer.writerows([cell(value) for value in row] for row in answer_rows(answer))
    text.detach()


def write_answer_json(answer: pa.Table, out: BinaryIO) -> None:
    """An array of objects, one per line; of two columns of one name the last is shown."""
    out.write(b"[")
    for number, row in enumerate(answer_rows(answer)):
        fields = dict(zip(answer.column_names, row, strict=True))
        out.write((",\n" if number else "\n").encode() + json.dumps(fields).encode())
    out.write(b"\n]\n")


def write_answer_parquet(answer: pa.Table, out: BinaryIO) -> None:
    """One Parquet file, zstd."""
    pq.write_table(answer, out, compression="zstd", store_schema=False)


def cell(value: Json) -> str:
    """A value as text; lists and structs as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def json_value(value: Any) -> Json:
    """What Arrow gives, as JSON has it."""
    match value:
        case datetime() | date() | time():
            shown: Json = value.isoformat()
        case float():
            shown = value if math.isfinite(value) else None
        case Decimal() | timedelta():
            shown = str(value)
        case bytes():
            shown = value.hex()
        case dict():
            shown = {str(name): json_value(inner) for name, inner in value.items()}
        case list() | tuple():
            shown = [json_value(inner) for inner in value]
        case _:
            shown = value
    return shown
