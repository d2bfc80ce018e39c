"""Use by quarter of an hour: what dashboards add up instead of rows. Every zone's midnight since 1972 is at the start of one.

A projection of `rows`, in memory, made when first asked for. Ten million rows become a few hundred thousand.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from query.engine import Engine

_slot: Final = timedelta(minutes=15)
_first: Final = datetime(1900, 1, 1, tzinfo=UTC)
_after: Final = datetime(2200, 1, 1, tzinfo=UTC)
_OF_ROW: Final = """
space IS NOT DISTINCT FROM 'team' AS team, member, project, model, kind = 'message' AS said, input_uncached, cache_read,
cache_write, output, cost_usd_micro, cost_source = 'unpriced' AS unpriced, tool_calls, tool_errors, withheld
"""
# Hostile times may lie where no calendar reaches: they are dated, and in no quarter that is asked about.
_ROLLUP: Final = f"""
CREATE OR REPLACE TABLE usage_slots AS
SELECT CASE WHEN created_us >= '1900-01-01' AND created_us < '2200-01-01' THEN time_bucket(INTERVAL 15 MINUTES, created_us)
        WHEN created_us IS NOT NULL THEN TIMESTAMP '9999-01-01' END AS used_at,
    team, member, project, model, count(*) FILTER (said) AS turns, sum(input_uncached) AS input_uncached,
    sum(cache_read) AS cache_read, sum(cache_write) AS cache_write, sum(output) AS output,
    sum(cost_usd_micro) AS cost_usd_micro, count(*) FILTER (unpriced) AS unpriced, sum(tool_calls) AS tool_calls,
    sum(tool_errors) AS tool_errors, count(*) FILTER (said AND withheld) AS withheld
FROM (SELECT created_us, {_OF_ROW} FROM rows WHERE counted) GROUP BY ALL ORDER BY used_at
"""  # noqa: S608 - constants
_EACH: Final = f"""
(SELECT created_us AS used_at, * EXCLUDE (said, unpriced, withheld), said::INT AS turns, unpriced::INT AS unpriced,
    (said AND withheld)::INT AS withheld FROM (SELECT created_us, {_OF_ROW} FROM rows WHERE counted))
"""  # noqa: S608 - constants


def make_rollup(engine: Engine) -> None:
    """Make the table `usage_slots`: `used_at`, what it is grouped by, and sums; only what counts."""
    engine.run(_ROLLUP)


def usage_between(edges: Sequence[datetime]) -> str:
    """What to select from for spans with these edges: the rollup, or, where it is too coarse for them, the rows in its shape."""
    fits = all(_first <= edge < _after and (edge - _first) % _slot == timedelta(0) for edge in edges)
    return "usage_slots" if fits else _EACH
