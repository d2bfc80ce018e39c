"""Leaf commitments: what a commit says to a later auditor, and to nobody else (DESIGN §8, transparency-log.md §3.3).

    node commitment = HMAC-SHA256("tapes/v0/node-commitment", opening 32 ‖ node hash 32 ‖ SHA-256(stored node bytes))
    withheld node   = HMAC-SHA256("tapes/v0/withheld-commitment", opening 32 ‖ node hash 32)
    batch root      = RFC 6962 tree over the node commitments, with prefixes of its own so that no inner node parses as a log leaf
    c               = HMAC-SHA256("tapes/v0/leaf-commitment", r 32 ‖ fields, each u16 length ‖ bytes)
    tag             = HMAC-SHA256(K_tag, "tapes/v0/leaf-tag" 00 device 32 ‖ j u64)[:16]

The HMAC key is a public constant and the secret opening stands in the message at a fixed length: HMAC pads its key, so
an opening used as the key would open equally as opening ‖ 00.
"""

import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from crypto import labels
from crypto.labels import labelled

tag_bytes = 16
opening_bytes = 32
_NODE_KEY = labels.NODE_COMMITMENT.ljust(sha256().block_size, b"\0")
_NODE_INNER = bytes(byte ^ 0x36 for byte in _NODE_KEY)
_NODE_OUTER = bytes(byte ^ 0x5C for byte in _NODE_KEY)


@dataclass(frozen=True, slots=True)
class LeafFields:
    """What an append leaf commits to. 32-byte digests unless said; `prev_c` is empty for a conversation's first leaf."""

    space: bytes  # 16
    conversation: bytes
    device: bytes
    j: int  # this device's earlier valid commits on the conversation in this space
    k_tag: bytes
    prev_c: bytes
    batch_root: bytes
    node_count: int
    seen_checkpoint: bytes  # canonical JSON bytes, b"null" without one

    def pack(self) -> bytes:
        """The fields in the order above, each as u16 length ‖ bytes: no two field lists read alike."""
        parts = (
            self.space,
            self.conversation,
            self.device,
            struct.pack(">Q", self.j),
            self.k_tag,
            self.prev_c,
            self.batch_root,
            struct.pack(">Q", self.node_count),
            self.seen_checkpoint,
        )
        return b"".join(struct.pack(">H", len(part)) + part for part in parts)


def node_commitment(opening: bytes, node_hash: bytes, node_bytes: bytes) -> bytes:
    """Commit to one node, its metadata included; `opening` is 32 random bytes that stand in the sealed manifest."""
    return node_commitment_of_digest(opening, node_hash, sha256(node_bytes).digest())


def node_commitment_of_digest(opening: bytes, node_hash: bytes, node_digest: bytes) -> bytes:
    """As `node_commitment`, from the SHA-256 of the stored node bytes."""
    # HMAC spelled out (RFC 2104): hmac.digest sets OpenSSL up anew each time, three times what the hashing takes.
    inner = sha256(_NODE_INNER + opening + node_hash + node_digest).digest()
    return sha256(_NODE_OUTER + inner).digest()


def withheld_commitment(opening: bytes, node_hash: bytes) -> bytes:
    """Commit to a node of which only metadata is pushed. Under a label of its own: it can never pass for one over bytes."""
    return hmac.digest(labels.WITHHELD_COMMITMENT, opening + node_hash, "sha256")


def batch_root(commitments: Sequence[bytes]) -> bytes:
    """The Merkle root over a leaf's node commitments (RFC 6962 §2.1 shape, odd nodes promoted, never doubled)."""
    if not commitments:
        return sha256(labelled(labels.BATCH_LEAF, b"")).digest()
    leaf = labelled(labels.BATCH_LEAF, b"")
    level = [sha256(leaf + item).digest() for item in commitments]
    prefix = labelled(labels.BATCH_NODE, b"")
    while len(level) > 1:
        paired = [
            sha256(prefix + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def leaf_commitment(r: bytes, fields: LeafFields) -> bytes:
    """`c` of an append leaf; `r` is its 32-byte opening."""
    return hmac.digest(labels.LEAF_COMMITMENT, r + fields.pack(), "sha256")


def team_leaf_commitment(r: bytes, events_json: bytes) -> bytes:
    """`c` of a team-event leaf: over the canonical JSON of the commit's events; `r` stands in the commit's sealed field."""
    return hmac.digest(labels.TEAM_LEAF_COMMITMENT, r + events_json, "sha256")


def leaf_tag(k_tag: bytes, device: bytes, j: int) -> bytes:
    """16 bytes by which somebody given `k_tag` finds all leaves of one conversation, and nobody else links any two."""
    return hmac.digest(k_tag, labelled(labels.LEAF_TAG, device + struct.pack(">Q", j)), "sha256")[:tag_bytes]
