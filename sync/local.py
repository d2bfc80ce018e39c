"""The local provider: this device's own nodes and nothing else; works without any bucket."""

from collections.abc import Iterable, Iterator

from store.local import LocalStore
from store.nodes import Node


class LocalProvider:
    """See `sync.providers.Provider`."""

    def __init__(self, local: LocalStore) -> None:
        self._local = local

    def put(self, nodes: Iterable[Node]) -> None:
        """See Provider."""
        self._local.add(nodes)

    def get(self, node_hash: str) -> Node | None:
        """See Provider."""
        return self._local.get(node_hash)

    def has(self, node_hash: str) -> bool:
        """See Provider."""
        return bool(self._local.has([node_hash]))

    def ancestry(self, node_hash: str) -> list[Node]:
        """See Provider."""
        return self._local.ancestry(node_hash)

    def leaves(self) -> Iterator[str]:
        """See Provider."""
        return self._local.leaves()

    def close(self) -> None:
        """See Provider."""
        self._local.close()
