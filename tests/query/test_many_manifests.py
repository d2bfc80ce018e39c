"""However finely a team's pushes were cut: the same answers."""

import random
from pathlib import Path

import pytest

from query.basis import Basis, form_of
from query.engine import Engine
from query.facts import choose
from query.filter import filter_of
from query.kept_catalog import Kept
from query.kept_catalog_writer import keep
from query.moments import Clock
from query.overlaid_source import Overlaid
from query.sessions import list_sessions
from query.source import Source
from query.stats import team_stats
from query.stats_answer import Ask
from tests.query.made_rows import START, Commit, Said, source_of
from tests.sealing_keys import TEAM_KEY

manifests = 5_000


def _kept(folder: Path) -> Source:
    source = Source(Engine())
    source.overlaid = Overlaid(source.tableless, Kept(folder / "kept", TEAM_KEY))
    return source


@pytest.mark.long
def test_five_thousand_manifests_and_one_give_the_same_answers(tmp_path: Path) -> None:
    """Sessions, filters and dashboard over 5,000 manifests of a row each, over the same rows in three, and as they are kept."""
    chosen = random.Random(3)
    rows = [
        Said(
            f"n{number}",
            parent=f"n{number - chosen.randint(1, 3)}" if number % 20 > 3 else None,
            conversation=f"talk{number // 20}",
            usage_id=f"call{chosen.randrange(manifests)}",
            used=(chosen.randrange(900), 5, 3, chosen.randrange(900)),
            cost=chosen.randrange(5000),
            cost_source="computed",
            project=f"p{number // 20 % 7}",
            model=f"m{number % 3}",
            minute=-chosen.randrange(60 * 24 * 20),
        )
        for number in range(manifests)
    ]
    commits = [Commit(tuple(rows[start::3]), member=f"m{start}") for start in range(3)]
    answers = []
    for apart in (False, True, None):
        with _kept(tmp_path) if apart is None else source_of(commits, apart=apart) as source:
            if apart:
                keep(tmp_path / "kept", TEAM_KEY, source, Basis(form_of(), [], None, None))
            clock = Clock(START)
            some = choose(source, filter_of({"project": "p3", "cost": ">0.01"}), clock, {})
            answers.append(
                (list_sessions(source), some.facts, team_stats(source, Ask(clock, by_member=True)))
            )

    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1]
