"""Where a conversation's leaves stand: judged from the log's clear leaves, whatever became of the manifests that open them.

Leaves whose tags one K_tag makes form a run; each continues the one before it. A member may name a manifest that was never
uploaded, or upload it later, or write it wrong; and a bucket may lose one. So no answer here depends on which manifests are at
hand: a leaf of one that was taken in is known by its opening, any other by its tag, and both say the same. Else two honest
clients that read different manifests would refuse each other's pushes for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from crypto import leaves
from store import commits
from store.commits import Leaf
from sync.leaf_history import LeafHistory
from sync.replica import PendingManifest

_Place = tuple[bytes, bytes, bytes]  # space, device, tag


@dataclass(slots=True)
class Chains:
    """The leaves taken in, and the clear leaves of commits whose manifests were not: found by tag, however many they are."""

    taken: LeafHistory
    clear: dict[_Place, list[tuple[int, bytes]]] = field(default_factory=dict)  # (slot, c), in log order
    devices: dict[bytes, set[bytes]] = field(default_factory=dict)  # by space: whose these are

    def miss(self, pending: PendingManifest, told: Iterable[Leaf]) -> None:
        """Go on without a manifest: all there is to see of its commit's leaves is what the commit tells."""
        appended = {leaf.tag: leaf.c for leaf in told if leaf.kind == commits.leaf_append}
        for tag, c in appended.items():
            place = (pending.space, pending.device, bytes.fromhex(tag))
            self.clear.setdefault(place, []).append((pending.seq, bytes.fromhex(c)))
        self.devices.setdefault(pending.space, set()).add(pending.device)

    def state(self, space: bytes, k_tag: bytes, device: bytes, before: int) -> tuple[bytes, int]:
        """What a run's next leaf, by `device` in slot `before`, must continue: the newest `c` (empty for none) and its `j`."""
        newest = self.taken.newest(space, k_tag, before) or (-1, b"")
        own_j = 0
        for author in {device, *self.devices.get(space, ())}:
            seq, j = self.taken.newest_of(space, k_tag, author, before)
            while found := self._clear_leaf(space, k_tag, author, j, seq + 1, before):
                newest, seq, j = max(newest, found), found[0], j + 1
            own_j = j if author == device else own_j
        return newest[1], own_j

    def _clear_leaf(
        self, space: bytes, k_tag: bytes, author: bytes, j: int, start: int, before: int
    ) -> tuple[int, bytes] | None:
        places = self.clear.get((space, author, leaves.leaf_tag(k_tag, author, j)), ())
        return min((each for each in places if start <= each[0] < before), default=None)
