"""Is a slot a valid commit or void? Judged from its clear bytes alone, so that every reader, keyless too, decides alike.

A void slot costs one number and nothing else. The rules in the order they are checked are DESIGN §4 "Validity".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from crypto.errors import FormatBroken
from crypto.identities import PublicKeys, device_id
from store import commits, events
from store.commits import Commit, NewerFormat, ObjectRef, commit_hash
from store.names import slot_name
from sync.fold import Author, Refused, apply, first_roster
from sync.roster import Roster


class Memory(Protocol):
    """What the judge must remember of all valid commits so far; large, so a log's reader may keep it on disk."""

    def has_commit(self, device: str, commit_id: str) -> bool:
        """Whether this device already has a valid commit of this id."""
        ...

    def is_named(self, ref: ObjectRef) -> bool:
        """Whether a valid commit names this object: its whole name, for a digest may be claimed under any base."""
        ...

    def remember(self, commit: Commit) -> None:
        """Take a valid commit in."""
        ...


@dataclass(slots=True)
class MemoryInRam:
    """The memory of a short log, or of a full re-fold."""

    ids: set[tuple[str, str]] = field(default_factory=set)
    named: set[tuple[str, int, str]] = field(default_factory=set)  # kind, base, digest: whole object names

    def has_commit(self, device: str, commit_id: str) -> bool:
        """See Memory."""
        return (device, commit_id) in self.ids

    def is_named(self, ref: ObjectRef) -> bool:
        """See Memory."""
        return (ref.kind, ref.base, ref.sha256) in self.named

    def remember(self, commit: Commit) -> None:
        """See Memory."""
        self.ids.add((commit.device, commit.id))
        self.named.update([(ref.kind, ref.base, ref.sha256) for ref in commit.objects])


@dataclass(slots=True)
class Ahead:
    """The memory of a run that is not stored yet, in front of what is."""

    before: Memory
    presume_new: bool = (
        False  # every commit is taken for new to `before`: who judges so asks for all of them at once
    )
    run: MemoryInRam = field(default_factory=MemoryInRam)

    def has_commit(self, device: str, commit_id: str) -> bool:
        """See Memory."""
        known = not self.presume_new and self.before.has_commit(device, commit_id)
        return known or self.run.has_commit(device, commit_id)

    def is_named(self, ref: ObjectRef) -> bool:
        """See Memory."""
        return self.run.is_named(ref) or self.before.is_named(ref)

    def remember(self, commit: Commit) -> None:
        """See Memory."""
        self.run.remember(commit)


@dataclass(frozen=True, slots=True)
class LogPoint:
    """Where a reader of the log stands: the roster (None before a valid genesis) and the last valid commit."""

    roster: Roster | None = None
    prev: bytes | None = None  # hash of the last valid commit
    valid_seq: int | None = None  # its slot


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a slot turned out to be: a valid commit with the point after it, or void for a reason."""

    point: LogPoint
    commit: Commit | None
    void_reason: str | None = None


Signed = Callable[
    [bytes, Commit, bytes], bool
]  # a slot's bytes, the commit in them, the Ed25519 key it must be by


def judge(
    point: LogPoint, memory: Memory, seq: int, data: bytes, *, signed: Signed = commits.is_signed
) -> Verdict:
    """Judge slot `seq`. Raises NewerFormat when an admitted device signed a format we do not know: stop and upgrade.

    `signed` answers for the signature: another process may have checked it ahead, or this device before.
    """
    try:
        commit = commits.parse(data, slot_name(seq))
        roster = _admissible(point, memory, commit, seq, lambda key: signed(data, commit, key))
    except NewerFormat as newer:
        if _signed_by_admitted(point, newer):
            raise
        return Verdict(point, None, "claims a newer format without an admitted signature")
    except (FormatBroken, Refused) as reason:
        return Verdict(point, None, reason.problem if isinstance(reason, FormatBroken) else str(reason))
    memory.remember(commit)
    return Verdict(LogPoint(roster, commit_hash(data), seq), commit)


def _admissible(
    point: LogPoint, memory: Memory, commit: Commit, seq: int, signed_by: Callable[[bytes], bool]
) -> Roster:
    """The roster after a valid commit; Refused otherwise."""
    if commit.seq != seq:
        raise Refused(f"says it is commit {commit.seq}")
    if commit.prev != (point.prev.hex() if point.prev is not None else None):
        raise Refused("does not follow the last valid commit")
    if not signed_by(_signer(point.roster, commit)):
        raise Refused("the signature does not hold")
    if memory.has_commit(commit.device, commit.id):
        raise Refused("repeats an earlier commit of this device")
    roster = _after_events(point.roster, commit)
    _check_place(roster, commit)
    _check_epochs(point.roster, roster, commit)
    known = point.roster is not None and bytes.fromhex(commit.device) in point.roster.devices
    _check_objects(roster, memory, commit, admits_author=not known)
    _check_leaves(commit)
    return roster


def _signer(roster: Roster | None, commit: Commit) -> bytes:
    """The Ed25519 key the commit must be signed with: an admitted device's, or the one its first event admits."""
    first = commit.events[0]
    if isinstance(first, events.Genesis) == (roster is not None):
        raise Refused("a log begins with its one genesis")
    admitted = _admits_its_author(commit, first, roster)
    if admitted is not None:
        return admitted.ed25519
    device = roster.active_device(bytes.fromhex(commit.device)) if roster is not None else None
    if device is None:
        raise Refused("is by no device the team admits")
    return device.keys.ed25519


def _admits_its_author(commit: Commit, first: events.Event, roster: Roster | None) -> PublicKeys | None:
    """The author's keys, if its own first event is what admits it: genesis, join, or a recovery with the kit."""
    if not isinstance(first, events.Genesis | events.Join | events.DeviceAdded):
        return None
    keys = PublicKeys(bytes.fromhex(first.device.keys.ed25519), bytes.fromhex(first.device.keys.x25519))
    author = device_id(keys).hex() == commit.device
    if isinstance(first, events.DeviceAdded):
        known = roster is not None and bytes.fromhex(commit.device) in roster.devices
        return keys if author and not known else None
    if not author:
        raise Refused("is not by the device that its first event admits")
    return keys


def _after_events(roster: Roster | None, commit: Commit) -> Roster:
    author = Author(bytes.fromhex(commit.device), commit.seq)
    remaining = list(commit.events)
    if roster is None:
        genesis = remaining.pop(0)
        if not isinstance(genesis, events.Genesis):
            raise Refused("a log begins with its one genesis")
        roster = first_roster(genesis, author)
    if any(isinstance(event, events.Join) for event in remaining[1:]):
        raise Refused("a join comes first in its commit")
    for event in remaining:
        roster = apply(roster, event, author)
    return roster


def _check_place(roster: Roster, commit: Commit) -> None:
    """The commit names its team, a space its author may write to, and that space's newest epoch."""
    if commit.team != roster.team.hex():
        raise Refused("is of another team")
    space = roster.spaces.get(bytes.fromhex(commit.space))
    if space is None:
        raise Refused("names no space of this team")
    member = roster.devices[bytes.fromhex(commit.device)].member
    if space.owner not in (None, member):
        raise Refused("writes to another member's private space")
    if commit.epoch != space.newest.number:
        raise Refused(f"names epoch {commit.epoch}, the newest is {space.newest.number}")


def _check_epochs(before: Roster | None, after: Roster, commit: Commit) -> None:
    """Whoever ends a right starts the epoch in the same commit; an epoch is for exactly who may read, its author too."""
    if after is before and not after.rotation_due:
        return  # a bare push: no event changed anything
    started = {bytes.fromhex(e.space) for e in commit.events if isinstance(e, events.Epoch)}
    author = after.devices[bytes.fromhex(commit.device)].keys.x25519
    for space_id in started:
        space = after.spaces[space_id]
        if space.newest.wraps.keys() != after.recipients(space) or author not in space.newest.wraps:
            raise Refused("an epoch that is not for exactly the space's readers, its author among them")
    team = after.spaces.get(after.team_space)
    if team is None:
        raise Refused("a team without its first epoch")
    if any(isinstance(event, events.MemberRekeyed) for event in commit.events):
        _require_both_epochs(after, started, after.devices[bytes.fromhex(commit.device)].member)
    if before is None or after.team_space in started:
        return
    lost = before.recipients(before.spaces[before.team_space]) - after.recipients(team)
    if lost and not after.rotation_due:
        raise Refused("ends somebody's right without a new epoch")
    if before.rotation_due and not all(
        isinstance(e, events.Left | events.DeviceRevoked) for e in commit.events
    ):
        raise Refused("writes on before enacting a pending request with a new epoch")


def _require_both_epochs(roster: Roster, started: set[bytes], member: bytes) -> None:
    """A replaced kit loses team and private space in one commit: between two, a kill would leave it one of them."""
    private = roster.private_space_of(member)
    if not {roster.team_space, *([private.id] if private is not None else [])} <= started:
        raise Refused("replaces a kit without a new epoch of each space it could open")


def _check_objects(roster: Roster, memory: Memory, commit: Commit, *, admits_author: bool) -> None:
    """Objects come with the event that is about them; newly named ones lie behind the fence, where gc does not delete."""
    pushes = any(isinstance(event, events.Push) for event in commit.events)
    if admits_author and (pushes or commit.objects):
        raise Refused("genesis, join and recovery carry no push")
    _check_kinds(roster, commit)
    if len({ref.sha256 for ref in commit.objects}) != len(commit.objects):
        raise Refused("names an object twice")
    for ref in commit.objects:
        if ref.kind not in ("pack", "manifest", "stats"):
            raise Refused(f"format 0 has no {ref.kind} objects")
        if ref.base >= commit.seq:
            raise Refused("names an object with a base ahead of the log")
        if ref.base < roster.fence and not memory.is_named(ref):
            raise Refused("newly names an object from before the fence")
    given_up = (each for e in commit.events if isinstance(e, events.ObjectsGivenUp) for each in e.objects)
    if not all(memory.is_named(ObjectRef(**each.model_dump(), bytes=1)) for each in given_up):
        raise Refused("gives up an object that no commit names")
    space = roster.spaces[bytes.fromhex(commit.space)]
    if commit.objects and not space.newest.wraps.keys() <= roster.recipients(space):
        raise Refused("pushes under an epoch that somebody without the right can open")


def _check_kinds(roster: Roster, commit: Commit) -> None:
    """What each event brings: a push its manifest and packs; published stats one object, for the whole team."""
    pushes = any(isinstance(event, events.Push) for event in commit.events)
    published = sum(isinstance(event, events.StatsPublished) for event in commit.events)
    kinds = [ref.kind for ref in commit.objects]
    if pushes != ("manifest" in kinds) or (not pushes and set(kinds) - {"stats"}):
        raise Refused("a push names its manifest, and nothing else names objects")
    if published > 1 or kinds.count("stats") != published:
        raise Refused("published stats are one object, and nothing else names one")
    if published and bytes.fromhex(commit.space) != roster.team_space:
        raise Refused("publishes stats to somebody else than the team")


def _check_leaves(commit: Commit) -> None:
    """One append leaf per conversation pushed; one team leaf for all other events, opened in the sealed field."""
    pushes = any(isinstance(event, events.Push) for event in commit.events)
    team_events = any(not isinstance(event, events.Push) for event in commit.events)
    kinds = [leaf.kind for leaf in commit.leaves]
    appends, teams = kinds.count(commits.leaf_append), kinds.count(commits.leaf_team)
    if appends + teams != len(kinds) or (appends > 0) != pushes or teams != int(team_events):
        raise Refused("its leaves do not match its events")
    if team_events != (commit.sealed is not None):
        raise Refused("a team leaf is opened in the sealed field, and only such a leaf")


def _signed_by_admitted(point: LogPoint, newer: NewerFormat) -> bool:
    """Otherwise any garbage saying "format 9" would stop the whole team."""
    stated = newer.fields.get("device")
    if point.roster is None or not isinstance(stated, str):
        return point.roster is None
    try:
        device = point.roster.active_device(bytes.fromhex(stated))
    except ValueError:
        return False
    return device is not None and commits.signature_holds(newer.fields, device.keys.ed25519)
