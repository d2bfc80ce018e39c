"""The shape of the DAG: chains of only children become segments, so that paths are folded over few pieces.

A session list that walks from each leaf to its root costs leaves times depth. Here each node is visited once: a segment runs
from a root, or from below a fork, down to the next fork or leaf. Its sums come from one GROUP BY, and a path is the path of the
segment above plus one segment.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

nowhere = -1
Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes and segments by number. Segments are numbered depth first: those below one come right after it.

    Nodes on a cycle, or below one, hang from no root: their segment and position are `nowhere`. Hostile rows can say so (a
    parent is believed until the node itself is opened); they must neither hang us nor make a session.
    """

    segment: "array[int]"  # by node
    position: "array[int]"  # by node: in depth-first order
    above: "array[int]"  # by segment: the one it forks off, or nowhere
    leaf: "array[int]"  # by segment: its last node if that is a leaf, or nowhere
    end: "array[int]"  # by segment: one past the last position below its first node
    last: "array[int]"  # by segment: the last one below it; itself if none is

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


def numbers_of(column: "array[int]") -> Numbers:
    """A column's own memory, for arithmetic on all of it at once."""
    return np.frombuffer(column, np.int32)


def grow(parents: Sequence[int]) -> Forest:
    """The forest of nodes 0…n-1, given the parent of each, or `nowhere` for a root. No recursion; at worst n log n."""
    chains = _Chains.of(np.asarray(parents, np.int32))
    order = _depth_first(chains.above)
    rank = np.full(len(chains.above) + 1, nowhere, np.int32)  # the last place stands for `nowhere`
    rank[order] = np.arange(len(order), dtype=np.int32)
    lengths = chains.lengths[order]
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    segment = rank[chains.of_node]
    hangs = segment != nowhere
    position = np.where(hangs, starts[segment] + chains.offset, nowhere)
    above = rank[chains.above[order]]
    last = _last_below(above)
    lowest = chains.lowest[order]
    leaf = np.where(chains.children[lowest] == 0, lowest, nowhere)
    columns = (segment, position, above, leaf, starts[last + 1], last)
    return Forest(*(array("i", np.ascontiguousarray(column, np.int32).tobytes()) for column in columns))


@dataclass(frozen=True, slots=True)
class _Chains:
    """Chains of only children, in the order of their first nodes; cycles are among them."""

    of_node: Numbers  # which chain, or nowhere: on a cycle without a fork
    offset: Numbers  # how far down the chain
    above: Numbers  # by chain: the one it hangs from, or nowhere
    lengths: Numbers
    lowest: Numbers  # by chain: its last node
    children: Numbers  # by node: how many

    @classmethod
    def of(cls, parents: Numbers) -> "_Chains":
        nodes = np.arange(len(parents), dtype=np.int32)
        children = np.bincount(parents[parents != nowhere], minlength=len(parents)).astype(np.int32)
        first = (parents == nowhere) | (children[parents] != 1)
        top, offset = _climbed(np.where(first, nodes, parents), first)
        heads = np.flatnonzero(first).astype(np.int32)
        number = np.full(len(parents) + 1, nowhere, np.int32)  # the last place stands for `nowhere`
        number[heads] = np.arange(len(heads), dtype=np.int32)
        of_node = number[top]
        inside = of_node != nowhere
        lengths = np.bincount(of_node[inside], minlength=len(heads)).astype(np.int32)
        lowest = np.empty(len(heads), np.int32)
        ends = nodes[inside][offset[inside] == lengths[of_node[inside]] - 1]
        lowest[of_node[ends]] = ends
        above_node = parents[heads]
        above = np.where(above_node == nowhere, nowhere, of_node[above_node])
        return cls(of_node, offset, above, lengths, lowest, children)


def _climbed(jump: Numbers, first: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """The first node of each one's chain, and the steps to it. Each round doubles the stride; a cycle runs out of rounds."""
    steps = (~first).astype(np.int32)
    for _ in range(len(jump).bit_length()):
        further = jump[jump]
        if np.array_equal(further, jump):
            break
        steps += steps[jump]
        jump = further
    return jump, steps


def _depth_first(above: Numbers) -> NDArray[np.int64]:
    """The chains that hang from a root, each followed by all below it."""
    by_above = np.argsort(above, kind="stable")
    first_below = np.searchsorted(above[by_above], np.arange(len(above) + 1)).tolist()
    below = by_above.tolist()
    order: list[int] = []
    waiting = below[: first_below[0]][::-1]  # roots: what hangs from `nowhere` sorts first
    while waiting:
        chain = waiting.pop()
        order.append(chain)
        if first_below[chain] != first_below[chain + 1]:
            waiting.extend(reversed(below[first_below[chain] : first_below[chain + 1]]))
    return np.array(order, np.int64)


def _last_below(above: Numbers) -> Numbers:
    """By segment, the last one below it. Those come later, so backwards each is final when it is read."""
    last = list(range(len(above)))
    for number, upper in zip(reversed(last.copy()), reversed(above.tolist()), strict=True):
        if upper != nowhere and last[upper] < last[number]:
            last[upper] = last[number]
    return np.array(last, np.int32)
