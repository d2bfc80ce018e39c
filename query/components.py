"""Which rows can have a say in each other's sessions and sums: trees, joined where they share a model call or a rival row.

What is shown of a node, what counts, and which leaves are heads is decided inside one component. So when rows come in, only the
components that they touch are judged again; a test holds that to judging everything.
"""

from array import array
from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.engine import Engine
from query.forest import Forest, Numbers, nowhere, numbers_of

_loose: Final = 0  # the component of all rows that hang from no root: circles, and what is below them
_SHARED_CALLS: Final = """
WITH said AS (
    SELECT usage_id, tree FROM rows JOIN trees USING (id) WHERE usage_id IS NOT NULL
    UNION ALL
    SELECT losers.usage_id, tree FROM losers JOIN rows USING (hash) JOIN trees USING (id) WHERE losers.usage_id IS NOT NULL
)
SELECT list(DISTINCT tree) FROM said GROUP BY usage_id HAVING min(tree) <> max(tree)
"""
_RIVAL_PARENTS: Final = """
SELECT [of_node.tree, of_parent.tree]
FROM losers JOIN rows ON rows.hash = losers.hash JOIN trees AS of_node ON of_node.id = rows.id
    JOIN rows AS parents ON parents.hash = losers.parent JOIN trees AS of_parent ON of_parent.id = parents.id
WHERE of_node.tree <> of_parent.tree
"""


def components_of(engine: Engine, forest: Forest) -> Numbers:
    """By row id: the number of its component. Reads `rows` and `losers`."""
    trees = _trees(forest)
    column = pa.array(trees, pa.int32())
    with engine.table("trees", pa.table({"id": pa.array(np.arange(len(trees)), pa.int64()), "tree": column})):
        joined = [*engine.all(_SHARED_CALLS), *engine.all(_RIVAL_PARENTS)]
    count = int(trees.max(initial=_loose)) + 1
    return _united(count, (group for (group,) in joined))[trees]


def _trees(forest: Forest) -> Numbers:
    """By row: which tree, from 1. Segments are numbered depth first: those of one tree follow its root's."""
    of_segment = np.cumsum(numbers_of(forest.above) == nowhere, dtype=np.int32)
    segment = numbers_of(forest.segment)
    return np.where(segment == nowhere, _loose, np.append(of_segment, _loose)[segment]).astype(np.int32)


def _united(count: int, groups: Iterable[list[int]]) -> NDArray[np.int32]:
    """By number below `count`: one that stands for all it is joined to. Paths are halved on the way: nearly linear."""
    stands = array("i", range(count))

    def top(number: int) -> int:
        while stands[number] != number:
            stands[number] = number = stands[stands[number]]
        return number

    for first, *rest in groups:
        for other in rest:
            one, two = top(first), top(other)
            stands[max(one, two)] = min(one, two)
    return np.array([top(number) for number in range(count)], np.int32)
