"""The forest against the same questions asked node by node."""

from hypothesis import given
from hypothesis import strategies as st

from query.forest import grow, nowhere


def way_up(parents: list[int], node: int) -> list[int] | None:
    """The node and its ancestors; None when that goes in a circle."""
    way = []
    while node != nowhere:
        if node in way:
            return None
        way.append(node)
        node = parents[node]
    return way


@given(st.lists(st.integers(-1, 11), max_size=12).map(lambda p: [q if q < len(p) else nowhere for q in p]))
def test_a_forest_knows_who_is_above_whom(parents: list[int]) -> None:
    """Ancestors, leaves, trees and what hangs from no root, for any parents at all, circles included."""
    forest = grow(parents)
    ways = [way_up(parents, node) for node in range(len(parents))]

    assert [way is None for way in ways] == [segment == nowhere for segment in forest.segment]
    hanging = {node: way for node, way in enumerate(ways) if way is not None}
    for lower, way in hanging.items():
        assert [upper in way for upper in hanging] == [forest.is_ancestor(upper, lower) for upper in hanging]
        assert (lower not in parents) == forest.is_leaf(lower)
        assert forest.segment[way[-1]] == forest.tree(lower)


@given(st.lists(st.integers(-1, 11), max_size=12).map(lambda p: [q if q < len(p) else nowhere for q in p]))
def test_segments_are_stretches_between_forks(parents: list[int]) -> None:
    """Along a path the segments are those of the way down, each below the one above it, in rising order."""
    forest = grow(parents)
    for node in range(len(parents)):
        way = way_up(parents, node)
        if way is None:
            continue
        passed = list(dict.fromkeys(forest.segment[step] for step in reversed(way)))

        assert sorted(passed) == passed
        assert [nowhere, *passed[:-1]] == [forest.above[number] for number in passed]


def test_a_chain_of_a_hundred_thousand_is_one_segment() -> None:
    """Depth costs neither recursion nor memory beyond the arrays."""
    count = 100_000
    forest = grow([number - 1 for number in range(count)])

    assert [count - 1] == list(forest.leaf)
    assert forest.is_ancestor(0, count - 1)
