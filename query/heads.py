"""Which leaves are no heads: provisional nodes of a message that was still growing when it was read.

Such a node was imported, perhaps pushed, and then stood beside the complete one with the same usage id, a leaf for ever. It is
told by what every laptop can see, not by the importer's own note, so that all list the same sessions.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from query.engine import Engine
from query.forest import Forest

# Best first: the largest output, then the node that the conversation went on from, then the longest, then the smallest hash. The
# order is total, so two equal leaves never hide each other. Only a member's own node hides a leaf: with another's usage id,
# anybody could make that session vanish from everybody's list.
_GROUPS: Final = """
SELECT usage_id, conversation, member, id
FROM rows JOIN places USING (id) LEFT JOIN leaves USING (id)
WHERE places.segment >= 0 AND usage_id IN (SELECT usage_id FROM rows WHERE NOT counted)
QUALIFY count(*) OVER (PARTITION BY usage_id, conversation, member) > 1
ORDER BY usage_id, conversation, member, coalesce(output, -1) DESC, leaves.leaf IS NOT NULL, stored_bytes DESC, hash
"""


def superseded(engine: Engine, forest: Forest) -> set[int]:
    """Leaves (node numbers) with a better node of the same model call, conversation and member that is not above them.

    Needs the tables `places` (id, segment) and `leaves` (id, leaf).
    """
    hidden: set[int] = set()
    for _, group in groupby(engine.stream(_GROUPS), key=itemgetter(0, 1, 2)):
        hidden.update(_outdone([row[3] for row in group], forest))
    return hidden


def _outdone(best_first: Sequence[int], forest: Forest) -> Iterator[int]:
    """The leaves for which some better node is not an ancestor. Linear: a hostile group may hold every node there is.

    As long as the nodes seen lie on one path, it is enough to compare with the lowest of them; once they do not, none is below
    all of them.
    """
    lowest, on_one_path = best_first[0], True
    for node in best_first[1:]:
        if on_one_path and forest.is_ancestor(lowest, node):
            lowest = node
            continue
        if forest.is_leaf(node):
            yield node
        on_one_path = on_one_path and forest.is_ancestor(node, lowest)
