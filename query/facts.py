"""The facts of sessions: what a path's nodes add up to, beyond the list, and which sessions a filter means.

Status by the rules of the Go tapes v0.4.0, first match wins; docs/search.md states the differences:

    failed      some tool result on the path is an error
    completed   a shell command on the path commits or pushes with git
    abandoned   the head is not the assistant's
    completed   the assistant stopped by itself
    failed      it was cut off: length, filter, an error, a tool call without its result
    unknown     anything else
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.answers import Session, SessionFacts, Totals
from query.catalog import Catalog
from query.condition import condition, like_pattern
from query.engine import Engine
from query.filter import SessionFilter
from query.forest import Numbers, nowhere, numbers_of
from query.moments import Clock
from query.path_table import Paths, status_of
from query.paths import Path
from query.sessions import session_of, totals
from query.source import Source

_SECOND_US: Final = 1_000_000
# Few sets of tools are called by a million rows: each is looked at once.
_CALLING: Final = r"""
WITH used AS (SELECT tools, unnest(string_split(tools, chr(10))) AS tool FROM (SELECT DISTINCT tools FROM rows)),
    meant AS (SELECT DISTINCT tools FROM used JOIN patterns ON lower(tool) LIKE lower(pattern) ESCAPE '\')
SELECT id FROM rows JOIN meant USING (tools)
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sessions that a filter means, newest end first: `paths.known[number]` for each of `numbers`."""

    catalog: Catalog
    numbers: Numbers

    @property
    def paths(self) -> Paths:
        """Those that were chosen from."""
        return self.catalog.paths

    @property
    def facts(self) -> tuple[SessionFacts, ...]:
        """The facts of all of them."""
        return tuple(map(facts_of, self.paths.known.some(self.numbers)))


def choose(
    source: Source,
    chosen: SessionFilter,
    clock: Clock,
    names: Mapping[str, str],
    catalog: Catalog | None = None,
) -> Chosen:
    """The sessions a filter means, by everything but its text. `names`: what members call themselves, by hex id.

    `catalog`: of this very source, from a process that asks it again.
    """
    catalog = catalog or Catalog(source)
    passing = _passing(catalog, chosen, clock, names)
    if chosen.tool:
        through = _on_or_above(catalog, calling(source.engine, chosen.tool))
        passing = passing[through[catalog.last_segments[passing]]]
    return Chosen(catalog, passing)


def calling(engine: Engine, tools: Sequence[str]) -> Numbers:
    """The ids of the rows that call a tool of one of these names; in them * and ? stand for anything."""
    patterns = pa.table(
        {"pattern": [like_pattern(tool) for tool in tools]}, pa.schema([("pattern", pa.string())])
    )
    with engine.table("patterns", patterns):
        return numbers_of(engine.integers(_CALLING))


def facts_of(path: Path) -> SessionFacts:
    """The facts of one path."""
    whole, session = path.whole, session_of(path)
    duration_us = whole.duration_us
    return SessionFacts(
        **{field.name: getattr(session, field.name) for field in fields(Session)},
        status=status_of(path),
        providers=tuple(sorted(whole.providers)),
        duration_seconds=None if duration_us is None else duration_us // _SECOND_US,
        active_seconds=whole.active_us // _SECOND_US,
        tool_calls=whole.tool_calls,
        tool_failures=whole.tool_failures,
        git_activity=whole.git_activity,
    )


def _on_or_above(catalog: Catalog, nodes: Numbers) -> NDArray[np.bool_]:
    """By segment: whether some of the nodes is on it or above it. Those below a segment come right after it."""
    segments = catalog.segment[nodes]
    segments = segments[segments != nowhere]
    places = len(catalog.last) + 1
    opened = np.bincount(segments, minlength=places) - np.bincount(
        catalog.last[segments] + 1, minlength=places
    )
    through: NDArray[np.bool_] = np.cumsum(opened[:-1]) > 0
    return through


def owners_of(chosen: Chosen) -> Numbers:
    """By segment: the place in `numbers` of the newest chosen session that it is part of. One more: nowhere, for no segment."""
    catalog = chosen.catalog
    places = np.full(len(catalog.last), _nobody, np.int32)
    places[catalog.last_segments[chosen.numbers]] = np.arange(len(chosen.numbers), dtype=np.int32)
    owners = catalog.lowest_below(places)
    return np.append(np.where(owners == _nobody, nowhere, owners), nowhere).astype(np.int32)


_nobody: Final = 2**31 - 1


def totals_of(source: Source, chosen: Chosen) -> Totals:
    """What the chosen sessions used together, each node once."""
    owned = owners_of(chosen)[chosen.catalog.segment] != nowhere
    return totals(source, np.flatnonzero(owned))


def _passing(catalog: Catalog, chosen: SessionFilter, clock: Clock, names: Mapping[str, str]) -> Numbers:
    where = condition(chosen, clock)
    known = catalog.paths.known
    if not where.values and where.sql == "true":
        return np.arange(len(known), dtype=np.int32)
    with catalog.sessions(names) as engine:
        sql = f"SELECT number FROM sessions WHERE {where.sql} ORDER BY number"  # noqa: S608 - its values are bound
        return numbers_of(engine.integers(sql, where.values))
