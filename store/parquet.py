"""Parquet as a stored format: one table in, bytes out, and back only if it is exactly the table expected.

The bytes come from a seal that opened, so their author is a member; a member may still be hostile. Names, types and
nullability must equal the schema; rows and sizes are bounded before values are spread out in memory. What pyarrow throws becomes
FormatBroken.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crypto.errors import FormatBroken
from store.limits import zstd_level_push

# ValueError: text that is not UTF-8. OSError: of bytes in memory, it is only ever "does not parse".
_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A stored table's fixed choices. `dictionary` names the columns with few distinct values."""

    schema: pa.Schema
    row_group_rows: int
    dictionary: tuple[str, ...]
    rows_max: int
    raw_bytes_max: int  # all columns, uncompressed, dictionaries spread out
    metadata_key: bytes = b""


def write_table(table: pa.Table, form: TableFormat, metadata: bytes = b"") -> bytes:
    """The table as Parquet, zstd, with statistics. ValueError for a table its own reader would refuse."""
    if table.schema != form.schema or table.num_rows > form.rows_max or table.nbytes > form.raw_bytes_max:
        raise ValueError(f"{table.num_rows} rows of {table.nbytes} bytes are not one stored table")
    sink = io.BytesIO()
    # store_schema would add a second, Arrow-only description that a reader has to reconcile with the first.
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": zstd_level_push,
        "store_schema": False,
    }
    with pq.ParquetWriter(sink, form.schema, use_dictionary=list(form.dictionary), **options) as writer:
        writer.write_table(table, row_group_size=form.row_group_rows)
        if form.metadata_key:
            writer.add_key_value_metadata({form.metadata_key: metadata})
    return sink.getvalue()


def read_table(data: bytes, form: TableFormat, name: str) -> tuple[pa.Table, bytes]:
    """The table and the value of its metadata key (empty if there is none); FormatBroken for anything else, named `name`."""
    texts = [field.name for field in form.schema if pa.types.is_string(field.type)]
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            _check_claims(file, form, name)
            about = file.metadata
        # Text stays dictionary-coded until its spread-out size is known: a megabyte string named by 50,000 rows is a bomb.
        with pq.ParquetFile(pa.BufferReader(data), metadata=about, read_dictionary=texts) as file:
            coded = file.read()
        coded.validate(full=True)
        _check_spread(coded, form, texts, name)
        return coded.cast(form.schema), (about.metadata or {}).get(form.metadata_key, b"")
    except _BROKEN as broken:
        raise FormatBroken(name, f"is no readable table ({type(broken).__name__})") from None


def read_metadata(data: bytes, form: TableFormat, name: str) -> bytes:
    """The value of the metadata key of what `read_table` took before; FormatBroken for no table at all."""
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            value: bytes = (file.metadata.metadata or {}).get(form.metadata_key, b"")
    except _BROKEN as broken:
        raise FormatBroken(name, f"is no readable table ({type(broken).__name__})") from None
    return value


def read_columns(data: bytes, columns: Sequence[str], name: str) -> pa.Table:
    """Some columns of what `read_table` took before, in its order of rows. Not judged again; FormatBroken for no table at all."""
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            return file.read(list(columns), use_threads=False)
    except _BROKEN as broken:
        raise FormatBroken(name, f"is no readable table ({type(broken).__name__})") from None


def _check_claims(file: pq.ParquetFile, form: TableFormat, name: str) -> None:
    """What the footer says, before a single page is read."""
    if not file.schema_arrow.equals(form.schema):
        raise FormatBroken(name, "has other columns or types than its format")
    about = file.metadata
    raw_bytes = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    if about.num_rows > form.rows_max or raw_bytes > form.raw_bytes_max:
        raise FormatBroken(name, f"{about.num_rows} rows of {raw_bytes} bytes are over the limit")


def _check_spread(coded: pa.Table, form: TableFormat, texts: list[str], name: str) -> None:
    """What came out of the pages; the footer may have lied."""
    spread = sum(_spread_bytes(chunk) for text in texts for chunk in coded.column(text).chunks)
    if coded.num_rows > form.rows_max or spread > form.raw_bytes_max:
        raise FormatBroken(name, f"{coded.num_rows} rows of {spread} bytes of text are over the limit")


def _spread_bytes(chunk: pa.DictionaryArray) -> int:
    import pyarrow.compute as pc  # noqa: PLC0415 - slow to import, and only stored tables are read by it

    lengths = pc.take(pc.binary_length(chunk.dictionary).cast(pa.int64()), chunk.indices)
    return pc.sum(lengths).as_py() or 0
