"""The ports to a store of nodes: what every provider can do, and what one that syncs can do besides."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from crypto.errors import VerificationFailed
from store.nodes import Node
from sync.outbox import PlannedConversation


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sync is; `total` 0 while it is not known."""

    step: str
    done: int
    total: int = 0


ProgressSeen = Callable[[Progress], None]


@dataclass(slots=True)
class SyncReport:
    """What one sync did.

    `notices` stop nobody: others' doing, news of our own kit and devices. `broken` are the bucket's doing (exit 6).
    """

    pushed_nodes: int = 0
    pushed_packs: int = 0
    pushed_commits: int = 0
    lost_races: int = 0
    pulled_slots: int = 0
    pulled_manifests: int = 0
    pulled_nodes: int = 0
    fetched_frames: int = 0
    published_days: int = 0  # days of private sessions told to the team as numbers
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (node hash, why it stays local)
    notices: list[str] = field(default_factory=list)
    broken: list[VerificationFailed] = field(default_factory=list)
    plan: list[PlannedConversation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """Where local and remote stand. `pending_*` as far as known without asking the bucket."""

    provider: str
    local: dict[str, object]
    remote: dict[str, object]
    pending_push: int
    pending_pull: int
    last_sync_at: str | None
    withheld: int = 0  # nodes, each per space, of which the bucket has metadata only


class Provider(Protocol):
    """A store of nodes, by hash (64 hex digits)."""

    def put(self, nodes: Iterable[Node]) -> None:
        """Keep nodes, parents before children; a known hash changes nothing."""
        ...

    def get(self, node_hash: str) -> Node | None:
        """One node, or None."""
        ...

    def has(self, node_hash: str) -> bool:
        """Whether the node is here."""
        ...

    def ancestry(self, node_hash: str) -> list[Node]:
        """The node and its ancestors, root last."""
        ...

    def leaves(self) -> Iterator[str]:
        """Hashes of nodes that no other node builds on."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


class SyncProvider(Provider, Protocol):
    """A provider that exchanges nodes with a team's bucket."""

    def sync(
        self, *, full: bool = False, dry_run: bool = False, progress: ProgressSeen | None = None
    ) -> SyncReport:
        """Pull, then push. `full` fetches every readable node's bytes too; `dry_run` only plans."""
        ...

    def pull(self, progress: ProgressSeen | None = None) -> SyncReport:
        """Only take in what others pushed."""
        ...

    def is_idle(self) -> bool:
        """Whether a sync would find nothing to do, for one GET; that the pinned head still stands is checked by `sync`."""
        ...

    def sync_status(self) -> SyncStatus:
        """Where things stand, without a request."""
        ...
