"""The dashboard's numbers against a slow fold in Python, and on the days when clocks change."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import query.rollup
from query.answers import Tokens
from query.moments import Clock
from query.sessions import list_sessions
from query.stats import OTHERS, team_stats
from query.stats_answer import Ask, GroupUse, TeamStats, Use, days_max
from tests.query.made_rows import START, Commit, Said, Shown, _shown, name, source_of

DAY_MINUTES = 24 * 60
VIENNA = ZoneInfo("Europe/Vienna")


def minute_of(when: datetime) -> int:
    """Minutes after made_rows.START, as rows tell time."""
    return int((when - START).total_seconds()) // 60


def ask_at(when: datetime, days: int, zone: ZoneInfo | None = VIENNA, **more: bool) -> Ask:
    """A question asked at that moment."""
    return Ask(Clock(when, zone), days, **more)


def stats_of(rows: Iterable[Said], ask: Ask, *, team: bool = True) -> TeamStats:
    """The numbers of one member's rows."""
    with source_of([Commit(tuple(rows), team=team)]) as source:
        return team_stats(source, ask)


# ── the truth, slowly ───────────────────────────────────────────────────────────────────────────────────────────────────


def use_of(nodes: Iterable[Shown]) -> Use:
    """What nodes used, each model call once."""
    total = Use()
    for node in nodes:
        said = node.said
        if node.counted:
            used = [part or 0 for part in said.used]
            unpriced = said.cost_source == "unpriced"
            total += Use(said.kind == "message", Tokens(*used), said.cost or 0, unpriced)
    return total


def day_of(said: Said, zone: ZoneInfo) -> date | None:
    """The day in a zone on which a row was said."""
    if said.minute is None:
        return None
    return (START + timedelta(minutes=said.minute)).astimezone(zone).date()


def grouped(nodes: Iterable[Shown], key: str) -> dict[str | None, list[Shown]]:
    """Nodes by project, model or member."""
    groups: dict[str | None, list[Shown]] = defaultdict(list)
    for node in nodes:
        if node.counted:
            groups[name(node.member) if key == "member" else getattr(node.said, key)].append(node)
    return groups


def expected_groups(
    now: Sequence[Shown], before: Sequence[Shown], key: str
) -> dict[str | None, tuple[int, Use, Use]]:
    """By name: members, use, use in the period before."""
    old = grouped(before, key)
    return {
        group: (len({node.member for node in nodes}), use_of(nodes), use_of(old.get(group, [])))
        for group, nodes in grouped(now, key).items()
    }


def shown_groups(groups: Iterable[GroupUse]) -> dict[str | None, tuple[int | None, Use, Use]]:
    """The same shape from the answer."""
    return {group.name: (group.members, group.use, group.previous) for group in groups}


ROWS = st.builds(
    Said,
    node=st.sampled_from([f"n{number}" for number in range(12)]),
    kind=st.sampled_from(["message", "session", None]),
    usage_id=st.sampled_from([None, "call 1", "call 2"]),
    used=st.tuples(*[st.none() | st.integers(0, 1000)] * 4),
    cost=st.none() | st.integers(0, 10**9),
    cost_source=st.sampled_from([None, "computed", "unpriced"]),
    project=st.sampled_from([None, "alpha", "beta"]),
    model=st.sampled_from([None, "m", "n"]),
    minute=st.none() | st.integers(-9 * DAY_MINUTES, 3 * DAY_MINUTES),
)
COMMITS = st.lists(
    st.builds(
        Commit,
        rows=st.lists(ROWS, max_size=8, unique_by=lambda row: row.node).map(tuple),
        member=st.sampled_from(["ana", "bob"]),
        team=st.booleans(),
    ),
    max_size=4,
)


@given(commits=COMMITS, days=st.integers(1, 4), team=st.booleans())
@settings(max_examples=30)
def test_all_numbers_are_those_of_a_slow_fold(commits: list[Commit], days: int, team: bool) -> None:  # noqa: FBT001 - drawn
    """Both periods, every day, model, project and member: the sums of counted nodes, whatever was forked, replayed or undated."""
    ask = ask_at(START, days, team_only=team, by_member=True)
    with source_of(commits) as source:
        found, sessions = team_stats(source, ask), list_sessions(source).sessions
    nodes = [n for n in _shown(commits, ()).values() if not team or n.space == "team"]
    today = START.astimezone(VIENNA).date()
    by_age = defaultdict(list)
    for node in nodes:
        day = day_of(node.said, VIENNA)
        by_age[None if day is None else (today - day).days].append(node)
    now = [node for age in range(days) for node in by_age[age]]
    before = [node for age in range(days, 2 * days) for node in by_age[age]]

    assert (found.current.use, found.previous.use) == (use_of(now), use_of(before))
    assert found.current.members == len({node.member for node in now if node.counted})
    assert [day.use for day in found.days] == [use_of(by_age[age]) for age in reversed(range(days))]
    for key, groups in (("model", found.models), ("project", found.projects), ("member", found.members)):
        assert shown_groups(groups) == expected_groups(now, before, key)
    assert found.undated_turns == use_of(by_age[None]).turns
    ages = [
        (today - datetime.fromisoformat(s.ended_at).astimezone(VIENNA).date()).days
        for s in sessions
        if s.ended_at is not None and (not team or s.space == "team")
    ]
    assert found.current.sessions == sum(0 <= age < days for age in ages)
    assert found.previous.sessions == sum(days <= age < 2 * days for age in ages)
    assert sum(day.sessions for day in found.days) == found.current.sessions


@given(commits=COMMITS, days=st.integers(1, 4))
@settings(max_examples=15)
def test_quarters_of_an_hour_and_rows_give_the_same(commits: list[Commit], days: int) -> None:
    """Whether the rollup is asked or every row: equal dashboards."""
    ask = ask_at(START, days, by_member=True)
    with source_of(commits) as source, pytest.MonkeyPatch.context() as patched:
        rolled_up = team_stats(source, ask)
        patched.setattr(query.rollup, "_slot", timedelta(days=999_999))
        assert query.rollup.usage_between([START]) != "usage_slots"

        assert rolled_up == team_stats(source, ask)


def test_a_midnight_between_quarters_is_asked_of_the_rows() -> None:
    """Liberia's clocks went 44 minutes and a half behind until 1972: there a day begins within a quarter, and loses no turn."""
    midnight = datetime(1971, 6, 2, 0, 44, 30, tzinfo=UTC)
    rows = [Said("before", minute=minute_of(midnight)), Said("after", minute=minute_of(midnight) + 1)]

    found = stats_of(rows, ask_at(midnight + timedelta(hours=1), 2, ZoneInfo("Africa/Monrovia")))

    assert [day.use.turns for day in found.days] == [1, 1]


# ── the calendar ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)]
)
def test_a_day_is_as_long_as_its_zone_makes_it(day: date, hours: int) -> None:
    """A turn a minute for three days: the day on which clocks change has 23 or 25 hours of them, the others 24."""
    noon = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
    first = minute_of(noon - timedelta(days=2))
    rows = [Said(f"n{number}", minute=first + number * 30) for number in range(5 * 48)]

    found = stats_of(rows, ask_at(noon + timedelta(days=1), 3))

    assert [(entry.day, entry.use.turns) for entry in found.days][:2] == [
        (day - timedelta(days=1), 48),
        (day, 2 * hours),
    ]


@pytest.mark.parametrize(
    ("when", "zone", "day"),
    [
        ("2026-02-28T23:59:00+00:00", "UTC", date(2026, 2, 28)),
        ("2026-03-01T00:00:00+00:00", "UTC", date(2026, 3, 1)),
        ("2026-02-28T22:59:00+00:00", "Europe/Vienna", date(2026, 2, 28)),
        ("2026-02-28T23:00:00+00:00", "Europe/Vienna", date(2026, 3, 1)),
        ("2025-12-31T23:59:00+00:00", "Pacific/Kiritimati", date(2026, 1, 1)),
        ("2026-01-01T00:00:00+00:00", "America/New_York", date(2025, 12, 31)),
    ],
)
def test_a_minute_belongs_to_one_day(when: str, zone: str, day: date) -> None:
    """On both sides of midnight, at month and year ends, in any zone, a turn is counted on its own day and no other."""
    moment = datetime.fromisoformat(when)
    found = stats_of([Said("n", minute=minute_of(moment))], ask_at(moment, 3, ZoneInfo(zone)))

    assert {entry.day: entry.use.turns for entry in found.days if entry.use.turns} == {day: 1}
    assert found.time_zone == zone


def test_a_day_that_a_zone_skipped_has_nothing() -> None:
    """Samoa had no 30 December 2011: turns around it are on the 29th and the 31st, none is lost or doubled."""
    apia = ZoneInfo("Pacific/Apia")
    change = datetime(2011, 12, 30, 10, tzinfo=UTC)
    rows = [Said(f"n{number}", minute=minute_of(change) + 30 * number) for number in range(-4, 4)]

    found = stats_of(rows, ask_at(change + timedelta(hours=5), 3, apia))

    assert [(entry.day.day, entry.use.turns) for entry in found.days] == [(29, 4), (30, 0), (31, 4)]


def test_a_session_across_midnight_is_counted_once_and_its_turns_where_they_were() -> None:
    """A session belongs to the day it ended; its turns belong to theirs."""
    midnight = datetime(2026, 2, 14, 23, tzinfo=UTC)  # in Vienna
    rows = [
        Said("a", minute=minute_of(midnight) - 10),
        Said("b", parent="a", minute=minute_of(midnight) + 10),
    ]
    found = stats_of(rows, ask_at(midnight + timedelta(hours=1), 2))

    assert [(entry.sessions, entry.use.turns) for entry in found.days] == [(0, 1), (1, 1)]
    assert found.current.seconds_per_session.p50 == 20 * 60


# ── the edges ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_gives_zeros_and_unknowns() -> None:
    """An empty team has no shares and no percentiles, not 0 % and $0."""
    with source_of([]) as source:
        found = team_stats(source, ask_at(START, 7))

    assert (found.current.sessions, found.current.use, found.models) == (0, Use(), ())
    assert found.current.use.cache_hit_permille is None
    assert found.current.use.tool_failure_permille is None
    assert found.current.cost_per_session.p50 is None
    assert len(found.days) == 7


def test_percentiles_are_nearest_rank() -> None:
    """Of ten sessions that cost 1 to 10, half cost at most 5 and nine at most 9."""
    rows = [Said(f"n{number}", cost=number, cost_source="computed") for number in range(1, 11)]
    found = stats_of(rows, ask_at(START, 1))

    assert (found.current.cost_per_session.p50, found.current.cost_per_session.p90) == (5, 9)


def test_members_are_shown_only_when_asked_and_small_groups_fold() -> None:
    """Ranking people is off by default; a project of two people folds into others, one of three stays; the sum stays."""
    commits = [
        Commit(
            (
                Said(f"{who} big", project="big", used=(1, 0, 0, 0)),
                Said(f"{who} small", project=own, used=(1, 0, 0, 0)),
            ),
            who,
        )
        for who, own in (("ana", "s1"), ("bob", "s1"), ("cat", "s2"))
    ]
    with source_of(commits) as source:
        plain = team_stats(source, ask_at(START, 1))
        folded = team_stats(source, ask_at(START, 1, fold_small=True))
        named = team_stats(source, ask_at(START, 1, by_member=True))

    assert plain.members == ()
    assert {group.name for group in plain.projects} == {"big", "s1", "s2"}
    assert [(group.name, group.members, group.use.turns) for group in folded.projects] == [
        ("big", 3, 3),
        (OTHERS, None, 3),
    ]
    assert {group.name for group in named.members} == {name(who) for who in ("ana", "bob", "cat")}


def test_private_turns_are_in_no_team_number() -> None:
    """What stands in a private space only is mine, not the team's."""
    rows = [Said("n", project="secret", cost=5, cost_source="computed")]

    assert stats_of(rows, ask_at(START, 1), team=False).current.use.turns == 1
    hidden = stats_of(rows, ask_at(START, 1, team_only=True), team=False)
    assert (hidden.current.use, hidden.projects, hidden.current.sessions) == (Use(), (), 0)


@pytest.mark.parametrize("days", [0, -1, days_max + 1])
def test_a_period_has_a_length(days: int) -> None:
    """No days, or more than ten years of them, are refused before anything is counted."""
    with source_of([]) as source, pytest.raises(ValueError, match="days"):
        team_stats(source, replace(ask_at(START, 1), days=days))
