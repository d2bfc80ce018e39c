"""Stopping early: what an answer by date leaves unread never changes it."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import query.indexed
import query.search
from query.catalog import Catalog
from query.engine import Engine
from query.forest import grow, nowhere
from query.path_table import Paths, PathTable
from query.source import Source
from store.local import LocalStore
from store.nodes import Node
from tests.query.searching import asking, said

WORDS = ("kite", "tail", "wind")
# (turn it answers or none, its words, its minute): forks, several roots, arrivals out of the order of time
turns = st.tuples(
    st.integers(-1, 30), st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join), st.integers(0, 59)
)
LINES = ("kite", "kite tail", "wind -kite", 'tail OR "kite kite"', "kite status:completed", "kite turns:>2")


def conversation(drawn: list[tuple[int, str, int]]) -> list[Node]:
    """Turns below earlier ones, each different."""
    nodes: list[Node] = []
    for number, (parent, words, minute) in enumerate(drawn):
        above = nodes[parent % len(nodes)] if nodes and parent >= 0 else None
        nodes.append(said(f"{words} n{number}", above, minute, answer=number % 2 == 1))
    return nodes


@settings(max_examples=40)
@given(st.lists(turns, min_size=3, max_size=30), st.integers(1, 4), st.integers(0, 6), st.integers(1, 5))
def test_an_answer_that_stopped_early_is_the_whole_answer(
    drawn: list[tuple[int, str, int]], limit: int, counted: int, step: int
) -> None:
    """Whatever the shape and the order of arrival, and wherever it stops: sessions, their matches and counts are the scan's."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(query.search, "matches_counted_max", counted)
        patched.setattr(query.indexed, "_first_step_docs", step)
        patched.setattr(query.indexed, "_runs_max", 2)
        with LocalStore.open(Path(folder) / "tapes.db") as local:
            local.add(conversation(drawn))
            with asking(local, None, Path(folder) / "i.db") as indexed, asking(local, None, None) as scanned:
                for line in LINES:
                    assert scanned.search(line, limit=limit) == indexed.search(line, limit=limit)


def test_matches_beyond_the_count_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One match more than is counted: a lower bound, no number of sessions, and the shown session still counts all of its own."""
    monkeypatch.setattr(query.search, "matches_counted_max", 4)
    with LocalStore.open(tmp_path / "tapes.db") as local:
        path = conversation([(number - 1, "kite", number) for number in range(5)])
        local.add(path)
        for index in (None, tmp_path / "i.db"):
            with asking(local, None, index) as desk:
                over, exact = desk.search("kite", limit=1), desk.search("kite -n0", limit=1)

                assert (over.sessions, over.matches, over.more, over.found[0].matches) == (None, 4, True, 5)
                assert (exact.sessions, exact.matches, exact.more) == (1, 4, False)


@given(
    st.lists(st.integers(-1, 19), max_size=20).map(lambda p: [q if q < len(p) else nowhere for q in p]),
    st.integers(0, 2**31 - 1),
)
def test_the_lowest_below_is_found_for_any_shape(parents: list[int], seed: int) -> None:
    """By segment, the minimum over it and all that fork off it, as told one by one."""
    forest = grow(parents)
    catalog = Catalog(Source(Engine()))
    catalog.__dict__["paths"] = Paths(PathTable.of([]), lambda: (forest, array("i", parents)))
    values = np.array([(seed * (number + 1)) % 97 for number in range(len(forest.above))], np.int32)
    below = [
        [other for other in range(len(forest.above)) if _is_below(forest.above, other, number)]
        for number in range(len(forest.above))
    ]

    assert [min(values[some]) for some in below] == catalog.lowest_below(values).tolist()
    catalog.source.close()


def _is_below(above: Sequence[int], lower: int, upper: int) -> bool:
    while lower not in {nowhere, upper}:
        lower = above[lower]
    return lower == upper
