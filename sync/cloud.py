"""The cloud provider: straight on the team's bucket. On this device it keeps keys, pins, log and sealed manifests, and no turn.

`put` returns once its nodes are committed: there is no queue, so that closing, or a kill, has nothing to lose but the put under
way. Of that one, whole commits stand; calling it again puts the rest. What is on its way lives in this process's memory only.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

import pyarrow as pa

from crypto.errors import PartialFailure, UsageError, VerificationFailed
from store.nodes import Node
from sync.bucket_nodes import BucketNodes
from sync.client import Client
from sync.hybrid import HybridProvider
from sync.node_index import NodeAt
from sync.outbox import ContentOf, Visibility
from sync.providers import ProgressSeen, SyncReport, SyncStatus
from sync.push import space_of
from sync.staging import StagingStore, staged_bytes_max

_nodes_at_once: Final = 256  # taken from a caller before it is looked whether staging is full


@dataclass(slots=True)
class Intake:
    """Where nodes are put, and what became of those committed so far."""

    store: StagingStore
    pushed_nodes: int = 0
    commits: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (node hash, why no bucket takes it)
    notices: list[str] = field(default_factory=list)
    broken: list[VerificationFailed] = field(
        default_factory=list
    )  # objects that cannot be had: no commit waits for them


class CloudProvider:
    """See `sync.providers.SyncProvider`. Every method may use the network; StoreError when it is away."""

    def __init__(
        self,
        client: Client,
        visibility: Visibility,
        content: ContentOf,
        *,
        batch_bytes: int = staged_bytes_max,
    ) -> None:
        """`batch_bytes` of node JSON are held in memory before they are committed in the middle of a put."""
        self._client = client
        self._visibility = visibility
        self._content = content
        self._batch_bytes = batch_bytes
        self._nodes = BucketNodes(client)
        self._beneath = _Beneath(client, self._nodes, visibility)

    def put(self, nodes: Iterable[Node]) -> None:
        """See Provider. Durable when it returns. PartialFailure names nodes too large for any bucket: they are nowhere.

        VerificationFailed, once all is committed, names an object of the team that cannot be had.
        """
        with self.intake() as intake:
            remaining = iter(nodes)
            while some := list(islice(remaining, _nodes_at_once)):
                intake.store.add(some)
        if intake.skipped:
            raise PartialFailure(
                f"{len(intake.skipped)} turns are too large for the bucket and were not kept",
                [f"{node_hash}  {reason}" for node_hash, reason in intake.skipped],
            )
        if intake.broken:
            raise intake.broken[0]

    @contextmanager
    def intake(self, progress: ProgressSeen | None = None) -> Iterator[Intake]:
        """A local store to import into; committed as it fills, and at the end of the block. After an error the rest is not."""
        # Without a team there is nowhere to put anything: KeyNeeded before hours of logs are read.
        self._client.require_membership()
        self._nodes.look()
        self._beneath.lost.clear()
        self._client.replica.spare_memory()
        store = StagingStore(self._beneath, lambda _: self._commit(intake, progress), self._batch_bytes)
        intake = Intake(store)
        try:
            yield intake
            if store.waiting_bytes():
                self._commit(intake, progress)
        finally:
            store.close()

    def get(self, node_hash: str) -> Node | None:
        """See Provider; one range read for a frame that is not in memory."""
        return self._nodes.get(node_hash)

    def has(self, node_hash: str) -> bool:
        """See Provider."""
        return self._nodes.has(node_hash)

    def ancestry(self, node_hash: str) -> list[Node]:
        """See Provider."""
        return self._nodes.ancestry(node_hash)

    def leaves(self) -> Iterator[str]:
        """See Provider: of everything this member can read."""
        return iter(self._nodes.leaves())

    def close(self) -> None:
        """See Provider. Nothing is waiting that this could lose."""
        self._nodes.close()
        self._client.close()

    def sync(
        self, *, full: bool = False, dry_run: bool = False, progress: ProgressSeen | None = None
    ) -> SyncReport:
        """See SyncProvider: reads the log on and enacts what is due; there is never anything to push. UsageError for `full`."""
        if full:
            raise UsageError(
                "the provider cloud keeps no turns on this device, so none are fetched",
                hint="tapes storage set-provider hybrid, then sync --full",
            )
        with StagingStore(self._beneath, _never_full) as nothing:
            return self._over(nothing).sync(dry_run=dry_run, progress=progress)

    def is_idle(self) -> bool:
        """See SyncProvider."""
        with StagingStore(self._beneath, _never_full) as nothing:
            return self._over(nothing).is_idle()

    def pull(self, progress: ProgressSeen | None = None) -> SyncReport:
        """See SyncProvider."""
        with StagingStore(self._beneath, _never_full) as nothing:
            return self._over(nothing).pull(progress)

    def sync_status(self) -> SyncStatus:
        """See SyncProvider."""
        with StagingStore(self._beneath, _never_full) as nothing:
            status = self._over(nothing).sync_status()
        return SyncStatus(
            provider="cloud",
            local={"nodes": 0, "conversations": 0},
            remote=status.remote,
            pending_push=0,
            pending_pull=status.pending_pull,
            last_sync_at=status.last_sync_at,
            withheld=status.withheld,
        )

    def _over(self, store: StagingStore) -> HybridProvider:
        return HybridProvider(store, self._client, self._visibility, self._content)

    def _commit(self, intake: Intake, progress: ProgressSeen | None) -> None:
        """Push what is staged. A kill in here leaves what a kill of any push leaves; its nodes are still where they came from."""
        self._require_content(intake.store)
        report = self._over(intake.store).sync(progress=progress)
        intake.store.let_go()
        pa.default_memory_pool().release_unused()  # else what a manifest took stays taken until the next one
        intake.pushed_nodes += report.pushed_nodes
        intake.commits += report.pushed_commits
        intake.skipped = report.skipped
        intake.notices += [notice for notice in report.notices if notice not in intake.notices]
        # What others wrote or the bucket lost stops no push: else one missing object would end every import at its first commit.
        broken = {each.obj: each for each in (*intake.broken, *report.broken, *self._beneath.lost)}
        intake.broken = list(broken.values())

    def _require_content(self, store: StagingStore) -> None:
        """UsageError for turns whose text must not leave the device: there is no device here that could keep it."""
        for _, project in store.changed_conversations(0):
            if self._content(project) == "metadata":
                named = f"project {project}" if project is not None else "sessions without a project"
                raise UsageError(
                    f"the text of {named} must not leave this device (sync.content), and cloud keeps none here",
                    hint="tapes storage set-provider hybrid, or set sync.content to full",
                )


@dataclass(slots=True)
class _Beneath:
    """See `sync.staging.Beneath`."""

    client: Client
    nodes: BucketNodes
    visibility: Visibility
    lost: list[VerificationFailed] = field(default_factory=list)  # ancestors that could not be brought along

    def knows(self, node_hash: str) -> bool:
        return self.nodes.knows(node_hash)

    def get(self, node_hash: str) -> Node | None:
        return self.nodes.get(node_hash)

    def conversation_of(self, node_hash: str) -> str | None:
        return self.nodes.conversation_of(node_hash)

    def project_of(self, conversation: str) -> str | None:
        return self.nodes.project_of(conversation)

    def missing_ancestry(self, node_hash: str, project: str | None) -> list[Node]:
        space = space_of(self.client, self.visibility(project))
        missing: list[Node] = []
        seen: set[str] = set()
        step: str | None = node_hash
        while step is not None and step not in seen and not self._is_in(space, step):
            seen.add(step)  # rows without a place prove nothing: a hostile member's may go in a circle
            if (at := self.nodes.find(step)) is None:
                break
            if (node := self._proven(at)) is not None:
                # The project of another's turn is that member's word, and would say who reads what is said below it.
                missing.append(node if at.mine else replace(node, project=project))
            step = at.parent
        return missing

    def _is_in(self, space: bytes | None, node_hash: str) -> bool:
        """By this member's own commits only: who names the hash over other bytes would else keep the true ones back (0009)."""
        if space is None:
            return False
        digest = bytes.fromhex(node_hash)
        there = self.client.replica.synced(space, [digest]).get(digest)
        return there is not None and there.content

    def _proven(self, at: NodeAt) -> Node | None:
        """A node to be committed under this member's name: its own, or one that is its hash. None where there is no such.

        What only its author's device has in full cannot be brought along either; what stands above it can. One that the bucket
        lost stops no put: it is said when all is committed.
        """
        if at.frame is None:
            return None
        try:
            node = self.nodes.get(at.hash)
        except VerificationFailed as broken:
            self.lost.append(broken)
            return None
        return node if node is not None and (node.verified or at.mine) else None


def _never_full(_: StagingStore) -> None:
    pass
