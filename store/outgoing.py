"""A frame on its way out: sealed, opened again and re-hashed, with what the leaf and the rows of its nodes need.

What will be sent is opened and re-hashed once (DESIGN §4 Push): a fault in memory or in our own code must not reach the team. It
happens here, frame by frame, so that other processes can do it (store/frames_ahead.py); that a pack then holds just these frames
is seen by their digests.
"""

from collections.abc import Sequence
from hashlib import sha256
from secrets import token_bytes
from typing import NamedTuple

from crypto import leaves
from crypto.errors import TapesError
from crypto.sealing import SealKey
from store.frames import open_frame, seal_frame
from store.node_parse import read_identity


class FrameJob(NamedTuple):
    """Nodes of one conversation (32 bytes), in order: their hashes (hex), whether each is verified, their stored JSON."""

    conversation: bytes
    hashes: Sequence[str]
    verified: Sequence[bool]
    stored: Sequence[bytes]


class OutgoingFrame(NamedTuple):
    """A sealed frame and its SHA-256; the opening and the commitment of each node, 32 bytes each, end to end."""

    sealed: bytes
    sha256: bytes
    openings: bytes
    commitments: bytes


def make_frame(seal_key: SealKey, job: FrameJob) -> OutgoingFrame:
    """Seal and check one frame. TapesError for a node that does not read back as what it is named."""
    made = seal_outgoing(seal_key, job)
    opened = open_frame(seal_key, made.sealed, "outgoing frame")
    if opened.conversation != job.conversation or len(opened.nodes) != len(job.hashes):
        raise TapesError("a frame does not read back", hint="nothing was committed; report a bug")
    for node_hash, verified, stored in zip(job.hashes, job.verified, opened.nodes, strict=True):
        read = read_identity(stored, node_hash)
        if (read.hash, read.verified) != (node_hash, verified):
            raise TapesError(
                f"node {node_hash} does not read back from its frame",
                hint="nothing was committed; report a bug",
            )
    return made


def seal_outgoing(seal_key: SealKey, job: FrameJob) -> OutgoingFrame:
    """As `make_frame`, unchecked."""
    sealed = seal_frame(seal_key, job.conversation, job.stored)
    size = leaves.opening_bytes
    openings = token_bytes(size * len(job.hashes))
    commitments = [
        leaves.node_commitment(openings[at : at + size], bytes.fromhex(node_hash), stored)
        for at, node_hash, stored in zip(range(0, len(openings), size), job.hashes, job.stored, strict=True)
    ]
    return OutgoingFrame(sealed, sha256(sealed).digest(), openings, b"".join(commitments))
