"""Push: from the outbox into commits, one bounded batch after the other, so that each kill costs one batch at most."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crypto.errors import VerificationFailed
from crypto.sealing import SealKey
from store import events
from store.local import LocalFacts, LocalStore
from sync.client import Client
from sync.drafts import Content, DraftContext, draft
from sync.housekeeping import keep_house
from sync.outbox import Outbox, Outgoing, PlannedConversation, SpaceKind
from sync.pull import PullReport, apply_manifests
from sync.runs import Run, RunCutter
from sync.team import private_epoch
from sync.uploads import Squatted, upload

if TYPE_CHECKING:  # the types only: they load Arrow and more, for all who have nothing to push
    from store.frames_ahead import FramesAhead
    from sync.batches import Batch

squatted_attempts_max = 3  # three fresh names taken in a row: no bucket to write to

PushProgress = Callable[[int, int], None]  # nodes looked at and, where lacking, pushed; of how many


@dataclass(slots=True)
class PushReport:
    """What went out."""

    nodes: int = 0
    commits: int = 0
    packs: int = 0
    stored_bytes: int = 0
    lost_races: int = 0
    notices: list[str] = field(default_factory=list)  # of what others committed while this push went on
    broken: list[VerificationFailed] = field(default_factory=list)  # of the bucket, on the way


class _Overtaken(Exception):
    """The log moved on while a batch was on its way: a new epoch, a fence, a request to enact, or some of its nodes came in."""


@dataclass(slots=True)
class Pusher:
    """Pushes one local store through one client."""

    client: Client
    local: LocalStore
    outbox: Outbox
    report: PushReport = field(default_factory=PushReport)
    progress: PushProgress | None = None
    frames: "FramesAhead | None" = None
    _unlooked: int = 0  # others' manifests that came after the next run was begun
    _walked: int = 0
    _to_walk: int | None = None

    def push(self) -> PushReport:
        """Push everything each space lacks."""
        change = self.local.last_change()
        try:
            for kind in ("team", "private"):
                space = self._space(kind)
                if space is None:
                    continue
                for run in self._runs(kind, space):
                    self._begin_telling()
                    self._commit(run, space)
                    run.clear()  # the next is gathered before this name is given to it
                self.outbox.complete(kind, space, change)
        finally:
            if self.frames is not None:
                self.frames.drop()
        return self.report

    def plan(self) -> list[PlannedConversation]:
        """What `push` would send, without a write anywhere."""
        planned = []
        for kind in ("team", "private"):
            space = space_of(self.client, kind)
            for outgoing in self.outbox.conversations(kind, space):
                entry = _planned(outgoing, self.outbox.pending(outgoing, space))
                if entry.nodes:
                    planned.append(entry)
        return planned

    def anything(self) -> bool:
        """Whether `push` would send anything."""
        return any(self._anything(kind, space_of(self.client, kind)) for kind in ("team", "private"))

    def _space(self, kind: SpaceKind) -> bytes | None:
        """The space to push into; the private one is made, or its key renewed, when something is to go there."""
        space = space_of(self.client, kind)
        while (
            kind == "private"
            and self._anything(kind, space)
            and (space is None or self._readable_by_others(space))
        ):
            self._require_enactable()
            try:
                self.client.commit(self._draft_private_epoch)
            except _Overtaken:
                keep_house(self.client)
            space = space_of(self.client, kind)
        return space

    def _draft_private_epoch(self, context: DraftContext) -> bytes:
        if self.client.require_membership().rotation_due:
            raise _Overtaken
        return private_epoch(context, self.client.keychain)

    def _anything(self, kind: SpaceKind, space: bytes | None) -> bool:
        return any(
            next(self.outbox.pending(outgoing, space), None) is not None
            for outgoing in self.outbox.conversations(kind, space)
        )

    def _readable_by_others(self, space: bytes) -> bool:
        """Whether a device that was revoked since still holds the newest key."""
        record = self.client.roster.spaces[space]
        return not record.newest.wraps.keys() <= self.client.roster.recipients(record)

    def _runs(self, kind: SpaceKind, space: bytes) -> Iterator[Run]:
        """Everything the space lacks, in runs."""
        cutter = RunCutter()
        for outgoing in self.outbox.conversations(kind, space):
            before = self._walked
            if cutter.run:
                self._line().expect(cutter.raw_bytes)
            for node in self.outbox.pending(outgoing, space):
                if (full := cutter.take(outgoing, node)) is not None:
                    yield full
                self._walked += 1
            self._walked = before + self.local.count_of(
                outgoing.conversation
            )  # with those that are there already
        if cutter.run:
            yield cutter.cut()

    def _commit(self, run: Run, space: bytes) -> None:
        """Seal, upload and commit one run; again from the start, with what is still lacking, if the log overtook it."""
        squatted = 0
        while run:
            self._require_enactable()
            try:
                batch = self._upload(run, space)
                committed = self.client.commit(lambda context, b=batch: self._draft(context, b))  # type: ignore[misc]
            except _Overtaken:
                keep_house(self.client)
                run = self._still_lacking(run, space)
                continue
            except Squatted as squat:
                # Sealed again it has another name: whoever squats on one cannot know the next.
                self.report.broken.append(squat)
                squatted += 1
                if squatted == squatted_attempts_max:
                    raise
                continue
            if committed is not None:
                self._count(batch, committed.lost_races)
                del batch  # its rows weigh as much as what comes next
                # Our own at once: the next draft would take it for news, and look up each of its nodes.
                self._unlooked = self._take_news_in() - 1
            return

    def _require_enactable(self) -> None:
        """SealBroken when somebody's wish asks for an epoch that this device cannot start, as its own key is junk.

        Until another device has, every commit of ours is void: going on would seal and upload the same batch without end.
        """
        roster = self.client.require_membership()
        if roster.rotation_due:
            self.client.keychain.newest(roster, roster.team_space)

    def _upload(self, run: Run, space: bytes) -> "Batch":
        """Seal and upload everything of one commit but its manifest."""
        from sync.batches import BatchWriter  # noqa: PLC0415 - as above

        key = self.client.keychain.newest(self.client.roster, space)
        base = max(0, self.client.log.next_seq - 1)
        with BatchWriter(self.client, self.local, key, base, self._line()) as writer:
            for outgoing, nodes in run:
                put = writer.add if outgoing.content == "full" else writer.withhold
                put(outgoing.conversation, nodes)
            return writer.finish()

    def _line(self) -> "FramesAhead":
        from store.frames_ahead import FramesAhead  # noqa: PLC0415 - as above

        self.frames = self.frames or FramesAhead()
        return self.frames

    def _still_lacking(self, run: Run, space: bytes) -> Run:
        lacks = self.outbox.lacks
        lacking = ((to, [n for n in nodes if lacks(space, n.facts, to.content)]) for to, nodes in run)
        return [(outgoing, nodes) for outgoing, nodes in lacking if nodes]

    def _draft(self, context: DraftContext, batch: "Batch") -> bytes:
        """The commit for the present point: leaves continue what others committed meanwhile."""
        from sync.batches import append_leaves, describe_leaves, seal_batch_manifest  # noqa: PLC0415 - as above

        space, news = batch.key.space, self._take_news_in() + self._unlooked
        self._unlooked = 0
        roster = self.client.require_membership()
        newest: SealKey = self.client.keychain.newest(roster, space)
        # An attempt of this device that a crash interrupted may have landed only now, with these very nodes.
        known = news and not all(
            self.outbox.lacks(space, row.facts, "full" if row.place else "metadata") for row in batch.rows
        )
        # A fence that passed our uploads: gc may be deleting them, and a commit that newly names them would be void.
        fenced = batch.base < roster.fence
        if newest != batch.key or roster.rotation_due or known or fenced:
            raise _Overtaken
        openings = describe_leaves(self.client, batch)
        data = seal_batch_manifest(self.client, batch, openings)
        manifest = upload(self.client, "manifest", batch.base, data)
        self.client.cache.keep(manifest.sha256, data)
        content = Content(
            events=[events.Push(type="push")],
            objects=[*batch.objects, manifest],
            appends=append_leaves(self.client, batch, openings),
        )
        return draft(context, roster.team, batch.key, content)

    def _take_news_in(self) -> int:
        """Take in what was committed; the number of new manifests."""
        came = PullReport()
        apply_manifests(self.client, came)
        self.report.notices += came.notices
        self.report.broken += came.broken
        return came.manifests

    def _count(self, batch: "Batch", lost_races: int) -> None:
        self.report.nodes += len(batch.rows)
        self.report.commits += 1
        self.report.packs += sum(ref.kind == "pack" for ref in batch.objects)
        self.report.stored_bytes += batch.stored_bytes
        self.report.lost_races += lost_races
        if self.progress is not None:
            self.progress(self._walked, self._to_walk or 0)

    def _begin_telling(self) -> None:
        """Count what a whole push will look at, once there is something to push: an idle one need not know."""
        if self.progress is None or self._to_walk is not None:
            return
        kinds: tuple[SpaceKind, ...] = ("team", "private")
        self._to_walk = sum(
            self.local.count_of(outgoing.conversation)
            for kind in kinds
            for outgoing in self.outbox.conversations(kind, space_of(self.client, kind))
        )
        self.progress(0, self._to_walk)


def space_of(client: Client, kind: SpaceKind) -> bytes | None:
    """The team's space, or this member's private one; None when there is none yet."""
    roster = client.log.point.roster
    if roster is None:
        return None
    if kind == "team":
        return roster.team_space
    private = roster.private_space_of(client.identity.member_id)
    return private.id if private is not None else None


def _planned(outgoing: Outgoing, nodes: Iterator[LocalFacts]) -> PlannedConversation:
    size = 0
    planned: set[str] = set()
    parents: set[str | None] = set()
    for node in nodes:
        size += node.stored_bytes if outgoing.content == "full" else 0
        planned.add(node.facts.hash)
        parents.add(node.facts.parent_hash)
    return PlannedConversation(
        outgoing.conversation,
        outgoing.project,
        outgoing.space,
        len(planned),
        len(planned & parents),
        size,
        outgoing.content,
    )
