"""Writing what query/kept_catalog.py reads: a source's rows, once judged, and all that they fold into."""

import io
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crypto.sealing import SealKey
from query.basis import Basis
from query.components import components_of
from query.engine import Engine
from query.forest import Numbers, nowhere, numbers_of
from query.intake import own_arrival
from query.kept_catalog import NODES, SEGMENTS, group_rows, key_of
from query.path_table import Paths
from query.rollup import make_rollup
from query.sealed_sections import SectionWriter, writing
from query.source import Source
from store.manifest_schema import DICTIONARY_COLUMNS, MANIFEST_SCHEMA

_rows_at_once: Final = 8 * group_rows
_PLAIN: Final = frozenset({"hash", "parent", "frame_sha256"})  # noise: no compressor shortens it
_CODED: Final = frozenset({*DICTIONARY_COLUMNS, "conversation", "space"} - {"usage_id"})
_OWN_NEXT: Final = "SELECT greatest(coalesce(max(arrival) + 1, 0), ?) FROM rows"
_SOME: Final = "FROM rows WHERE id >= ? AND id < ? ORDER BY id"
_WITH_COMPONENT: Final = (
    "SELECT {table}.*, component FROM {table} JOIN rows USING (hash) JOIN components USING (id)"
)
_DANGLING: Final = """
SELECT parent, component FROM rows JOIN components USING (id) WHERE parent IS NOT NULL AND waits
UNION ALL
SELECT losers.parent, component FROM losers JOIN rows USING (hash) JOIN components USING (id) WHERE losers.parent IS NOT NULL
"""


def keep(path: Path, key: SealKey, source: Source, basis: Basis) -> None:
    """Keep a source (its `rows`, `losers`, `elsewhere`) in place of what was kept. StoreError when the disk refuses.

    A kill leaves the former file.
    """
    engine, paths = source.engine, source.paths()
    component = components_of(engine, paths.forest)
    make_rollup(engine)
    with writing(path, key) as out:
        rows = _write_rows(out, engine)
        _write_components(out, engine, numbers_of(paths.parents), component)
        _write_paths(out, paths, component)
        _write(out, "usage", engine.arrow("FROM usage_slots"))
        forest = paths.forest
        of_nodes: tuple[Any, ...] = (paths.parents, forest.segment, forest.position, component)
        for name, numbers in zip(NODES, of_nodes, strict=True):
            _write_bytes(out, name, numbers.tobytes())
        for name in SEGMENTS:
            _write_bytes(out, name, getattr(forest, name).tobytes())
        [(own_next,)] = engine.all(_OWN_NEXT, [own_arrival])
        out.end({"id": token_hex(16), "rows": rows, "own_next": own_next, **asdict(basis)})


def _write_rows(out: SectionWriter, engine: Engine) -> int:
    """The rows and what is looked up of each; their number."""
    said, keys = io.BytesIO(), io.BytesIO()
    [(count,)] = engine.all("SELECT count(*) FROM rows")
    schema = _narrow(engine.arrow("FROM rows LIMIT 0").schema)
    with out.section("rows") as sink, _parquet(sink, schema) as writer:
        for first in range(0, count, _rows_at_once):
            some = engine.arrow(_SOME, [first, first + _rows_at_once]).cast(schema)
            said.write((some.column("kind").to_numpy() == "message").astype(np.uint8).tobytes())
            keys.write(key_of(some.column("hash")).tobytes())
            writer.write_table(some, row_group_size=group_rows)
    _write_bytes(out, "said", said.getvalue())
    _write_bytes(out, "keys", keys.getvalue())
    return int(count)


def _write_components(out: SectionWriter, engine: Engine, parents: Numbers, component: Numbers) -> None:
    """What is looked at to tell which components new rows touch."""
    columns = {
        "id": pa.array(np.arange(len(component)), pa.int64()),
        "component": pa.array(component, pa.int32()),
        "waits": pa.array(parents == nowhere),
    }
    with engine.table("components", pa.table(columns)):
        for name in ("losers", "elsewhere"):
            _write(out, name, engine.arrow(_WITH_COMPONENT.format(table=name)))
        dangling = engine.arrow(_DANGLING)
    waiting: NDArray[Any] = np.empty(dangling.num_rows, [("key", np.uint64), ("component", np.int64)])
    waiting["key"], waiting["component"] = (
        key_of(dangling.column("parent")),
        dangling.column("component").to_numpy(),
    )
    _write_bytes(out, "dangling", waiting.tobytes())


def _write_paths(out: SectionWriter, paths: Paths, component: Numbers) -> None:
    heads = numbers_of(paths.forest.leaf)[paths.known.segments]
    column = pa.array(component[heads], pa.int32())
    _write(out, "paths", paths.known.table.append_column("component", column))


def _write(out: SectionWriter, name: str, table: pa.Table) -> None:
    with out.section(name) as sink, _parquet(sink, _narrow(table.schema)) as writer:
        writer.write_table(table.cast(_narrow(table.schema)))


def _write_bytes(out: SectionWriter, name: str, data: bytes) -> None:
    with out.section(name) as sink:
        sink.write(data)


def _parquet(sink: io.RawIOBase, schema: pa.Schema) -> pq.ParquetWriter:
    squeezed = [name for name in schema.names if name not in _PLAIN]
    return pq.ParquetWriter(
        sink,
        schema,
        use_dictionary=sorted(_CODED.intersection(schema.names)),
        compression={name: "zstd" if name in squeezed else "none" for name in schema.names},
        compression_level=dict.fromkeys(squeezed, 1),
        store_schema=False,
    )


def _narrow(schema: pa.Schema) -> pa.Schema:
    """As DuckDB gives columns, with digests of a manifest's own types: a length before each would be an eighth more."""
    digests = {field.name for field in MANIFEST_SCHEMA if pa.types.is_fixed_size_binary(field.type)}
    narrow = [
        pa.field(field.name, pa.binary(32))
        if field.name in digests and pa.types.is_binary(field.type)
        else field
        for field in schema
    ]
    return pa.schema(narrow)
