"""Sessions as dashboards count them: when each began and ended, what it cost. Arrays, so that half a million take milliseconds.

The same sessions as query/paths.py lists; a test holds the two together.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from query.engine import Engine
from query.forest import Numbers, nowhere, numbers_of
from query.path_table import PathTable
from query.paths import placed

_never: Final = np.iinfo(np.int64).max  # no time at all
_SUMS: Final = f"""
SELECT segment,
    coalesce(min(epoch_us(created_us)), {_never}) AS started_us, coalesce(max(epoch_us(created_us)), -{_never}) AS ended_us,
    bool_or(kind IS DISTINCT FROM 'session') AS spoken, count(*) FILTER (kind = 'message') AS turns,
    CAST(least(sum(counts.cost_usd_micro), 9223372036854775807) AS BIGINT) AS cost
FROM places JOIN rows USING (id) JOIN counts USING (id) WHERE segment >= 0 GROUP BY segment ORDER BY segment
"""  # noqa: S608 - our own number
_HEADS: Final = "SELECT segment, space IS NOT DISTINCT FROM 'team' AS team FROM leaves JOIN rows USING (id)"
_first_us: Final = -62_135_596_800_000_000  # the year 1: a time before it is shown nowhere
_day_us: Final = 86_400_000_000  # no zone is further from UTC: what is that much later has a day everywhere


@dataclass(frozen=True, slots=True)
class Ends:
    """One place a session. Times in microseconds since 1970 UTC; a session without times is in no period and left out."""

    started_us: NDArray[np.int64]
    ended_us: NDArray[np.int64]
    turns: NDArray[np.int64]
    cost_usd_micro: NDArray[np.float64]  # exact up to 2^53: nine thousand million dollars
    team: NDArray[np.bool_]

    def within(self, first_us: int, after_us: int, team_only: bool) -> "Ends":  # noqa: FBT001 - as the asker has it
        """Those that ended in a span."""
        some = (self.ended_us >= first_us) & (self.ended_us < after_us) & (self.team | (not team_only))
        return Ends(*(getattr(self, name)[some] for name in self.__slots__))

    def latest_us(self, before_us: int, team_only: bool) -> int | None:  # noqa: FBT001 - as the asker has it
        """When the last session before a moment ended; None where none did."""
        ended = self.within(_first_us + _day_us, before_us, team_only).ended_us
        return int(ended.max()) if len(ended) else None

    @property
    def seconds(self) -> NDArray[np.int64]:
        """How long each took, of those whose beginning a calendar has."""
        known = self.started_us >= _first_us
        return (self.ended_us[known] - self.started_us[known]) // 1_000_000


def read_ends(engine: Engine) -> Ends:
    """All sessions of `rows` that have a time."""
    with placed(engine) as (forest, _):
        sums, heads = engine.arrow(_SUMS), engine.arrow(_HEADS)
    above = numbers_of(forest.above)
    started = _down(above, _column(sums, "started_us"), np.minimum)
    ended = _down(above, _column(sums, "ended_us"), np.maximum)
    turns = _down(above, _column(sums, "turns"), np.add)
    cost = _down(above, _column(sums, "cost").astype(np.float64), np.add)
    spoken = _down(above, _column(sums, "spoken"), np.logical_or)
    at = _column(heads, "segment")
    kept = spoken[at] & (ended[at] != -_never)
    at = at[kept]
    return Ends(started[at], ended[at], turns[at], cost[at], _column(heads, "team")[kept])


def ends_of(known: PathTable) -> Ends:
    """The same out of sessions that are known."""
    some = known.table.filter(known.table.column("ended_us").is_valid())
    return Ends(
        started_us=_column(some, "started_us"),
        ended_us=_column(some, "ended_us"),
        turns=_column(some, "turns"),
        cost_usd_micro=_column(some, "cost_usd_micro"),
        team=np.array(some.column("space").to_numpy() == "team", np.bool_),
    )


def _down(above: Numbers, values: NDArray[Any], joined: np.ufunc) -> NDArray[Any]:
    """By segment: its own value joined with those of all above it. Each round doubles how far up it has looked."""
    values, jump = values.copy(), above.copy()
    while True:
        reaching = np.flatnonzero(jump != nowhere)
        if not len(reaching):
            return values
        values[reaching] = joined(values[reaching], values[jump[reaching]])
        jump[reaching] = jump[jump[reaching]]


def _column(table: Any, name: str) -> NDArray[Any]:
    column: NDArray[Any] = table.column(name).to_numpy()
    return column
