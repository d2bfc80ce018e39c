"""The hybrid provider: writes locally first, then exchanges with the team's bucket."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from crypto.errors import VerificationFailed
from store.commits import ObjectRef
from store.local import LocalStore
from store.names import object_name
from store.packs import open_pack
from sync.ahead import ahead, packs_ahead
from sync.client import Client
from sync.housekeeping import keep_house
from sync.local import LocalProvider
from sync.outbox import ContentOf, Outbox, Visibility
from sync.own_news import tell_own_news
from sync.providers import Progress, ProgressSeen, SyncReport, SyncStatus
from sync.pull import PullReport, applied_manifests, apply_manifests
from sync.push import Pusher, space_of
from sync.replica import PendingManifest
from sync.rewraps import ask_again
from sync.segment_writer import try_write_due

note_last_sync = "last-sync-at"
notes_fetched = "fetched-"  # and a pack's digest: its frames are in the cache


class HybridProvider(LocalProvider):
    """See `sync.providers.SyncProvider`. Reading never waits for the network; only `sync` and `pull` use it."""

    def __init__(self, local: LocalStore, client: Client, visibility: Visibility, content: ContentOf) -> None:
        super().__init__(local)
        self._store = local
        self._client = client
        self._outbox = Outbox(local, client.replica, visibility, content)

    def sync(
        self, *, full: bool = False, dry_run: bool = False, progress: ProgressSeen | None = None
    ) -> SyncReport:
        """Check pins, pull, enact what is due, push, and fetch all bytes if `full`. Safe to kill anywhere and to repeat."""
        with self._client.alone():
            return self._sync(progress or _silent, full=full, dry_run=dry_run)

    def _sync(self, tell: ProgressSeen, *, full: bool, dry_run: bool) -> SyncReport:
        report = self._pull(tell)
        if dry_run:
            report.plan = self._pusher(tell).plan()
            return report
        self._client.require_membership()
        self._settle()
        report.notices.extend(ask_again(self._client))
        keep_house(self._client)
        self._push(report, tell)
        if report.pushed_commits:
            report.notices.extend(try_write_due(self._client))
        if full:
            report.fetched_frames = self._fetch_all(report, tell)
        self._client.replica.set_note(note_last_sync, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        return report

    def is_idle(self) -> bool:
        """Whether a sync would find nothing to do, for one GET: nothing to push, settle or take in, no new slot.

        It looks past the pinned head only; that the head still stands is checked by `sync`.
        """
        with self._client.alone():
            replica = self._client.replica
            if replica.journal() is not None or replica.manifests("pending"):
                return False
            if self._client.log.point.roster is None or self._pusher(_silent).anything():
                return False
            return self._client.log.catch_up() == 0

    def pull(self, progress: ProgressSeen | None = None) -> SyncReport:
        """Only take in what others pushed."""
        with self._client.alone():
            return self._pull(progress or _silent)

    def sync_status(self) -> SyncStatus:
        """Where things stand, without a request. `pending_push` counts nodes, `pending_pull` manifests not yet taken in."""
        head = self._client.replica.head()
        roster = self._client.log.point.roster
        pending = sum(
            self._outbox.pending_count(kind, space_of(self._client, kind)) for kind in ("team", "private")
        )
        return SyncStatus(
            provider="hybrid",
            local={"nodes": self._store.count(), "conversations": self._store.conversation_count()},
            remote={
                "version": head.seq if head is not None else None,
                "team": roster.team.hex() if roster is not None else None,
                "bucket": self._client.store.describe(),
            },
            pending_push=pending,
            pending_pull=len(self._client.replica.manifests("pending")),
            last_sync_at=self._client.replica.note(note_last_sync),
            withheld=self._client.replica.withheld_count(),
        )

    def oversized(self) -> list[tuple[str, int]]:
        """Nodes that no bucket takes: (hash, bytes)."""
        return self._outbox.oversized()

    def close(self) -> None:
        """Close both the local store and the client."""
        super().close()
        self._client.close()

    def _pull(self, tell: ProgressSeen) -> SyncReport:
        tell(Progress("reading the log", 0))
        pulled = PullReport(
            slots=self._client.log.refresh(lambda seq, _: tell(Progress("reading the log", seq)))
        )
        self._client.missed.clear()
        apply_manifests(
            self._client, pulled, lambda done, total: tell(Progress("reading manifests", done, total))
        )
        pulled.notices[:0] = [*tell_own_news(self._client), *self._client.segments.told()]
        return SyncReport(
            pulled_slots=pulled.slots,
            pulled_manifests=pulled.manifests,
            pulled_nodes=pulled.nodes,
            notices=pulled.notices,
            broken=pulled.broken,
        )

    def _pusher(self, tell: ProgressSeen) -> Pusher:
        return Pusher(
            self._client,
            self._store,
            self._outbox,
            progress=lambda done, total: tell(Progress("pushing", done, total)),
        )

    def _settle(self) -> None:
        """Finish what a crash interrupted before anything is planned: its nodes must not be sealed a second time."""
        if self._client.committer.resume() is not None:
            apply_manifests(self._client, PullReport())  # what is broken there is met, and said, by the push

    def _push(self, report: SyncReport, tell: ProgressSeen) -> None:
        pushed = self._pusher(tell).push()
        report.pushed_nodes, report.pushed_packs = pushed.nodes, pushed.packs
        report.pushed_commits, report.lost_races = pushed.commits, pushed.lost_races
        report.skipped = [
            (h, f"{size} bytes are more than a frame holds") for h, size in self._outbox.oversized()
        ]
        own = PullReport()
        apply_manifests(self._client, own)  # the normal path takes our own manifests in, too
        # Named once: an object that cannot be had is met again by every look at the log.
        named = {broken.message: broken for broken in (*report.broken, *pushed.broken, *own.broken)}
        report.broken = list(named.values())
        report.notices = list(dict.fromkeys([*report.notices, *pushed.notices, *own.notices]))

    def _fetch_all(self, report: SyncReport, tell: ProgressSeen) -> int:
        """Every readable pack, once, whole: one request for many frames. Broken packs are named, the others still come."""
        fetched, cache, replica = 0, self._client.cache, self._client.replica
        packs = [pack for pack in self._packs() if replica.note(notes_fetched + pack.ref.sha256) is None]
        with ahead(lambda pack: cache.fetch(pack.ref), packs, packs_ahead) as coming:
            for done, (pack, data) in enumerate(coming):
                tell(Progress("fetching packs", done, len(packs)))
                fetched += self._keep_pack(pack, data, report)
        return fetched

    def _keep_pack(self, pack: "_Pack", fetched: Callable[[], bytes], report: SyncReport) -> int:
        """How many frames were kept. A kill before the note is set fetches the pack again, and keeps the same frames."""
        try:
            data = fetched()
        except VerificationFailed as broken:
            if broken.obj not in self._client.roster.given_up:
                report.broken.append(broken)
            return 0
        kept = 0
        try:
            kept = self._keep_frames(pack.ref, pack.manifest, data)
        except VerificationFailed as lie:
            # The bytes are what a signed commit names: its author made them so.
            author = pack.manifest.device.hex()[:16]
            report.notices.append(f"{lie.message} (written by device {author}); its nodes cannot be read")
        self._client.replica.set_note(notes_fetched + pack.ref.sha256, "1")
        return kept

    def _keep_frames(self, ref: ObjectRef, pending: PendingManifest, data: bytes) -> int:
        key = self._client.keychain.at(self._client.roster, pending.space, pending.epoch)
        kept = 0
        for entry, _ in open_pack(key, data, object_name("pack", ref.base, ref.sha256)):
            place = entry.place
            self._client.cache.keep_frame(
                place.sha256.hex(), data[place.offset : place.offset + place.length]
            )
            kept += 1
        return kept

    def _packs(self) -> Iterator["_Pack"]:
        """Each pack that some row lies in and a commit names, with the manifest that says so first."""
        seen: set[bytes] = set()
        for pending, manifest in applied_manifests(self._client):
            for pack in manifest.table.column("pack").unique().to_pylist():
                if pack is None or pack in seen:
                    continue
                seen.add(pack)
                named = self._client.object_of(pending.seq, pack.hex())
                if named is not None:
                    yield _Pack(named[0], pending)


@dataclass(frozen=True, slots=True)
class _Pack:
    """A pack, and the manifest by which it is known."""

    ref: ObjectRef
    manifest: PendingManifest


def _silent(_progress: Progress) -> None:
    pass
