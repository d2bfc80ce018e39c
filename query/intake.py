"""Rows on their way in: from manifests and the local store into `every_row`, of which query/rules.py makes one row per node."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from query.engine import Engine
from query.rules import JUDGING
from store.manifest_schema import MANIFEST_SCHEMA
from sync.replica import PendingManifest

_batch_rows: Final = 100_000  # rows handed to DuckDB at once: thousands of one-row manifests cost few inserts
LOADED: Final = [name for name in MANIFEST_SCHEMA.names if name not in {"member", "device", "opening"}]
RAW: Final = (*LOADED, "origin", "arrival")  # the columns of `every_row`
# Rows arrive in log order, and within a slot as its manifests have them; own ones after all others. A row keeps its place
# whatever comes in later, before it or behind.
slot_rows_max: Final = (
    1 << 30
)  # a commit of 1 MiB names at most some ten thousand manifests of manifest_rows_max
own_arrival: Final = 1 << 62
_ORIGINS: Final = pa.schema(
    [
        ("origin", pa.int32()),
        ("seq", pa.int64()),
        ("team", pa.bool_()),
        ("member", pa.binary()),
        ("device", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says what a run of rows says: a commit's author, or (`seq` None) this device. Ids are 32 bytes.

    They are those of the signed commit, never a manifest's columns: nobody may put words into another's mouth.
    """

    member: bytes | None = None  # None: a home without an identity
    device: bytes | None = None
    seq: int | None = None
    team: bool = False  # committed to the team space, not to a private one
    manifest: PendingManifest | None = None


Batch = tuple[Origin, pa.Table]


class Tagging:
    """Notes where rows come from: gives each batch an origin's number, and each row its arrival."""

    def __init__(self, origins: list[Origin], own_from: int = own_arrival) -> None:
        """Adds to `origins`. `own_from`: the arrival of the first own row."""
        self._origins, self._own_from = origins, own_from
        self._seq: int | None = -1
        self._next = 0

    def tagged(self, origin: Origin, table: pa.Table) -> pa.Table:
        """A manifest's rows with the columns RAW. Slots come in their order, own rows last."""
        if origin.seq != self._seq:
            self._seq = origin.seq
            self._next = self._own_from if origin.seq is None else origin.seq * slot_rows_max
        tagged = _tagged(table, len(self._origins), self._next)
        self._origins.append(origin)
        self._next += table.num_rows
        return tagged


class Intake:
    """Fills `every_row`: first what commits say, then this device's own; then `judge`."""

    def __init__(self, engine: Engine, origins: list[Origin], own_from: int = own_arrival) -> None:
        self._engine, self._origins, self._tagging = engine, origins, Tagging(origins, own_from)
        self._insert("CREATE TABLE every_row AS FROM batch", [no_rows()])

    def committed(self, batches: Iterable[Batch]) -> None:
        """Take in what commits say, in log order."""
        self._take(batches, "INSERT INTO every_row FROM batch")

    def tagged(self, rows: pa.Table) -> None:
        """Take in rows that were tagged before."""
        self._insert("INSERT INTO every_row FROM batch", [rows])

    def own(self, batches: Iterable[Batch], tagged: pa.Table | None = None) -> None:
        """Take in own rows (`tagged`: others, as above) where no commit has the node.

        Never the other way round: two laptops that pulled the same log must show the same, whatever each has of its own.
        """
        self._engine.run("CREATE TABLE known AS SELECT DISTINCT hash FROM every_row")
        insert = "INSERT INTO every_row SELECT batch.* FROM batch ANTI JOIN known USING (hash)"
        if tagged is not None:
            self._insert(insert, [tagged])
        self._take(batches, insert)

    def judge(self) -> None:
        """Make `rows`, `elsewhere` and `losers`."""
        with self._engine.table("origins", _origins_table(self._origins)):
            for step in JUDGING:
                self._engine.run(step)

    def _take(self, batches: Iterable[Batch], insert: str) -> None:
        """Insert in few large steps: one per manifest would cost a lively team's reader a millisecond for each of its rows."""
        waiting: list[pa.Table] = []
        rows = 0
        for origin, table in batches:
            waiting.append(self._tagging.tagged(origin, table))
            rows += table.num_rows
            if rows >= _batch_rows:
                self._insert(insert, waiting)
                waiting, rows = [], 0
        if waiting:
            self._insert(insert, waiting)

    def _insert(self, sql: str, tables: Sequence[pa.Table]) -> None:
        with self._engine.table("batch", pa.concat_tables(tables)):
            self._engine.run(sql)


def no_rows() -> pa.Table:
    """A table with the columns RAW."""
    return _tagged(MANIFEST_SCHEMA.empty_table(), 0, 0)


def _tagged(table: pa.Table, origin: int, arrival: int) -> pa.Table:
    tags = pa.repeat(pa.scalar(origin, pa.int32()), table.num_rows)
    arrivals = pa.array(range(arrival, arrival + table.num_rows), pa.int64())
    return table.select(LOADED).append_column("origin", tags).append_column("arrival", arrivals)


def _origins_table(origins: list[Origin]) -> pa.Table:
    columns = [
        list(range(len(origins))),
        [origin.seq for origin in origins],
        [origin.team for origin in origins],
        [origin.member for origin in origins],
        [origin.device for origin in origins],
    ]
    return pa.table(
        [pa.array(values, entry.type) for values, entry in zip(columns, _ORIGINS, strict=True)],
        schema=_ORIGINS,
    )
