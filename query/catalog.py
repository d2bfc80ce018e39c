"""What is known of an open source beyond its rows: paths, their shape as arrays, and what was asked of it before.

Each part is made when first asked for and kept: a command that asks once pays for what it needs, a process that is asked again
and again pays no more. It is as old as its source.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.ends import Ends, ends_of, read_ends
from query.engine import Engine
from query.forest import Numbers, numbers_of
from query.path_table import Paths
from query.rollup import make_rollup
from query.source import Source

_TURNS: Final = """
SELECT id, hash, role, epoch_us(created_us) AS at_us, coalesce(kind = 'message', false) AS message FROM rows ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A node as a hit shows it. `number`: which message of its session, from 1; 0 above the first. Time in microseconds."""

    hash: bytes
    role: str | None
    at_us: int | None
    number: int


class Catalog:
    """Of one source; not longer than that is open."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._names: Mapping[str, str] | None = None
        self._rolled_up = False

    @cached_property
    def paths(self) -> Paths:
        """All sessions."""
        return self.source.paths()

    @cached_property
    def ends(self) -> Ends:
        """All sessions as arrays, for dashboards."""
        return read_ends(self.source.engine) if self.source.overlaid is None else ends_of(self.paths.known)

    @contextmanager
    def usage(self) -> Iterator[Engine]:
        """The engine with the table `usage_slots` (query/rollup.py)."""
        if not self._rolled_up:
            if self.source.overlaid is None:
                make_rollup(self.source.engine)
            else:
                self.source.overlaid.usage()
            self._rolled_up = True
        yield self.source.engine

    # ── shape ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def segment(self) -> Numbers:
        """By row id: its segment, or nowhere."""
        return numbers_of(self.paths.forest.segment)

    @cached_property
    def position(self) -> Numbers:
        """By row id: its place depth first, or nowhere."""
        return numbers_of(self.paths.forest.position)

    @cached_property
    def last(self) -> Numbers:
        """By segment: the last one below it."""
        return numbers_of(self.paths.forest.last)

    @cached_property
    def last_segments(self) -> Numbers:
        """By session number: the segment that it ends in."""
        return self.paths.known.segments

    def lowest_below(self, values: Numbers) -> Numbers:
        """By segment: the lowest value of it and all below it. n log n, whatever the shape.

        Those below one come right after it, so this is a minimum over a range: two overlapping runs of a power of two cover it.
        """
        lowest = values.copy()
        runs = values  # at each round: the minimum of `stride` values from here on
        stride = 1
        for reaching in self._by_reach:
            lowest[reaching] = np.minimum(runs[reaching], runs[self.last[reaching] - stride + 1])
            runs = np.minimum(runs[:-stride], runs[stride:])
            stride *= 2
        return lowest

    @cached_property
    def _by_reach(self) -> list[NDArray[np.int64]]:
        """Segments by the largest power of two that is no more than the segments from it to its last."""
        reach = self.last - np.arange(len(self.last), dtype=np.int32) + 1
        exponent = np.frexp(reach.astype(np.float64))[1] - 1
        top = int(exponent.max()) if len(exponent) else -1
        return [np.flatnonzero(exponent == power) for power in range(top + 1)]

    # ── sessions as a table ─────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def sessions(self, names: Mapping[str, str]) -> Iterator[Engine]:
        """The engine with the table `sessions`, kept for as long as members call themselves the same."""
        engine = self.source.tableless
        if self._names != names:
            with engine.table("made", self.paths.known.sessions(names)):
                engine.run("CREATE OR REPLACE TABLE sessions AS FROM made ORDER BY number")
            self._names = dict(names)
        yield engine

    @cached_property
    def amounts(self) -> Mapping[str, NDArray[np.float64]]:
        """By what sessions are put in order, and session number: cost in micro-USD, duration in microseconds, tokens."""
        known = self.paths.known
        duration = known.table.column("duration_us").fill_null(0).to_numpy().astype(np.float64)
        return {
            "cost": known.numbers("cost_usd_micro"),
            "duration": duration,
            "tokens": known.numbers("tokens"),
        }

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def turns(self, rows: Sequence[int]) -> dict[int, Turn]:
        """Rows that hang from a root, as a hit shows them."""
        if self.source.lazy is not None:
            shown = self.source.lazy.turns(rows)
        else:
            columns = [self._turns.column(name) for name in ("hash", "role", "at_us")]
            places = np.searchsorted(self._turns.column("id").to_numpy(), rows).tolist()
            shown = {
                row: tuple(column[at].as_py() for column in columns)
                for row, at in zip(rows, places, strict=True)
            }
        return {row: Turn(*shown[row], self._turn_number(row)) for row in rows}

    @cached_property
    def _turns(self) -> pa.Table:
        return self.source.engine.arrow(_TURNS).combine_chunks()

    def _turn_number(self, row: int) -> int:
        said, above, starts = self._said
        segment = int(self.segment[row])
        return above[segment] + int(said[self.position[row] + 1] - said[starts[segment]])

    @cached_property
    def _said(self) -> "tuple[NDArray[np.int64], list[int], Numbers]":
        """Messages before each position; by segment, those above it, and its first position."""
        forest, hangs = self.paths.forest, self.segment >= 0
        flags = np.zeros(int(hangs.sum()), np.int64)
        overlaid = self.source.overlaid
        message = self._turns.column("message").to_numpy() if overlaid is None else overlaid.said()
        flags[self.position[hangs]] = message[hangs]
        said = np.concatenate(([0], np.cumsum(flags)))
        lengths = np.bincount(self.segment[hangs], minlength=len(self.last))
        starts = np.concatenate(([0], np.cumsum(lengths)))
        own = (said[starts[1:]] - said[starts[:-1]]).tolist()
        above: list[int] = []
        for upper in forest.above:  # which comes before
            above.append(above[upper] + own[upper] if upper >= 0 else 0)
        return said, above, starts.astype(np.int32)
