"""The dashboard's numbers: a period of whole days in a stated time zone beside the one before it, each model call once.

A turn belongs to the day of its `created_at`; turns without one are counted apart and in no period. A session belongs to the
period in which it ended. A replayed or re-logged call counts once, for the member who committed it first (query/rules.py).
What members publish of sessions that the team cannot read is of UTC days, and stands in the day of that date.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.answers import Tokens
from query.catalog import Catalog
from query.ends import Ends
from query.moments import Clock, micros_of
from query.rollup import usage_between
from query.source import Source
from query.stats_answer import (
    Ask,
    DayActivity,
    GroupUse,
    PeriodStats,
    Publishing,
    Spread,
    TeamStats,
    Use,
    days_max,
)
from store.stats import StatsDay, StatsUse
from sync.replica import MANIFESTS_LEFT_OUT

group_members_min: Final = 3  # a group of fewer people says what one of them did
OTHERS: Final = "others"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# `day` counts from the first day of the previous period.
_GROUPS: Final = """
WITH within AS (FROM {usage} WHERE used_at >= ? AND used_at < ? AND (NOT ? OR team)), dated AS (
    SELECT within.*, spans.day, spans.current FROM within
    -- A zone that moves across the date line skips a day: it has no length, and nothing is in it.
    ASOF JOIN (FROM spans WHERE starts < ends) AS spans ON within.used_at >= spans.starts
)
SELECT
    CASE WHEN grouping(day) = 0 THEN 'day' WHEN grouping(model) = 0 THEN 'model' WHEN grouping(project) = 0 THEN 'project'
        WHEN grouping(member) = 0 THEN 'member' ELSE 'whole' END AS kind,
    current, day, coalesce(model, project, lower(hex(member))) AS name,
    list(DISTINCT member) FILTER (member IS NOT NULL) AS members,
    coalesce(sum(withheld), 0), coalesce(sum(turns), 0), coalesce(sum(input_uncached), 0), coalesce(sum(cache_read), 0),
    coalesce(sum(cache_write), 0), coalesce(sum(output), 0), coalesce(sum(cost_usd_micro), 0),
    coalesce(sum(unpriced), 0), coalesce(sum(tool_calls), 0), coalesce(sum(tool_errors), 0)
FROM dated
GROUP BY GROUPING SETS ((current), (current, day), (current, model), (current, project), (current, member))
"""
_UNDATED: Final = "SELECT coalesce(sum(turns), 0) FROM usage_slots WHERE used_at IS NULL AND (NOT ? OR team)"

_KINDS: Final = ("whole", "day", "model", "project", "member")


@dataclass(frozen=True, slots=True)
class Told:
    """What members publish: by member (hex id) and day. `members` are those in the team, `publishing` those who do at all."""

    days: Sequence[tuple[str, StatsDay]] = ()
    members: int = 0
    publishing: int = 0


def team_stats(
    source: Source, ask: Ask, told: Told | None = None, catalog: Catalog | None = None
) -> TeamStats:
    """The numbers; `told` is added to those of the team, where it alone is asked about.

    `catalog`: of this very source, from a process that asks it again.
    ValueError for fewer than 1 or more than `days_max` days, and for members with `fold_small`.
    """
    if not 1 <= ask.days <= days_max or (ask.by_member and ask.fold_small):
        raise ValueError(f"1 to {days_max} days, and members or folded groups")
    catalog = catalog or Catalog(source)
    spans = _Spans.of(ask)
    found = _Groups()
    with catalog.usage() as engine, engine.table("spans", spans.table()):
        for row in engine.stream(
            _GROUPS.format(usage=usage_between(spans.starts)), [*spans.edges, ask.team_only]
        ):
            found.take(row)
        [(undated,)] = engine.all(_UNDATED, [ask.team_only])
    publishing = found.add_told(told, spans) if ask.team_only and told is not None else None
    current, previous = (catalog.ends.within(*period, ask.team_only) for period in spans.periods)
    return TeamStats(
        time_zone=ask.clock.stated,
        team_only=ask.team_only,
        current=_period(spans.days[ask.days :], current, found, current=True),
        previous=_period(spans.days[: ask.days], previous, found, current=False),
        days=tuple(_days(spans, current, found)),
        models=_ranked(found.named("model"), fold=ask.fold_small),
        projects=_ranked(found.named("project"), fold=ask.fold_small),
        members=_ranked(found.named("member"), fold=False) if ask.by_member else (),
        undated_turns=undated,
        publishing=publishing,
        withheld_turns=found.withheld,
        missing_pushes=_missing_pushes(source, ask),
        earlier_day=_day_of(catalog.ends.latest_us(spans.periods[0][0], ask.team_only), ask.clock),
    )


def _missing_pushes(source: Source, ask: Ask) -> int:
    """Silence would read as "that is all": nobody knows how much these hold."""
    client = source.client
    roster = client.log.point.roster if client is not None else None
    if client is None or roster is None:
        return 0
    left_out = {
        (each.seq, each.space)
        for state in MANIFESTS_LEFT_OUT
        for each in client.replica.manifests(state)
        if each.space == roster.team_space or not ask.team_only
    }
    return sum(client.keychain.can_read(roster, space) for _, space in left_out)


def _day_of(at_us: int | None, clock: Clock) -> date | None:
    """The day of a moment (microseconds since 1970) in the zone."""
    return None if at_us is None else (_EPOCH + timedelta(microseconds=at_us)).astimezone(clock.zone).date()


@dataclass(frozen=True, slots=True)
class _Spans:
    """The days of both periods, oldest first, and when each begins; `starts` has the end of the last one more."""

    days: Sequence[date]
    starts: Sequence[datetime]

    @classmethod
    def of(cls, ask: Ask) -> "_Spans":
        first = ask.clock.today() - timedelta(days=2 * ask.days - 1)
        days = [first + timedelta(days=number) for number in range(2 * ask.days + 1)]
        # A day is from midnight to midnight of its own zone: 23 or 25 hours when clocks change.
        return cls(days[:-1], [ask.clock.midnight(day) for day in days])

    def table(self) -> pa.Table:
        """(day, current, starts, ends) with naive UTC times, as `rows` has them."""
        half = len(self.days) // 2
        naive = [start.replace(tzinfo=None) for start in self.starts]
        return pa.table(
            {
                "day": pa.array(range(len(self.days)), pa.int32()),
                "current": pa.array([number >= half for number in range(len(self.days))]),
                "starts": pa.array(naive[:-1], pa.timestamp("us")),
                "ends": pa.array(naive[1:], pa.timestamp("us")),
            }
        )

    @property
    def edges(self) -> tuple[datetime, datetime]:
        """First moment of all, and the one after the last; naive UTC."""
        return self.starts[0].replace(tzinfo=None), self.starts[-1].replace(tzinfo=None)

    @property
    def periods(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The current period and the one before: from, up to; microseconds since 1970."""
        first, middle, after = (
            micros_of(self.starts[number]) for number in (0, len(self.days) // 2, len(self.days))
        )
        return (middle, after), (first, middle)


@dataclass(slots=True)
class _Groups:
    """The query's rows, by what they are about; (kind, current, day or name)."""

    uses: dict[tuple[str, bool, Any], Use] = field(default_factory=dict)
    members: dict[tuple[str, bool, Any], set[str]] = field(default_factory=dict)
    sessions: dict[tuple[str, bool, Any], int] = field(default_factory=dict)  # published ones
    withheld: int = 0  # turns of the current period

    def take(self, row: tuple[Any, ...]) -> None:
        kind, current, day, name, members, withheld, turns, *sums = row
        key = (kind, current, day if kind == "day" else name)
        self.uses[key] = Use(turns, Tokens(*sums[:4]), *sums[4:])
        self.members[key] = {member.hex() for member in members or ()}
        if kind == "whole" and current:
            self.withheld = withheld

    def add_told(self, told: Told, spans: "_Spans") -> Publishing:
        """Add published days that lie in one of the periods."""
        numbers = {day.isoformat(): number for number, day in enumerate(spans.days)}
        half = len(spans.days) // 2
        whole = Publishing(told.members, told.publishing, 0, Use())
        for member, day in told.days:
            number = numbers.get(day.day)
            if number is None:
                continue
            current = number >= half
            for key in (("whole", current, None), ("day", current, number)):
                self.sessions[key] = self.sessions.get(key, 0) + day.sessions
            for told_use in day.uses:
                use = _use_told(told_use)
                names = (None, number, told_use.model, told_use.project, member)
                for kind, name in zip(_KINDS, names, strict=True):
                    self._add((kind, current, name), use, member)
                if current:
                    whole = replace(whole, use=whole.use + use)
            if current:
                whole = replace(whole, sessions=whole.sessions + day.sessions)
        return whole

    def _add(self, key: tuple[str, bool, Any], use: Use, member: str) -> None:
        self.uses[key] = self.uses.get(key, Use()) + use
        self.members.setdefault(key, set()).add(member)

    def use(self, kind: str, current: bool, name: object) -> Use:  # noqa: FBT001 - part of a key
        return self.uses.get((kind, current, name), Use())

    def named(self, wanted: str) -> list[GroupUse]:
        """The groups of a kind that were used in the current period."""
        return [
            GroupUse(name, len(self.members[kind, current, name]), use, self.use(kind, False, name))
            for (kind, current, name), use in self.uses.items()
            if kind == wanted and current
        ]


def _period(days: Sequence[date], ended: Ends, found: _Groups, *, current: bool) -> PeriodStats:
    return PeriodStats(
        first_day=days[0],
        last_day=days[-1],
        sessions=len(ended.ended_us) + found.sessions.get(("whole", current, None), 0),
        members=len(found.members.get(("whole", current, None), ())),
        use=found.use("whole", current, None),
        cost_per_session=_spread(ended.cost_usd_micro),
        seconds_per_session=_spread(ended.seconds),
        turns_per_session=_spread(ended.turns),
    )


def _days(spans: _Spans, ended: Ends, found: _Groups) -> Iterator[DayActivity]:
    half = len(spans.days) // 2
    edges = np.array([micros_of(start) for start in spans.starts[half:]])
    counts = np.diff(np.searchsorted(np.sort(ended.ended_us), edges)).tolist()
    for number, sessions in enumerate(counts, half):
        published = found.sessions.get(("day", True, number), 0)
        yield DayActivity(spans.days[number], sessions + published, found.use("day", True, number))


def _use_told(told: StatsUse) -> Use:
    return Use(
        told.turns,
        Tokens(told.input_uncached, told.cache_read, told.cache_write, told.output),
        told.cost_usd_micro,
        told.unpriced_turns,
        told.tool_calls,
        told.tool_errors,
    )


def _ranked(groups: Iterable[GroupUse], *, fold: bool) -> tuple[GroupUse, ...]:
    shown: list[GroupUse] = []
    small: list[GroupUse] = []
    for group in groups:
        (small if fold and (group.members or 0) < group_members_min else shown).append(group)
    shown.sort(key=_rank)
    if small:
        shown.append(GroupUse(OTHERS, None, _sum(small, lambda g: g.use), _sum(small, lambda g: g.previous)))
    return tuple(shown)


def _sum(groups: Iterable[GroupUse], part: Callable[[GroupUse], Use]) -> Use:
    return reduce(add, map(part, groups), Use())


def _rank(group: GroupUse) -> tuple[int, int, int, str]:
    return -group.use.cost_usd_micro, -group.use.tokens.output, -group.use.turns, group.name or ""


def _spread(values: NDArray[Any]) -> Spread:
    ranked = np.sort(values)
    return Spread(_nearest_rank(ranked, 50), _nearest_rank(ranked, 90))


def _nearest_rank(ranked: NDArray[Any], percent: int) -> int | None:
    """The smallest value that `percent` of all are not above."""
    return int(ranked[-(-len(ranked) * percent // 100) - 1]) if len(ranked) else None
