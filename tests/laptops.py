"""Laptops for tests: a client with a local store and the hybrid provider, and sessions to put into it."""

from pathlib import Path

from store.eras import make_node
from store.local import LocalStore
from store.nodes import Node, Source, Usage
from sync.client import Client
from sync.hybrid import HybridProvider
from sync.outbox import ContentLevel, Outbox, SpaceKind
from sync.pull import applied_manifests


def turn(text: str, parent: Node | None, output: int = 0, project: str = "alpha") -> Node:
    """One turn of a made-up session."""
    role = "assistant" if output else "user"
    block = {"type": "text", "text": text}
    bucket = {"type": "message", "role": role, "content": [block], "model": "m", "provider": "p"}
    return make_node(
        bucket,
        parent.hash if parent is not None else None,
        usage=Usage(output=output) if output else None,
        project=project,
        created_at="2026-02-14T09:30:00.000000Z",
        source=Source("test", session=f"session-of-{project}", usage_id=f"call-{text}" if output else None),
    )


def conversation(name: str, turns: int, project: str = "alpha") -> list[Node]:
    """A path of turns, user and assistant by turns."""
    nodes: list[Node] = []
    for number in range(turns):
        parent = nodes[-1] if nodes else None
        nodes.append(
            turn(f"{name} says {number} äöü", parent, output=number % 2 * (number + 1), project=project)
        )
    return nodes


class Laptop:
    """A client with a local store and a provider; all is for the team unless private, and whole unless withheld."""

    def __init__(
        self, made: Client, home: Path, private: set[str] | None = None, withheld: set[str] | None = None
    ) -> None:
        self.client = made
        self.home = home
        self.local = LocalStore.open(home / "tapes.db")
        hidden = private if private is not None else set()
        bare = withheld if withheld is not None else set()
        self.hidden, self.bare = hidden, bare  # changed by tests that change a setting
        self.provider = HybridProvider(self.local, made, self.visibility, self.content)
        self.outbox = Outbox(self.local, made.replica, self.visibility, self.content)

    def visibility(self, project: str | None) -> SpaceKind:
        """Who reads a project's sessions."""
        return "private" if project in self.hidden else "team"

    def content(self, project: str | None) -> ContentLevel:
        """How much of them goes there."""
        return "metadata" if project in self.bare else "full"

    def pulled(self) -> list[str]:
        """Hashes of all manifest rows this laptop can read, sorted; a node committed twice stands twice."""
        return sorted(node for _, node, _ in self.rows())

    def rows(self) -> list[tuple[bytes, str, bool]]:
        """(member, node hash, whether with content) of all manifest rows this laptop can read."""
        tables = [manifest.table for _, manifest in applied_manifests(self.client)]
        columns = [[t.column(name).to_pylist() for name in ("member", "hash", "pack")] for t in tables]
        rows = [row for each in columns for row in zip(*each, strict=True)]
        return [(who, node.hex(), pack is not None) for who, node, pack in rows]

    def placed(self) -> list[str]:
        """Hashes of all manifest rows with content that this laptop can read, sorted."""
        return sorted(node for _, node, has_content in self.rows() if has_content)

    def close(self) -> None:
        """Close all files, as a process that ends."""
        self.provider.close()
