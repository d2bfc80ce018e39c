"""What a device may tell of its private sessions: what the team has nothing of, each call once, and no more than was chosen."""

from hypothesis import given, settings
from hypothesis import strategies as st

from query.private_use import private_days
from query.source import Source
from store.stats import StatsDay
from tests.query.made_rows import Commit, Said, source_of
from tests.sealing_keys import digest

DEVICE = digest("laptop of ana")


def told(source: Source, *, by_project: bool = False, private: set[str] | None = None) -> dict[str, StatsDay]:
    """The days of Ana's laptop; every project is meant to stay private unless some are named."""
    return private_days(
        source, DEVICE, lambda project: private is None or project in private, by_project=by_project
    )


def turns(days: dict[str, StatsDay]) -> int:
    """Turns of all days."""
    return sum(use.turns for day in days.values() for use in day.uses)


NODES = "abcdef"
CALLS = {"a": "call 1", "b": "call 1", "c": "call 2"}  # a and b log the same one
saids = st.builds(
    Said,
    node=st.sampled_from(NODES),
    used=st.tuples(*[st.integers(0, 9)] * 4),
    minute=st.integers(0, 3000),
)
commits = st.lists(
    st.builds(
        Commit,
        rows=st.lists(saids, min_size=1, max_size=4, unique_by=lambda said: said.node).map(tuple),
        member=st.sampled_from(["ana", "ben"]),
        team=st.booleans(),
    ),
    max_size=6,
)


@settings(max_examples=20)
@given(commits)
def test_what_the_team_has_and_what_is_told_count_each_call_once(made: list[Commit]) -> None:
    """For any history: the calls Ben counts in the team space, and those Ana tells, are the calls of both, none twice."""
    history = [
        Commit(
            tuple(Said(r.node, usage_id=CALLS.get(r.node), used=r.used, minute=r.minute) for r in c.rows),
            c.member,
            c.team,
        )
        for c in made
    ]
    anas = [c for c in history if c.team or c.member == "ana"]
    bens = [c for c in history if c.team]
    with source_of(bens) as source:
        [(team_turns,)] = source.engine.all("SELECT count(*) FROM rows WHERE counted AND space = 'team'")
    with source_of(anas) as source:
        days = told(source)

    assert len({CALLS.get(row.node, row.node) for c in anas for row in c.rows}) == team_turns + turns(days)


def test_a_private_re_log_of_a_team_call_is_not_told() -> None:
    """Another node of a call that some team turn logs too: the team counts the call already."""
    team = Commit((Said("a", usage_id="call", used=(0, 0, 0, 5)),), "ben")
    private = Commit((Said("b", usage_id="call", used=(0, 0, 0, 9)), Said("c", "b")), "ana", team=False)
    with source_of([private, team]) as source:
        days = told(source)

    assert 1 == turns(days)
    assert 0 == sum(use.output for day in days.values() for use in day.uses)


def test_what_the_team_has_is_not_told_whoever_gave_it() -> None:
    """A turn without a call of its own, in both spaces by the same laptop: it is the team's."""
    said = Said("a"), Said("b", "a")
    with source_of(
        [Commit(said, "ana", team=False), Commit(said[:1], "ana"), Commit(said[1:], "ben")]
    ) as source:
        days = told(source)

    assert {} == days


def test_only_this_laptops_private_projects() -> None:
    """Another device's turns are its own to tell, and a project meant for the team waits for its push."""
    mine = Commit((Said("a", project="secret"), Said("b", project="open")), "ana", team=False)
    other = Commit((Said("c", project="secret"),), "ben", team=False)
    with source_of([mine, other]) as source:
        named = told(source, by_project=True, private={"secret"})
        unnamed = told(source, private={"secret"})

    assert [("secret", 1)] == [(use.project, use.turns) for day in named.values() for use in day.uses]
    assert [(None, 1)] == [(use.project, use.turns) for day in unnamed.values() for use in day.uses]


def test_days_are_utc_and_sessions_end_where_nothing_follows() -> None:
    """A session over midnight has turns on both days, and is one session of the later one; what has no time is in none."""
    chain = (Said("a", minute=0), Said("b", "a", minute=24 * 60), Said("c", "b", minute=None))
    fork = Said("d", "a", minute=5)
    with source_of([Commit((*chain, fork), "ana", team=False)]) as source:
        days = told(source)

    assert {"2026-02-14": (1, 2), "2026-02-15": (0, 1)} == {
        day: (each.sessions, sum(use.turns for use in each.uses)) for day, each in days.items()
    }


def test_hostile_counts_and_too_many_names_stay_within_the_format() -> None:
    """Sums are capped at what a reader takes; models beyond the limit are added up without a name."""
    rows = tuple(Said(f"n{n}", model=f"m{n:05d}", used=(2**53 - 1, 0, 0, 1)) for n in range(1100))
    twice = tuple(Said(f"t{n}", model="m00000", used=(2**53 - 1, 0, 0, 1)) for n in range(2))
    with source_of([Commit((*rows, *twice), "ana", team=False)]) as source:
        [day] = told(source).values()

    assert 1024 >= len(day.uses)
    assert 1102 == sum(use.turns for use in day.uses)
    assert 2**53 - 1 == max(use.input_uncached for use in day.uses)
