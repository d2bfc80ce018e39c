"""Use by quarter of an hour: what dashboards add up instead of rows. Every zone's midnight since 1972 is at the start of one.

A projection of `rows`, in memory, made when first asked for. Ten million rows become a few hundred thousand.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from query.engine import Engine

_slot: Final = timedelta(minutes=15)
_first: Final = datetime(1900, 1, 1, tzinfo=UTC)
_after: Final = datetime(2200, 1, 1, tzinfo=UTC)
_OF_ROW: Final = """
space IS NOT DISTINCT FROM 'team' AS team, member, project, model, kind = 'message' AS said, input_uncached, cache_read,
cache_write, output, cost_usd_micro, cost_source = 'unpriced' AS unpriced, tool_calls, tool_errors, withheld
"""
# Hostile times may lie where no calendar reaches: they are dated, and in no quarter that is asked about.
ROLLUP: Final = f"""
SELECT CASE WHEN created_us >= '1900-01-01' AND created_us < '2200-01-01' THEN time_bucket(INTERVAL 15 MINUTES, created_us)
        WHEN created_us IS NOT NULL THEN TIMESTAMP '9999-01-01' END AS used_at,
    team, member, project, model, count(*) FILTER (said) AS turns, sum(input_uncached) AS input_uncached,
    sum(cache_read) AS cache_read, sum(cache_write) AS cache_write, sum(output) AS output,
    sum(cost_usd_micro) AS cost_usd_micro, count(*) FILTER (unpriced) AS unpriced, sum(tool_calls) AS tool_calls,
    sum(tool_errors) AS tool_errors, count(*) FILTER (said AND withheld) AS withheld, count(*) AS counted
FROM (SELECT created_us, {_OF_ROW} FROM {{rows}} WHERE counted) GROUP BY ALL ORDER BY used_at
"""  # noqa: S608 - constants
_GROUPS: Final = ("used_at", "team", "member", "project", "model")
_SUMS: Final = (
    *("turns", "input_uncached", "cache_read", "cache_write", "output", "cost_usd_micro", "unpriced"),
    *("tool_calls", "tool_errors", "withheld", "counted"),
)
_EACH: Final = f"""
(SELECT created_us AS used_at, * EXCLUDE (said, unpriced, withheld), said::INT AS turns, unpriced::INT AS unpriced,
    (said AND withheld)::INT AS withheld FROM (SELECT created_us, {_OF_ROW} FROM rows WHERE counted))
"""  # noqa: S608 - constants


def make_rollup(engine: Engine) -> None:
    """Make the table `usage_slots`: `used_at`, what it is grouped by, and sums; only what counts."""
    engine.run(f"CREATE OR REPLACE TABLE usage_slots AS {ROLLUP.format(rows='rows')}")


def usage_of(engine: Engine, rows: str) -> pa.Table:
    """The slots of another table of rows."""
    return engine.arrow(ROLLUP.format(rows=rows))


def join_rollups(engine: Engine, more: Sequence[pa.Table], less: Sequence[pa.Table]) -> None:
    """Make the table `usage_slots` out of slots that were made before, and those of rows that are gone."""
    signed = [*((table, "") for table in more), *((table, "-") for table in less)]
    groups = ", ".join(_GROUPS)
    with ExitStack() as registered:
        parts = []
        for number, (table, sign) in enumerate(signed):
            registered.enter_context(engine.table(f"slots_{number}", table))
            # Arrow has no integers of 128 bits: such sums come back as decimals.
            sums = ", ".join(f"CAST({sign}{name} AS HUGEINT) AS {name}" for name in _SUMS)
            parts.append(f"SELECT {groups}, {sums} FROM slots_{number}")  # noqa: S608 - constants
        sums = ", ".join(f"sum({name}) AS {name}" for name in _SUMS)
        engine.run(
            f"CREATE OR REPLACE TABLE usage_slots AS SELECT {groups}, {sums} FROM ({' UNION ALL '.join(parts)})"  # noqa: S608 - constants
            " GROUP BY ALL HAVING sum(counted) > 0 ORDER BY used_at"
        )


def usage_between(edges: Sequence[datetime]) -> str:
    """What to select from for spans with these edges: the rollup, or, where it is too coarse for them, the rows in its shape."""
    fits = all(_first <= edge < _after and (edge - _first) % _slot == timedelta(0) for edge in edges)
    return "usage_slots" if fits else _EACH
