"""Taking a bundle into the local store: all of it or nothing."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from query.bundle import BundledSession
from query.bundle_read import read_bundle
from store.local import LocalStore
from store.nodes import Node

_batch_nodes: Final = 500


@dataclass(frozen=True, slots=True)
class BundleImport:
    """What a bundle brought. `unverified` counts those of the new nodes whose hash fits no era."""

    sessions: int
    nodes_new: int
    nodes_known: int
    unverified: int


def import_bundle(local: LocalStore, path: Path, *, allow_unverified: bool = False) -> BundleImport:
    """Add a bundle's nodes; errors as read_bundle, and then the store is as it was.

    A node that is here already stays as it is: whoever made the bundle could otherwise rewrite the usage and cost of our own.
    """
    # Read through once before the store is locked: a hostile or cut file must neither hold up other writers nor fill the disk.
    for _ in read_bundle(path, allow_unverified=allow_unverified):
        pass
    sessions = new = known = unverified = 0
    with local.transaction():
        items = read_bundle(path, allow_unverified=allow_unverified)
        while chunk := list(islice(items, _batch_nodes)):
            nodes = {item.hash: item for item in chunk if isinstance(item, Node)}
            here = local.has(nodes)
            added = local.add(node for node_hash, node in nodes.items() if node_hash not in here)
            sessions += sum(isinstance(item, BundledSession) for item in chunk)
            new, known, unverified = (
                new + added.new,
                known + len(here) + added.known,
                unverified + added.unverified,
            )
    return BundleImport(sessions, new, known, unverified)
