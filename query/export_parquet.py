"""The Parquet export: hive-partitioned tables that DuckDB, Polars, Spark and ClickHouse read alike.

    DIR/_export.json                               what it is (query/records.About); Spark passes over names with _
    DIR/nodes/date=2026-02-14/part-00000.parquet   and sessions/, with content messages/ and tool_calls/

`date` is the UTC day of the table's time; rows without a time are under hive's own name for null. Columns: query/tables.py.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crypto.errors import StoreError, UsageError
from query.answers import Session
from query.export import Content
from query.records import About, about_record
from query.table_rows import Loader, content_batches, node_batches, session_batches
from query.tables import NODES, SESSIONS, TableShape

no_date: Final = "__HIVE_DEFAULT_PARTITION__"  # as Hive and Spark write null
_held_bytes_max: Final = 64 * 1024 * 1024  # rows kept until they are written
_row_group_rows: Final = 122_880  # DuckDB's own: measured best (duckdb.md §4)


def write_parquet(
    loader: Loader, sessions: Sequence[Session], about: About, content: Content, folder: Path
) -> None:
    """Write the dataset to a new folder; it appears whole or not at all.

    UsageError for a folder that exists and is not empty, StoreError for a disk that refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already", hint="name a new folder")
    partial = folder.with_name(f"{folder.name}.{token_hex(4)}.partial")
    try:
        partial.mkdir(mode=0o700)
        _write_all(loader, sessions, about, content, partial)
        partial.rename(folder)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_all(
    loader: Loader, sessions: Sequence[Session], about: About, content: Content, folder: Path
) -> None:
    (folder / "_export.json").write_text(json.dumps(about_record(about), indent=2) + "\n")
    for shape, batches in ((NODES, node_batches(loader, sessions)), (SESSIONS, session_batches(sessions))):
        with _Writing(folder, about) as writing:
            for batch in batches:
                writing.add(shape, batch)
    if content != "none":
        with _Writing(folder, about) as writing:
            for shape, batch in content_batches(loader, sessions):
                writing.add(shape, batch)


@dataclass(slots=True)
class _Writing:
    """Rows on their way to their partitions."""

    folder: Path
    about: About
    held: dict[str, tuple[TableShape, list[pa.RecordBatch]]] = field(default_factory=dict)
    held_bytes: int = 0
    parts: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.flush()

    def add(self, shape: TableShape, batch: pa.RecordBatch) -> None:
        self.held.setdefault(shape.name, (shape, []))[1].append(batch)
        self.held_bytes += batch.nbytes
        if self.held_bytes >= _held_bytes_max:
            self.flush()

    def flush(self) -> None:
        """One file for each partition that has rows."""
        for shape, batches in self.held.values():
            for date, rows in _by_date(pa.Table.from_batches(batches, shape.schema), shape):
                partition = self.folder / shape.name / f"date={date}"
                partition.mkdir(parents=True, exist_ok=True)
                self._write(rows, partition / f"part-{self.parts:05}.parquet")
        self.held, self.held_bytes, self.parts = {}, 0, self.parts + 1

    def _write(self, rows: pa.Table, path: Path) -> None:
        with pq.ParquetWriter(path, rows.schema, compression="zstd", store_schema=False) as writer:
            writer.write_table(rows, row_group_size=_row_group_rows)
            writer.add_key_value_metadata({"tapes.export": json.dumps(about_record(self.about))})


def _by_date(rows: pa.Table, shape: TableShape) -> Iterator[tuple[str, pa.Table]]:
    days = pc.strftime(rows.column(shape.dated or ""), format="%Y-%m-%d")
    for day in sorted(pc.unique(days).to_pylist(), key=lambda day: day or ""):
        chosen = pc.is_null(days) if day is None else pc.fill_null(pc.equal(days, day), fill_value=False)
        yield day or no_date, rows.filter(chosen)
