"""The filter: what it refuses, what it means, and that nothing in it ever becomes SQL."""

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto.errors import UsageError
from query.condition import condition, like_pattern
from query.engine import Engine
from query.facts import choose
from query.filter import SessionFilter, bound, filter_from_json, filter_from_url, filter_of
from query.moments import Clock, clock_now, span
from tests.query.made_rows import Commit, Said, name, source_of

CLOCK = Clock(datetime(2026, 2, 14, 12, 0, tzinfo=UTC), ZoneInfo("UTC"))
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
fields = st.fixed_dictionaries(
    {},
    optional={
        "text": words,
        "project": st.lists(words, min_size=1, max_size=3).map(tuple),
        "model": st.lists(words, min_size=1, max_size=3).map(tuple),
        "status": st.sampled_from(["failed", "unknown"]),
        "has": st.just(("error", "git")),
        "since": st.sampled_from(["7d", "2026-02-14", "yesterday"]),
        "cost": st.sampled_from([">0.5", "<=2"]),
    },
)


def chosen_ids(rows: list[Said], **asked: Any) -> set[str]:
    """The sessions of one commit of Ana's that pass."""
    with source_of([Commit(tuple(rows))]) as source:
        found = choose(source, filter_of(asked), CLOCK, {name("ana"): "Ana"})
        return {facts.id for facts in found.facts}


@given(fields)
def test_a_filter_survives_json_and_urls(given_fields: dict[str, Any]) -> None:
    """What is saved or linked to is read back as the same filter."""
    made = filter_of(given_fields)

    assert filter_from_json(made.to_json()) == made == filter_from_url(made.to_url())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"modell": "x"}, "no filter 'modell'"),
        ({"cost": "0.5"}, "cost: "),
        ({"cost": ">much"}, "cost: "),
        ({"duration": ">"}, "duration: "),
        ({"since": "soon"}, "since: "),
        ({"since": "2026-02-30"}, "since: "),
        ({"since": "999999w"}, "since: "),
        ({"status": "done"}, "status: "),
        ({"project": 7}, "project: "),
        ({"project": ""}, "project: "),
        ({"project": "x" * 600}, "project: "),
        ({"turns": [5]}, "turns: "),
        ({"status": 5}, "status: "),
    ],
)
def test_what_no_filter_can_mean_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    """An error that names the field, never a filter that silently matches nothing."""
    with pytest.raises(UsageError, match=said):
        filter_of(wrong)


def test_an_unknown_field_gets_its_nearest_neighbour() -> None:
    """A slip of the finger is answered with what was probably meant."""
    with pytest.raises(UsageError) as refused:
        filter_from_url("modle=x")

    assert refused.value.hint == "did you mean model?"


@pytest.mark.parametrize("text", ["[]", "nothing", '"x"', "[" * 100_000])
def test_what_is_no_saved_filter_is_refused(text: str) -> None:
    """A damaged or hostile file is a usage error."""
    with pytest.raises(UsageError):
        filter_from_json(text)


def test_two_values_where_one_may_be_are_refused() -> None:
    """Neither wins silently, in a URL or between a line and a flag."""
    with pytest.raises(UsageError, match="given twice"):
        filter_from_url("since=7d&since=8d")
    with pytest.raises(UsageError, match="given twice"):
        SessionFilter(since="7d").merged(SessionFilter(since="8d"))


@pytest.mark.parametrize(
    ("field", "text", "amount"),
    [
        ("cost", ">=0.000001", 1),
        ("cost", "<$12.5", 12_500_000),
        ("tokens", ">10k", 10_000),
        ("tokens", ">1.5m", 1_500_000),
        ("duration", "<1h30m", 5_400_000_000),
        ("duration", "<90", 90_000_000),
        ("duration", ">2d", 172_800_000_000),
        ("turns", "> 20", 20),
    ],
)
def test_amounts_are_exact_in_their_units(field: str, text: str, amount: int) -> None:
    """Micro-USD, tokens, microseconds, turns: integers, never floats."""
    assert bound(field, text)[1] == amount


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Vienna", "2026-03-29", 23), ("Europe/Vienna", "2026-10-25", 25), ("UTC", "today", 24)],
)
def test_a_day_is_as_long_as_it_is_in_its_zone(zone: str, day: str, hours: int) -> None:
    """Days on which clocks change have 23 or 25 hours."""
    start, end = span(day, Clock(CLOCK.now, ZoneInfo(zone)))

    assert (end - start).total_seconds() == hours * 3600


def test_yesterday_is_the_zones_not_utcs() -> None:
    """Shortly after midnight in Auckland, yesterday is a day that UTC is still in."""
    clock = Clock(datetime(2026, 2, 14, 12, 0, tzinfo=UTC), ZoneInfo("Pacific/Auckland"))

    start, end = span("yesterday", clock)

    assert (start, end) == (datetime(2026, 2, 13, 11, tzinfo=UTC), datetime(2026, 2, 14, 11, tzinfo=UTC))
    assert clock.stated == "Pacific/Auckland"


@pytest.mark.parametrize("zone", ["Mars/Phobos", "../../etc/passwd", "Europe", "\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """Whatever is given as a zone, the answer is a usage error."""
    with pytest.raises(UsageError, match="time zone"):
        clock_now(zone)


def test_a_session_across_midnight_is_in_both_days() -> None:
    """A span takes every session that went on in it, not only those that began or ended there."""
    rows = [Said("a", minute=14 * 60), Said("b", parent="a", minute=15 * 60)]  # 23:30 to 00:30

    days = [chosen_ids(rows, date=day) for day in ("2026-02-13", "2026-02-14", "2026-02-15", "2026-02-16")]

    assert days == [set(), {name("b")}, {name("b")}, set()]
    assert chosen_ids(rows, since="2026-02-15", until="2026-02-15") == {name("b")}
    assert chosen_ids(rows, until="2026-02-13") == set()


def test_a_session_without_times_is_in_no_span() -> None:
    """It is listed without a time filter, and never guessed into one."""
    assert chosen_ids([Said("a", minute=None)]) == {name("a")}
    assert chosen_ids([Said("a", minute=None)], until="2100-01-01") == set()


def test_labels_match_whole_with_globs_and_without_case() -> None:
    """LIKE's own signs are letters like others; only * and ? stand for anything."""
    rows = [Said("a", project="100%_Sure", model="Claude-4"), Said("b", project="100xySure")]

    assert chosen_ids(rows, project="100%_sure") == {name("a")}
    assert chosen_ids(rows, project="100*SURE") == {name("a"), name("b")}
    assert chosen_ids(rows, project="100") == set()
    assert chosen_ids(rows, project=("nothing", "100??sure")) == {name("a"), name("b")}
    assert chosen_ids(rows, model="claude-*") == {name("a")}
    assert (
        chosen_ids(rows, member="an?") == chosen_ids(rows, member=name("ana")[:8]) == {name("a"), name("b")}
    )


def test_amounts_and_features_choose() -> None:
    """Costs, tokens, turns and unpriced calls of the whole path decide."""
    rows = [
        Said("a", used=(1, 2, 3, 4), cost=600_000, cost_source="computed"),
        Said("b", used=(1, None, None, 1), cost_source="unpriced"),
    ]

    assert chosen_ids(rows, cost=">0.5") == chosen_ids(rows, tokens=">=10") == {name("a")}
    assert chosen_ids(rows, cost=(">0.5", "<0.55")) == set()
    assert chosen_ids(rows, has="unpriced") == {name("b")}
    assert chosen_ids(rows, space="team") == {name("a"), name("b")}
    assert chosen_ids(rows, space="local") == set()
    assert chosen_ids(rows, status="abandoned", turns="<2") == {name("a"), name("b")}


@given(words)
def test_no_value_becomes_sql(word: str) -> None:
    """Whatever a value holds, the SQL is the same text, and DuckDB takes it."""
    assume(not re.fullmatch("[0-9a-fA-F]{4,64}", word))  # a member's id is looked for as such, too
    asked = filter_of({"project": word, "model": word, "member": word, "agent": word, "provider": word})
    made, plain = (
        condition(asked, CLOCK),
        condition(filter_of(dict.fromkeys(("project", "model", "member", "agent", "provider"), "x")), CLOCK),
    )

    assert made.sql == plain.sql
    assert all(value == like_pattern(word) for value in made.values)


@given(words)
def test_a_name_matches_itself(word: str) -> None:
    """Any project can be named, whatever signs are in it."""
    engine = Engine()
    try:
        [(same,)] = engine.all(r"SELECT lower(?) LIKE lower(?) ESCAPE '\'", [word, like_pattern(word)])
    finally:
        engine.close()

    assert same
