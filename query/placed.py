"""Nodes where manifests say that their bytes lie: fetched by frame, and compared with what their rows say."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from crypto.errors import TapesError, VerificationFailed
from query.source import Source
from store.commits import ObjectRef
from store.nodes import Node
from store.packs import FramePlace
from sync import placed_frames
from sync.client import Client
from sync.placed_frames import ReadFrame
from sync.replica import PendingManifest

# The columns of the view `stored` that make a Place (query/rules.py).
PLACE: Final = """
    stored.elsewhere, stored.origin, stored.hash_version IS NOT NULL, stored.stored_bytes,
    stored.pack, stored.frame_offset, stored.frame_length, stored.frame_sha256, stored.frame_index
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a manifest says the bytes are; `elsewhere`: that row is not the one whose metadata is shown."""

    elsewhere: bool
    origin: int
    verified: bool
    stored_bytes: int
    pack: str
    frame: FramePlace
    index: int


def place_of(columns: Sequence[Any]) -> Place | None:
    """The place in the values of PLACE; None where no row has one."""
    elsewhere, origin, verified, stored_bytes, pack, offset, length, digest, index = columns
    if pack is None:
        return None
    frame = FramePlace(offset, length, digest)
    return Place(elsewhere, origin, verified, stored_bytes, pack.hex(), frame, index)


def pack_of(source: Source, place: Place) -> tuple[Client, PendingManifest, ObjectRef]:
    """The pack that a place names, as a commit does; by whose client and for which manifest."""
    client, manifest = source.client, source.origins[place.origin].manifest
    if client is None or manifest is None:
        raise TapesError("a node of this session is in the bucket, and no bucket is configured")
    found = client.object_of(manifest.seq, place.pack)
    if found is None or found[0].kind != "pack":
        raise VerificationFailed(f"pack {place.pack}", "a manifest speaks of it, but no commit names it")
    return client, manifest, found[0]


def read_frame(source: Source, place: Place) -> ReadFrame:
    """A place's frame."""
    client, manifest, _ = pack_of(source, place)
    return placed_frames.read_frame(client, manifest, place.pack, place.frame)


def checked_node(node_hash: str, place: Place, frame: ReadFrame) -> Node:
    """The node at its place in an opened frame, if it is what its row says: a row is only a member's word."""
    return placed_frames.node_at(frame, place.index, node_hash, verified=place.verified)


def node_of_others(source: Source, node_hash: str) -> Node | None:
    """The node by the first other row that tells the truth about where it is; None where none does.

    Whoever names a hash first, over other bytes or over none, must not hide it from who asks for it.
    """
    query = f"SELECT {PLACE} FROM others AS stored WHERE hash = unhex(?) ORDER BY arrival"  # noqa: S608 - a constant
    for columns in source.engine.all(query, [node_hash]):
        place = place_of(columns)
        if place is not None:
            with suppress(VerificationFailed):
                return checked_node(node_hash, place, read_frame(source, place))
    return None
