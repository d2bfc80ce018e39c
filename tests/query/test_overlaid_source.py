"""What was kept and what came in since give the same answers as everything read at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.basis import Basis, form_of
from query.catalog import Catalog
from query.costs import NewCost, costs_table, lay_over
from query.engine import Engine
from query.facts import choose, totals_of
from query.filter import filter_of
from query.intake import Batch, Origin, Tagging, no_rows
from query.kept_catalog import Kept
from query.kept_catalog_writer import keep
from query.moments import Clock
from query.overlaid_source import News, Overlaid
from query.placed import PLACE
from query.sessions import list_sessions
from query.source import Source, fill
from query.stats import team_stats
from query.stats_answer import Ask
from tests.query.made_rows import START, Commit, Said, table_of
from tests.query.test_sessions import NODES, said
from tests.sealing_keys import TEAM_KEY, digest

CLOCK = Clock(START)
OWN = Origin(digest("me"), digest("my laptop"))
COSTS = costs_table([NewCost(digest(node), 77, "computed", "new") for node in NODES[::2]])
commits = st.lists(
    st.builds(
        Commit,
        rows=st.lists(said, min_size=1, max_size=5).map(tuple),
        member=st.sampled_from(["ana", "ben"]),
        team=st.booleans(),
    ),
    max_size=6,
)
own_rows = st.lists(said, max_size=4, unique_by=lambda row: row.node)


def batch(seq: int, commit: Commit) -> Batch:
    """A commit's one manifest."""
    return Origin(digest(commit.member), digest("laptop of " + commit.member), seq, commit.team), table_of(
        commit.rows
    )


ROWS = (
    "SELECT hash, parent, seq, first_seq, space, counted, withheld, member, cost_usd_micro, cost_table, origin >= 0"
    " FROM rows"
)


def links(rows: Sequence[Said]) -> pa.Table:
    """How own rows hang together."""
    return table_of(rows).select(["hash", "parent", "usage_id"])


@contextmanager
def laid(
    folder: Path,
    then: Sequence[Batch],
    since: Sequence[Batch],
    own: tuple[Sequence[Said], Sequence[Said]],
    *,
    costs: bool,
) -> Iterator[Source]:
    """A source kept when it had `then` and the first of `own`, with what came `since` and the other of `own` laid over."""
    path, (own_then, own_now) = folder / "catalog.sealed", own
    with Source(Engine()) as first:
        fill(first, then, [(OWN, table_of(own_then))])
        if costs:
            lay_over(first.engine, COSTS)
        keep(path, TEAM_KEY, first, Basis(form_of(), [], None, None))
        origins = list(first.origins)
    with Source(Engine()) as second:
        kept = Kept(path, TEAM_KEY)
        second.overlaid = Overlaid(second.tableless, kept)
        second.origins += origins
        tagging = Tagging(second.origins)
        committed = pa.concat_tables([no_rows(), *(tagging.tagged(*each) for each in since)])
        before, now = ({row.node: row for row in rows} for rows in (own_then, own_now))
        changed = [node for node in {**before, **now} if before.get(node) != now.get(node)]
        current = [now[node] for node in changed if node in now]
        lost = [now.get(node) or before[node] for node in changed]
        news = News(committed, [(OWN, table_of(current))], links(lost))
        second.overlaid.lay(news, second.origins, COSTS if costs else None)
        yield second


def answers(source: Source) -> dict[str, Any]:
    """Everything that is asked of a source, without numbers that only it knows."""
    catalog = Catalog(source)
    everything = choose(source, filter_of({}), CLOCK, {}, catalog)
    some = choose(source, filter_of({"project": "alpha"}), CLOCK, {}, catalog)
    tools = choose(source, filter_of({"tool": "Ba*"}), CLOCK, {}, catalog)
    rows = source.engine.all("SELECT id, hash FROM rows")
    segments = catalog.segment
    hanging = [row for row, _ in rows if segments[row] >= 0]
    turns = catalog.turns(hanging)
    return {
        "list": list_sessions(source),
        "facts": everything.facts,
        "filtered": (some.facts, totals_of(source, some)),
        "tools": (tools.facts, totals_of(source, tools)),
        "stats": [
            team_stats(source, Ask(CLOCK, 3, team_only, by_member=True), None, catalog)
            for team_only in (True, False)
        ],
        "amounts": {by: values.tolist() for by, values in catalog.amounts.items()},
        "rows": sorted(source.engine.all(ROWS), key=str),
        "turns": {node: replace(turns[row], number=0) for row, node in rows if row in turns},
        "places": places(source, "stored"),
        "others": sorted(source.engine.all("SELECT hash, arrival FROM others")),
    }


def places(source: Source, table: str) -> list[Any]:
    """Where bytes lie, by the slot that says so."""
    found = source.engine.all(f"SELECT hash, {PLACE} FROM {table} AS stored")  # noqa: S608 - constants
    return sorted((row[0], row[1], source.origins[row[2]].seq, *row[3:]) for row in found)


def agrees(
    made: Sequence[Commit],
    late: set[int],
    own: tuple[list[Said], list[Said]],
    *,
    costs: bool,
    settle: bool = False,
) -> None:
    """Fail unless what was kept without the commits of `late` slots answers, with them laid over, as all of them do."""
    batches = [batch(seq, commit) for seq, commit in enumerate(made)]
    then = [each for seq, each in enumerate(batches) if seq not in late]
    since = [each for seq, each in enumerate(batches) if seq in late]
    with Source(Engine()) as whole, TemporaryDirectory() as folder:
        fill(whole, batches, [(OWN, table_of(own[1]))])
        if costs:
            lay_over(whole.engine, COSTS)
        expected = answers(whole)
        with laid(Path(folder), then, since, own, costs=costs) as source:
            assert answers(source) == expected
            assert source.overlaid is not None
            wanted = pa.table({"hash": pa.array([digest(node) for node in NODES], pa.binary())})
            with source.overlaid.near(wanted) as near:
                assert places(source, near) == places(source, "stored")
            if settle:
                source.settle()
                assert answers(source) == expected
                source.settle_rows()
                assert answers(source) == expected


TOLD = (None, None, None, 5)
MORE = (None, None, None, 9)
HANGS: dict[str, tuple[list[Commit], set[int]]] = {
    "a call that is counted elsewhere": (
        [
            Commit((Said("n1", usage_id="call 1", used=TOLD),)),
            Commit((Said("n2", usage_id="call 1", used=MORE),)),
            Commit((Said("n3", "n1"),)),
        ],
        {2},
    ),
    "a parent that comes last": ([Commit((Said("n1", "n0"),)), Commit((Said("n0"),))], {1}),
    "a first commit that comes last": (
        [
            Commit((Said("n1", project="alpha"),), "ben"),
            Commit((Said("n1", project="beta"), Said("n2", "n1"))),
        ],
        {0},
    ),
    "a rival of another tree": (
        [
            Commit((Said("n1", usage_id="call 1", used=MORE),), "ben"),
            Commit((Said("n2", used=TOLD),)),
            Commit((Said("n2", usage_id="call 1", used=MORE),)),
            Commit((Said("n2", usage_id="call 2", used=(0, 0, 0, 50)), Said("n3", "n2"))),
        ],
        {0},
    ),
    "a circle that opens": (
        [Commit((Said("n1", "n2"), Said("n2", "n1"))), Commit((Said("n1"), Said("n3", "n2")))],
        {0},
    ),
}


@pytest.mark.parametrize("how", HANGS)
def test_rows_hang_together_in_every_way(how: str) -> None:
    """Each link by which a new row changes what a kept one means."""
    made, late = HANGS[how]
    agrees(made, late, ([], []), costs=False, settle=how == "a parent that comes last")


drawn = given(commits, st.sets(st.integers(0, 5)), st.tuples(own_rows, own_rows), st.booleans())


@settings(max_examples=4, deadline=None)
@drawn
def test_what_came_since_is_as_if_it_had_been_there(
    made: list[Commit], late: set[int], own: tuple[list[Said], list[Said]], costs: object
) -> None:
    """Rivals, replays, forks, circles and withheld turns, before, between and behind what was kept: the same answers to all."""
    agrees(made, late, own, costs=bool(costs))


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@drawn
def test_what_came_since_is_as_if_it_had_been_there_often(
    made: list[Commit], late: set[int], own: tuple[list[Said], list[Said]], costs: object
) -> None:
    """The same, of many more teams."""
    agrees(made, late, own, costs=bool(costs))
