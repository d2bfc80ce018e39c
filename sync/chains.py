"""Where a conversation's leaves stand: judged from the log's clear leaves, whatever became of the manifests that open them.

Leaves whose tags one K_tag makes form a run; each continues the one before it. A member may name a manifest that was never
uploaded, or upload it later, or write it wrong; and a bucket may lose one. So no answer here depends on which manifests are at
hand: a leaf of one that was taken in is known by its opening, any other by its tag, and both say the same. Else two honest
clients that read different manifests would refuse each other's pushes for ever.
"""

from collections.abc import Mapping

from crypto import leaves
from store import commits
from sync.client import Client
from sync.replica import PendingManifest


def run_state(client: Client, space: bytes, k_tag: bytes, device: bytes, before: int) -> tuple[bytes, int]:
    """What the run's next leaf, by `device` in slot `before`, must continue: the newest `c` (empty for none) and its `j`."""
    replica, taken = client.replica, client.replica.leaves
    seq, last_c = taken.newest(space, k_tag, before) or (-1, b"")
    counts: dict[bytes, int] = {}
    for pending in replica.not_taken_in(space, before):
        j = max(counts.get(pending.device, 0), taken.count(space, k_tag, pending.device, pending.seq))
        c = _clear_leaves(client, pending).get(leaves.leaf_tag(k_tag, pending.device, j))
        counts[pending.device] = j if c is None else j + 1
        if c is not None and pending.seq > seq:
            last_c = c
    return last_c, max(counts.get(device, 0), taken.count(space, k_tag, device, before))


def _clear_leaves(client: Client, pending: PendingManifest) -> Mapping[bytes, bytes]:
    """The append leaves of a commit as everybody can see them: tag → c."""
    if pending.seq not in client.clear_leaves:
        client.clear_leaves[pending.seq] = {
            bytes.fromhex(leaf.tag): bytes.fromhex(leaf.c)
            for leaf in client.commit_at(pending.seq).leaves
            if leaf.kind == commits.leaf_append
        }
    return client.clear_leaves[pending.seq]
