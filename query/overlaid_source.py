"""A source out of what was kept of it and what came in since: new rows are judged with the components they touch, and laid over.

Row ids go on where the kept ones end. Kept rows of a touched component are gone: no row has their ids, and no path comes by them.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.answers import Tokens, Totals
from query.costs import lay_over
from query.engine import Engine
from query.forest import Forest, nowhere
from query.intake import RAW, Batch, Intake, Origin
from query.kept_catalog import NODES, Kept, key_of
from query.path_table import Paths, PathTable, Shape, read_paths
from query.rollup import join_rollups, usage_of
from query.rules import VIEWS

_JUDGED: Final = ("member", "device", "seq", "first_seq", "space", "counted", "withheld")
_ROWS: Final = ", ".join(("id", *RAW, *_JUDGED))
_RAW: Final = ", ".join(RAW)
_PLACED: Final = (
    *("hash", "origin", "hash_version", "stored_bytes", "pack"),
    *("frame_offset", "frame_length", "frame_sha256", "frame_index"),
)
_ELSEWHERE: Final = ", ".join(("hash", "elsewhere", *_PLACED[1:]))  # in the order of the view `stored`
_AS_KEPT: Final = (
    f"CREATE VIEW rows AS SELECT {_ROWS} FROM kept_rows",  # noqa: S608 - constants, here and below
    f"CREATE TABLE losers AS SELECT {_RAW} FROM kept_losers",  # noqa: S608
    f"CREATE TABLE elsewhere AS SELECT {_ELSEWHERE} FROM kept_elsewhere",  # noqa: S608
)
_LAID_OVER: Final = (
    "CREATE TABLE fresh AS SELECT id + {first} AS id, * EXCLUDE (id) FROM rows",
    "DROP TABLE rows",
    f"CREATE VIEW rows AS SELECT {_ROWS} FROM kept_rows ANTI JOIN gone USING (id) UNION ALL SELECT {_ROWS} FROM fresh",  # noqa: S608
    f"INSERT INTO losers SELECT {_RAW} FROM kept_losers ANTI JOIN touched USING (component)",  # noqa: S608
    f"INSERT INTO elsewhere BY NAME SELECT {_ELSEWHERE} FROM kept_elsewhere ANTI JOIN touched USING (component)",  # noqa: S608
)
_SETTLED: Final = (
    f"CREATE TABLE settled AS SELECT {', '.join(_PLACED)} FROM rows WHERE pack IS NOT NULL",  # noqa: S608
    f"CREATE VIEW in_memory AS SELECT {_ELSEWHERE} FROM (SELECT false AS elsewhere, * FROM settled)",  # noqa: S608
    "CREATE OR REPLACE VIEW stored AS FROM in_memory UNION ALL FROM elsewhere",
)
_WHOLE: Final = ("CREATE TABLE whole AS FROM rows", "DROP VIEW rows", "ALTER TABLE whole RENAME TO rows")
_CALLED: Final = """
SELECT id FROM kept_rows SEMI JOIN calls USING (usage_id)
"""
_CALLED_LOSERS: Final = "SELECT component FROM kept_losers SEMI JOIN calls USING (usage_id)"
_TOTALS: Final = """
SELECT coalesce(sum(input_uncached), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0), coalesce(sum(output), 0),
    coalesce(sum(cost_usd_micro), 0), coalesce(sum(unpriced), 0)
FROM usage_slots
"""
_NEAR: Final = f"""
SELECT {_ELSEWHERE} FROM (SELECT false AS elsewhere, * FROM near_kept)
UNION ALL SELECT {_ELSEWHERE} FROM elsewhere SEMI JOIN wanted USING (hash)
"""  # noqa: S608
_NEAR_FRESH: Final = f"""
{_NEAR} UNION ALL
SELECT {_ELSEWHERE} FROM (SELECT false AS elsewhere, * FROM fresh) SEMI JOIN wanted USING (hash) WHERE pack IS NOT NULL
"""  # noqa: S608
_TURN: Final = "SELECT id, hash, role, epoch_us(created_us) AS at_us FROM {rows} ORDER BY id"
Shown = tuple[bytes, str | None, int | None]  # hash, role, time in microseconds


@dataclass(frozen=True, slots=True)
class News:
    """What came in since a source was kept.

    `committed`: rows with the columns RAW whose origins the source has. `own`: own rows that changed, as they are now; `links`:
    hash, parent and usage_id of all that changed, also of those that are listed no more.
    """

    committed: pa.Table
    own: Sequence[Batch]
    links: pa.Table

    @property
    def rows(self) -> int:
        """How many."""
        return int(self.committed.num_rows + self.links.num_rows)


@dataclass(frozen=True, slots=True)
class _Fresh:
    """What was judged now. `gone`: by kept row id; `touched`: by component."""

    paths: Paths
    rows: int
    gone: NDArray[np.bool_]
    touched: NDArray[np.bool_]
    usage: pa.Table  # of the fresh rows
    gone_usage: pa.Table


class Overlaid:
    """What is known of an open source beside its tables. `attach` before those are asked for."""

    def __init__(self, engine: Engine, kept: Kept) -> None:
        self._engine, self.kept = engine, kept
        self._fresh: _Fresh | None = None
        self._attached = self._rolled_up = self.settled = self._whole = False
        self._keys: NDArray[np.uint64] | None = None

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def attach(self) -> None:
        """Make the tables and views of query/rules.py."""
        if self._attached:
            return
        self._register()
        for statement in (*_AS_KEPT, *VIEWS):
            self._engine.run(statement)
        self._attached = True

    def settle(self) -> None:
        """Take into memory where each node's bytes lie: for who looks some up again and again."""
        if self.settled:
            return
        self.attach()
        for statement in _SETTLED:
            self._engine.run(statement)
        self.settled = True

    def settle_rows(self) -> None:
        """Take all rows into memory: for who reads session after session."""
        if self._whole:
            return
        self.settle()
        for statement in _WHOLE:
            self._engine.run(statement)
        self._whole = True

    def lay(self, news: News, origins: list[Origin], costs: pa.Table | None) -> None:
        """Judge what came in since; once, before anything else. `origins`: of the kept rows, then of the new ones."""
        if not news.rows:
            return
        self._register()
        component = self.kept.numbers("component")
        touched = self._touched(news, component)
        gone = touched[component]
        there = self.kept.take(np.flatnonzero(gone), (*RAW, *_JUDGED))
        losers = self.kept.table("losers")
        rivals = losers.filter(pa.array(touched[losers.column("component").to_numpy()]))
        self._judge(pa.concat_tables([there.select(RAW), rivals.select(RAW)]), news, origins)
        if costs is not None:
            lay_over(self._engine, costs)
        with self._engine.table("gone_rows", there):
            gone_usage = usage_of(self._engine, "gone_rows")
        [(count,)] = self._engine.all("SELECT count(*) FROM rows")
        usage = usage_of(self._engine, "rows")
        self._fresh = _Fresh(read_paths(self._engine), count, gone, touched, usage, gone_usage)
        self._lay_over(self._fresh)

    def _register(self) -> None:
        for name in ("losers", "elsewhere"):
            self._engine.attach(f"kept_{name}", self.kept.table(name))
        self._engine.attach("kept_rows", self.kept.dataset())
        self._engine.damage = lambda: self.kept.sections.broken

    def _judge(self, before: pa.Table, news: News, origins: list[Origin]) -> None:
        """Make `rows` of what is touched and what is new."""
        own = pa.array([number for number, origin in enumerate(origins) if origin.seq is None], pa.int32())
        is_own = pc.is_in(before.column("origin"), own)
        changed = pc.is_in(before.column("hash"), news.links.column("hash").combine_chunks())
        intake = Intake(self._engine, origins, self.kept.own_next)
        intake.tagged(before.filter(pc.invert(is_own)))
        intake.tagged(news.committed)
        intake.own(news.own, before.filter(pc.and_not(is_own, changed)))
        intake.judge()
        for view in VIEWS:  # they are over whatever bears the names of their tables when they are asked
            self._engine.run(view)

    def _lay_over(self, fresh: _Fresh) -> None:
        self._engine.attach("gone", pa.table({"id": pa.array(np.flatnonzero(fresh.gone))}))
        touched = pa.array(np.flatnonzero(fresh.touched), pa.int32())
        self._engine.attach("touched", pa.table({"component": touched}))
        for statement in _LAID_OVER:
            self._engine.run(statement.format(first=self.kept.rows))
        self._attached = True

    def _touched(self, news: News, component: NDArray[np.int32]) -> NDArray[np.bool_]:
        """By component: whether new rows have a node, a parent, a child or a model call in it."""
        touched = np.zeros(int(component.max(initial=0)) + 1, np.bool_)
        links = pa.concat_tables([news.committed.select(news.links.column_names), news.links])
        hashes = np.unique(key_of(links.column("hash")))
        parents = np.unique(key_of(links.column("parent").drop_null()))
        touched[component[_among(self._kept_keys(), np.union1d(hashes, parents))]] = True
        waiting = self.kept.numbers("dangling", [("key", np.uint64), ("component", np.int64)])
        touched[waiting["component"][_among(waiting["key"], hashes)]] = True
        calls = pc.unique(links.column("usage_id").drop_null())
        if len(calls):
            with self._engine.table("calls", pa.table({"usage_id": calls})):
                touched[component[self._engine.integers(_CALLED)]] = True
                touched[self._engine.integers(_CALLED_LOSERS)] = True
        return touched

    def _kept_keys(self) -> NDArray[np.uint64]:
        if self._keys is None:
            self._keys = self.kept.numbers("keys", np.uint64)
        return self._keys

    # ── some rows ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def near(self, wanted: pa.Table) -> Iterator[str]:
        """The name of a table like `stored`, of the wanted nodes (`hash`) alone: without looking through all rows."""
        self.attach()
        hashes = wanted.column("hash").combine_chunks().cast(pa.binary(32))
        ids = np.flatnonzero(_among(self._kept_keys(), np.unique(key_of(hashes))))
        if self._fresh is not None:
            ids = ids[~self._fresh.gone[ids]]
        found = self.kept.take(ids, _PLACED)
        meant = pc.and_(pc.is_in(found.column("hash"), hashes), pc.is_valid(found.column("pack")))
        engine = self._engine
        with engine.table("near_kept", found.filter(meant)), engine.table("wanted", wanted):
            places = engine.arrow(_NEAR if self._fresh is None else _NEAR_FRESH)
        with engine.table("near", places):
            yield "near"

    def turns(self, ids: Sequence[int]) -> dict[int, Shown]:
        """What a hit shows of some rows, by id."""
        rising = np.unique(np.array(ids, np.int64))
        old = rising[rising < self.kept.rows]
        some = self.kept.take(old, ("hash", "role", "created_us")).append_column("id", pa.array(old))
        engine = self._engine
        with engine.table("shown", some):
            found = engine.all(_TURN.format(rows="shown"))
        if len(old) < len(rising):
            with engine.table("meant", pa.table({"id": rising})):
                found += engine.all(_TURN.format(rows="fresh SEMI JOIN meant USING (id)"))
        return {number: (node, role, at_us) for number, node, role, at_us in found}

    # ── all of them together ────────────────────────────────────────────────────────────────────────────────────────────

    def usage(self) -> None:
        """Make the table `usage_slots` (query/rollup.py)."""
        if self._rolled_up:
            return
        kept, fresh = self.kept.table("usage"), self._fresh
        more, less = ([kept], []) if fresh is None else ([kept, fresh.usage], [fresh.gone_usage])
        join_rollups(self._engine, more, less)
        self._rolled_up = True

    def totals(self) -> Totals:
        """What all nodes used."""
        self.usage()
        [(*used, cost, unpriced)] = self._engine.all(_TOTALS)
        fresh = self._fresh
        nodes = self.kept.rows + (fresh.rows - int(fresh.gone.sum()) if fresh else 0)
        return Totals(nodes, Tokens(*used), cost, unpriced)

    def paths(self) -> Paths:
        """All sessions."""
        table = self.kept.table("paths")
        if self._fresh is None:
            return Paths(PathTable(table.drop_columns("component")), self._kept_shape)
        whole = table.filter(pa.array(~self._fresh.touched[table.column("component").to_numpy()]))
        return Paths(PathTable(self._sorted(whole.drop_columns("component"), self._fresh)), self._shape)

    def said(self) -> NDArray[np.bool_]:
        """By row id: whether it is a message."""
        kept = self.kept.numbers("said", np.uint8).astype(np.bool_)
        if self._fresh is None:
            return kept
        fresh = self._engine.arrow("SELECT coalesce(kind = 'message', false) AS said FROM fresh ORDER BY id")
        return np.concatenate((kept, fresh.column("said").to_numpy()))

    def _sorted(self, kept: pa.Table, fresh: _Fresh) -> pa.Table:
        """Both kinds of paths, newest end first."""
        segments = len(self.kept.numbers("above"))
        table = fresh.paths.known.table
        for name in ("tree", "segment"):
            moved = pa.array(table.column(name).to_numpy() + np.int32(segments), pa.int32())
            table = table.set_column(table.schema.get_field_index(name), name, moved)
        both = pa.concat_tables([kept, table])
        return both.take(pc.sort_indices(both, [("ended_us", "descending"), ("id", "ascending")]))

    def _kept_shape(self) -> Shape:
        return self.kept.forest(), _array(self.kept.numbers(NODES[0]))

    def _shape(self) -> Shape:
        """One forest beside the other. Trees of gone rows stay in it: nothing leads there."""
        forest, parents = self._kept_shape()
        if self._fresh is None:
            return forest, parents
        other, others_parents = self._fresh.paths.forest, self._fresh.paths.parents
        nodes, segments, places = len(parents), len(forest.above), _places(forest)
        moved = Forest(
            _moved(other.segment, segments),
            _moved(other.position, places),
            _moved(other.above, segments),
            _moved(other.leaf, nodes),
            _moved(other.end, places),
            _moved(other.last, segments),
        )
        joined = (getattr(forest, name) + getattr(moved, name) for name in Forest.__slots__)
        return Forest(*joined), parents + _moved(others_parents, nodes)


def _places(forest: Forest) -> int:
    """How many positions are taken: those of the rows that hang from a root."""
    return max(forest.end, default=0)


def _moved(numbers: "array[int]", by: int) -> "array[int]":
    """All raised by as much, but those that are nowhere."""
    column = np.frombuffer(numbers, np.int32)
    return _array(np.where(column == nowhere, column, column + np.int32(by)))


def _array(numbers: NDArray[Any]) -> "array[int]":
    column = array("i")
    column.frombytes(np.ascontiguousarray(numbers, np.int32).tobytes())
    return column


def _among(values: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of many values are among few sorted ones."""
    if not len(wanted):
        return np.zeros(len(values), np.bool_)
    at = np.searchsorted(wanted, values)
    at[at == len(wanted)] = 0
    found: NDArray[np.bool_] = wanted[at] == values
    return found
