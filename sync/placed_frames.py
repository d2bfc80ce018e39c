"""One frame of a pack: found by a manifest's word, fetched by range, opened, its nodes checked against what was said of them."""

from dataclasses import dataclass

from crypto.errors import VerificationFailed
from store.names import object_name
from store.node_parse import node_from_bytes
from store.nodes import Node
from store.packs import FramePlace, frame_name, open_placed_frame
from sync.client import Client
from sync.replica import PendingManifest


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """The stored JSON of a frame's nodes, and what errors call the frame."""

    nodes: tuple[bytes, ...]
    name: str


def read_frame(client: Client, manifest: PendingManifest, pack: str, place: FramePlace) -> ReadFrame:
    """A frame that `manifest` speaks of, from the cache or by one range read; `pack` is its pack's SHA-256 in hex.

    VerificationFailed naming pack and frame for bytes that are not what the manifest says; StoreError when the bucket is away.
    """
    found = client.object_of(manifest.seq, pack)
    if found is None or found[0].kind != "pack":
        raise VerificationFailed(f"pack {pack}", "a manifest speaks of it, but no commit names it")
    ref = found[0]
    name = object_name("pack", ref.base, ref.sha256)
    sealed = client.cache.frame(ref, place.offset, place.length, place.sha256.hex())
    key = client.keychain.at(client.roster, manifest.space, manifest.epoch)
    return ReadFrame(open_placed_frame(key, place, sealed, name).nodes, frame_name(name, place))


def node_at(frame: ReadFrame, index: int, node_hash: str, *, verified: bool) -> Node:
    """The node at its place in a frame, if it is what its row says: a row is only a member's word. VerificationFailed if not."""
    name = frame.name
    if index >= len(frame.nodes):
        raise VerificationFailed(name, f"has no node {index}, where a manifest puts {node_hash}")
    node = node_from_bytes(frame.nodes[index], f"{name} node {index}")
    if node.hash != node_hash:
        raise VerificationFailed(name, f"has node {node.hash} where a manifest puts {node_hash}")
    if verified and not node.verified:
        raise VerificationFailed(name, f"the content of node {node.hash} does not have that hash")
    return node
