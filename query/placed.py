"""Nodes where manifests say that their bytes lie: fetched by frame, and compared with what their rows say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from crypto.errors import TapesError, VerificationFailed
from query.source import Source
from store.commits import ObjectRef
from store.names import object_name
from store.node_parse import node_from_bytes
from store.nodes import Node
from store.packs import FramePlace, frame_name, open_placed_frame
from sync.client import Client
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


def read_frame(source: Source, place: Place) -> tuple[tuple[bytes, ...], str]:
    """The stored nodes of a place's frame, and what errors call it."""
    client, manifest, ref = pack_of(source, place)
    frame = place.frame
    name = object_name("pack", ref.base, ref.sha256)
    sealed = client.cache.frame(ref, frame.offset, frame.length, frame.sha256.hex())
    key = client.keychain.at(client.roster, manifest.space, manifest.epoch)
    return open_placed_frame(key, frame, sealed, name).nodes, frame_name(name, frame)


def checked_node(node_hash: str, place: Place, nodes: Sequence[bytes], name: str) -> Node:
    """The node at its place in an opened frame, if it is what its row says: a row is only a member's word."""
    if place.index >= len(nodes):
        raise VerificationFailed(name, f"has no node {place.index}, where a manifest puts {node_hash}")
    node = node_from_bytes(nodes[place.index], f"{name} node {place.index}")
    if node.hash != node_hash:
        raise VerificationFailed(name, f"has node {node.hash} where a manifest puts {node_hash}")
    if place.verified and not node.verified:
        raise VerificationFailed(name, f"the content of node {node.hash} does not have that hash")
    return node
