"""Somebody under the provider cloud: a home, a bucket, and what her projects are set to."""

from pathlib import Path

from store.blobs import BlobStore
from store.directory import DirectoryStore
from store.metering import MeteredStore
from store.nodes import Node
from sync.client import Client, ClientPaths
from sync.cloud import CloudProvider
from sync.outbox import ContentLevel, SpaceKind
from sync.pull import applied_manifests
from sync.push import space_of
from tests.actors import founded


class Ana:
    """Somebody with nothing but a home and a bucket; `settings` is what her projects are set to."""

    def __init__(self, root: Path) -> None:
        self.bucket = DirectoryStore(root / "bucket")
        self.metered = MeteredStore(self.bucket)
        self.home = root / "ana"
        founder = founded(self.bucket, self.home)
        self.identity = founder.identity
        founder.close()
        self.settings: dict[str | None, SpaceKind] = {"secret": "private"}
        self.withheld: set[str | None] = set()

    def client(self, store: BlobStore | None = None) -> Client:
        paths = ClientPaths(
            self.home / "team.db", self.home / "cache", self.home / "evidence", keeps_frames=False
        )
        made = Client(self.identity, store or self.metered, paths)
        made.probe_once = lambda: None  # type: ignore[method-assign]
        return made

    def visible(self, project: str | None) -> SpaceKind:
        return self.settings.get(project, "team")

    def cloud(self, **options: int) -> CloudProvider:
        return CloudProvider(self.client(), self.visible, self.content, **options)

    def content(self, project: str | None) -> ContentLevel:
        return "metadata" if project in self.withheld else "full"

    def rows(self, kind: SpaceKind) -> list[str]:
        """Hashes of all rows of one of her spaces, in log order."""
        client = self.client()
        space = space_of(client, kind)
        found = [
            h.hex()
            for pending, manifest in applied_manifests(client)
            for h in manifest.table.column("hash").to_pylist()
            if pending.space == space
        ]
        client.close()
        return found


def hashes(nodes: list[Node]) -> list[str]:
    return [node.hash for node in nodes]
