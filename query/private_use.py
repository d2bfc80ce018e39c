"""What this device's private sessions used, day by day, as it may be told to the team: numbers, and at most models and projects.

Counted is what nobody in the team can see: turns of this device that no commit put into the team space, of projects that are
meant to stay private, and of model calls that no turn in the team space logs too. So team totals have each call once.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import pyarrow as pa

from query.source import Source
from store.fields import int_json_max
from store.stats import StatsDay, StatsUse, use_order, uses_max

IsPrivate = Callable[[str | None], bool]  # project → whether its conversations are meant to stay private
_PROJECTS: Final = "SELECT DISTINCT project FROM rows"
_MINE: Final = """
CREATE OR REPLACE TEMP TABLE private_use AS
WITH shared AS (SELECT DISTINCT usage_id FROM rows WHERE space = 'team' AND usage_id IS NOT NULL)
SELECT rows.* FROM rows SEMI JOIN hidden ON rows.project IS NOT DISTINCT FROM hidden.project
WHERE space IS DISTINCT FROM 'team' AND device = ? AND created_us IS NOT NULL
    AND created_us >= '1970-01-01' AND created_us < '9999-12-31'
    AND (usage_id IS NULL OR usage_id NOT IN (FROM shared))
QUALIFY row_number() OVER (PARTITION BY coalesce(usage_id, hex(hash)) ORDER BY output DESC NULLS LAST, hash) = 1
"""
_USES: Final = """
SELECT strftime(created_us, '%Y-%m-%d') AS day, if(?, project, NULL) AS told_project, model,
    count(*) FILTER (kind = 'message'), coalesce(sum(input_uncached), 0), coalesce(sum(cache_read), 0),
    coalesce(sum(cache_write), 0), coalesce(sum(output), 0), coalesce(sum(cost_usd_micro), 0),
    count(*) FILTER (cost_source = 'unpriced'), coalesce(sum(tool_calls), 0), coalesce(sum(tool_errors), 0)
FROM private_use GROUP BY day, told_project, model
ORDER BY day, told_project IS NOT NULL, told_project, model IS NOT NULL, model
"""
# A session ends with a turn that none of the rows builds on.
_SESSIONS: Final = """
SELECT strftime(created_us, '%Y-%m-%d') AS day, count(*) FROM private_use
ANTI JOIN rows AS below ON below.parent = private_use.hash WHERE private_use.kind = 'message' GROUP BY day
"""


_NAMES: Final = (
    *("turns", "input_uncached", "cache_read", "cache_write", "output", "cost_usd_micro"),
    *("unpriced_turns", "tool_calls", "tool_errors"),
)
_UNNAMED: Final = (None, None)  # project, model


def private_days(
    source: Source, device: bytes, is_private: IsPrivate, *, by_project: bool
) -> dict[str, StatsDay]:
    """By UTC day; turns without a time are in none."""
    engine = source.engine
    hidden = [project for (project,) in engine.all(_PROJECTS) if is_private(project)]
    with engine.table("hidden", pa.table({"project": pa.array(hidden, pa.string())})):
        engine.run(_MINE, [device])
    sessions = dict(engine.all(_SESSIONS))
    rows = engine.all(_USES, [by_project])
    engine.run("DROP TABLE private_use")
    return {
        day: StatsDay(day=day, sessions=sessions.get(day, 0), uses=_uses(group))
        for day, group in groupby(rows, key=itemgetter(0))
    }


def _uses(rows: Iterable[tuple[Any, ...]]) -> list[StatsUse]:
    """A day's uses in the format's order; what is beyond its limit is added up without a name."""
    sums: dict[tuple[str | None, str | None], list[int]] = {}
    for _, project, model, *counts in rows:
        name = (project, model) if len(sums) < uses_max - 1 else _UNNAMED
        before = sums.get(name, [0] * len(_NAMES))
        sums[name] = [min(was + count, int_json_max) for was, count in zip(before, counts, strict=True)]
    uses = [
        StatsUse(model=model, project=project, **dict(zip(_NAMES, counts, strict=True)))
        for (project, model), counts in sums.items()
    ]
    return sorted(uses, key=use_order)
