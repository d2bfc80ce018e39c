"""The shape of the DAG: chains of only children become segments, so that paths are folded over few pieces.

A session list that walks from each leaf to its root costs leaves times depth. Here each node is visited once: a segment runs
from a root, or from below a fork, down to the next fork or leaf. Its sums come from one GROUP BY, and a path is the path of the
segment above plus one segment.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

nowhere = -1


def _numbers() -> "array[int]":
    return array("i")


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes and segments by number; a segment comes after the one above it.

    Nodes on a cycle, or below one, hang from no root: their segment and position are `nowhere`. Hostile rows can say so (a
    parent is believed until the node itself is opened); they must neither hang us nor make a session.
    """

    segment: "array[int]"  # by node
    position: "array[int]"  # by node: in depth-first order
    above: "array[int]" = field(default_factory=_numbers)  # by segment: the one it forks off, or nowhere
    leaf: "array[int]" = field(
        default_factory=_numbers
    )  # by segment: its last node if that is a leaf, or nowhere
    end: "array[int]" = field(
        default_factory=_numbers
    )  # by segment: one past the last position below its first node

    def is_leaf(self, node: int) -> bool:
        """Whether a node that hangs from a root has no child."""
        return self.leaf[self.segment[node]] == node

    def tree(self, node: int) -> int:
        """The number of the segment that starts with the node's root; `nowhere` if it hangs from none."""
        number = self.segment[node]
        while number != nowhere and self.above[number] != nowhere:
            number = self.above[number]
        return number

    def is_ancestor(self, upper: int, lower: int) -> bool:
        """Whether node `upper` is `lower` or above it; both hang from a root."""
        return self.position[upper] <= self.position[lower] < self.end[self.segment[upper]]


def grow(parents: Sequence[int]) -> Forest:
    """The forest of nodes 0…n-1, given the parent of each, or `nowhere` for a root. Linear; no recursion."""
    children = _Children(parents)
    forest = Forest(_nowhere(len(parents)), _nowhere(len(parents)))
    waiting = [(root, nowhere) for root in children.roots]
    position = 0
    while waiting:
        node, above = waiting.pop()
        number = len(forest.above)
        chain = children.chain(node)
        for offset, member in enumerate(chain):
            forest.segment[member] = number
            forest.position[member] = position + offset
        position += len(chain)
        last = chain[-1]
        forest.above.append(above)
        forest.end.append(position)
        forest.leaf.append(last if children.first[last] == nowhere else nowhere)
        waiting.extend((child, number) for child in children.of(last))
    _close(forest)
    return forest


class _Children:
    """First child and next sibling of every node: two flat arrays instead of a million lists."""

    def __init__(self, parents: Sequence[int]) -> None:
        self.first = _nowhere(len(parents))
        self._next = _nowhere(len(parents))
        self.roots = []
        for node, parent in enumerate(parents):
            if parent == nowhere:
                self.roots.append(node)
            else:
                self._next[node] = self.first[parent]
                self.first[parent] = node

    def of(self, node: int) -> Iterator[int]:
        """The children."""
        child = self.first[node]
        while child != nowhere:
            yield child
            child = self._next[child]

    def chain(self, node: int) -> list[int]:
        """The node, and its descendants as long as there is exactly one."""
        chain = [node]
        child = self.first[node]
        while child != nowhere and self._next[child] == nowhere:
            chain.append(child)
            child = self.first[child]
        return chain


def _nowhere(count: int) -> "array[int]":
    return array("i", [nowhere]) * count


def _close(forest: Forest) -> None:
    """Extend each segment's end over all below it. Those come later, so backwards each end is final when it is read."""
    for number in range(len(forest.above) - 1, -1, -1):
        above = forest.above[number]
        if above != nowhere:
            forest.end[above] = max(forest.end[above], forest.end[number])
