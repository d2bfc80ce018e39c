"""A team as a state machine: any order of what members, strangers, networks and power cuts do, beside a model of sets.

The model knows for each space which nodes must be there (somebody's sync of them ended well) and which may be (somebody wrote
them down). After every step the log is one chain that each laptop has a prefix of and folds alike, and nothing named is missing.
At the end everybody sees exactly their spaces, `verify` is content, and whoever went can open nothing that came later.
"""

import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crypto.errors import KeyNeeded, SealBroken, StoreError, UsageError, VerificationFailed
from crypto.identities import SecretKeys, certify, new_device_keys
from store import events
from store.commits import name_of
from store.limits import commit_bytes_max
from store.names import object_name, slot_name
from store.nodes import Node
from sync.devices import add_device, revoke_device
from sync.drafts import Content, DraftContext, draft
from sync.gc import collect, day_ms
from sync.keychain import Keychain
from sync.membership import Bucket, create_team, invite, join
from sync.rights import close_invite, leave, remove_member
from sync.roster import Roster
from sync.team import InviteTerms
from sync.validity import LogPoint, MemoryInRam, judge
from sync.verify import verify
from tests.actors import NOW_MS, Person, person
from tests.fakes.strict_store import Fault, StrictStore, fault_at, no_faults
from tests.faults.worlds import CuttingStore, PowerCut, hurried, power_cut
from tests.laptops import turn
from tests.sync.team_actors import TEAM, Actor, Gone, Space, in_this_thread, junk_push, opened, path_to

laptops_max = 6
chances = st.integers(0, 2**16)


class TeamMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="tapes-stateful-"))
        self.store = StrictStore()
        self.actors: list[Actor] = []
        self.gone: list[Gone] = []
        self.must: dict[Space, set[str]] = {TEAM: set()}
        self.may: dict[Space, dict[str, Node]] = {TEAM: {}}
        self.absent: dict[str, bytes] = {}  # named by commits and not, or not yet, or no longer there
        self.junk: set[str] = set()  # names of hostile manifests
        self.withheld = (
            False  # some honest manifest was away at some time: then a member may push a node again
        )
        self.written = 0
        self.memory = MemoryInRam()
        self.points: list[LogPoint] = []
        founder = self.device(person("ana"), "ana")
        create_team(founder.client, "the team")
        self.actors.append(founder)

    # ── who there is ────────────────────────────────────────────────────────────────────────────────────────────────────

    def device(self, who: Person, member: str) -> Actor:
        """A new device with an empty home."""
        home = self.root / f"{member}-{token_bytes(4).hex()}"
        gate = CuttingStore(self.store, -1, after=False)
        return Actor(who, member, home, gate, opened(who, home, gate))

    def reopen(self, actor: Actor) -> None:
        """The process ends, and starts again from disk."""
        actor.laptop.close()
        actor.gate.at = -1
        actor.laptop = opened(actor.who, actor.home, actor.gate, actor.withheld)

    @property
    def owner(self) -> Actor:
        return self.actors[0]

    def pick(self, chance: int) -> Actor:
        return self.actors[chance % len(self.actors)]

    def fold(self) -> Roster:
        """The roster as of everything stored, folded here and by nobody else."""
        self.read_on()
        roster = self.points[-1].roster
        assert roster is not None
        return roster

    def read_on(self) -> None:
        slots = dict(self.store.snapshot().objects)
        while (data := slots.get(slot_name(len(self.points)))) is not None:
            before = self.points[-1] if self.points else LogPoint()
            self.points.append(judge(before, self.memory, len(self.points), data).point)

    def is_active(self, actor: Actor) -> bool:
        return self.fold().active_device(actor.who.identity.device_id) is not None

    def epochs(self) -> int:
        roster = self.fold()
        return len(roster.spaces[roster.team_space].epochs)

    # ── writing down and syncing ────────────────────────────────────────────────────────────────────────────────────────

    @rule(who=chances, parent=chances, turns=st.integers(1, 3), private=st.booleans())
    def write(self, who: int, parent: int, turns: int, *, private: bool) -> None:
        """New turns: of a new conversation, or on top of anybody's, forks included."""
        actor = self.pick(who)
        space = actor.member if private else TEAM
        known = list(self.may.setdefault(space, {}).values())
        chosen = known[parent % len(known)] if known and parent % 3 else None
        path = path_to(self.may[space], chosen)
        for _ in range(turns):
            self.written += 1
            text, on = f"turn {self.written}", path[-1] if path else None
            path.append(turn(text, on, output=self.written % 2, project="secret" if private else "alpha"))
        actor.laptop.provider.put(path)
        for node in path:
            actor.has(space)[node.hash] = node
            self.may[space][node.hash] = node

    def sync_well(self, actor: Actor) -> None:
        """A sync without faults: it must end well for a member, and then everything of theirs is committed and theirs to see."""
        expected = self.must[TEAM] | self.must.get(actor.member, set())
        try:
            report = actor.laptop.provider.sync()
        except KeyNeeded:
            assert not self.is_active(actor)
            self.forget(actor)
            return
        assert {broken.obj for broken in report.broken} <= self.absent.keys()
        for space in (TEAM, actor.member):
            self.must.setdefault(space, set()).update(actor.has(space))
        self.check_reader(actor, expected)

    def check_reader(self, actor: Actor, expected: set[str]) -> None:
        pulled = actor.laptop.pulled()
        allowed = self.may[TEAM].keys() | self.may.get(actor.member, {}).keys()
        rows = actor.laptop.rows()
        assert self.withheld or len(rows) == len(set(rows)), "a member committed a node twice"
        assert set(pulled) <= allowed
        assert self.absent or expected <= set(pulled)

    def forget(self, actor: Actor) -> None:
        """Somebody who is no longer in the team has no more part in this."""
        if actor in self.actors:
            self.actors.remove(actor)
            actor.laptop.close()

    @rule(who=chances)
    def sync(self, who: int) -> None:
        """One sync."""
        self.sync_well(self.pick(who))

    @rule(who=chances)
    def dry_run(self, who: int) -> None:
        """Planning writes nothing."""
        before = self.store.snapshot()
        self.pick(who).laptop.provider.sync(dry_run=True)
        assert before == self.store.snapshot()

    # ── faults ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        who=chances,
        fault=st.sampled_from(
            [
                *((kind, "put") for kind in (Fault.BEFORE, Fault.LOST_REPLY, Fault.LATE, Fault.LOSE)),
                *(
                    (kind, "get")
                    for kind in (Fault.BEFORE, Fault.TORN, Fault.FLIP, Fault.FORBIDDEN_IF_MISSING)
                ),
                (Fault.STALE, "list"),
            ]
        ),
        prefix=st.sampled_from(["log/", "manifests/", "packs/"]),
        times=st.integers(1, 3),
    )
    def sync_under_fault(self, who: int, fault: tuple[Fault, str], prefix: str, times: int) -> None:
        """A sync that something goes wrong with; it may end in any of our errors, and harms nothing."""
        kind, op = fault
        if kind is Fault.LOSE and prefix != "log/":
            return  # an object lost after 200 is the bucket's loss, in tests/faults; a lost slot must be noticed and put again
        actor = self.pick(who)
        if kind in (Fault.TORN, Fault.FLIP):
            times = 1  # the same garbled answer twice is what the bucket holds, as far as anybody can tell
        self.store.schedule = fault_at(kind, op, prefix, times=times)
        try:
            actor.laptop.provider.sync()
        except (StoreError, VerificationFailed, KeyNeeded):
            pass
        finally:
            self.store.schedule = no_faults

    @rule(who=chances, request=st.integers(0, 25), after=st.booleans())
    def crash(self, who: int, request: int, *, after: bool) -> None:
        """A sync whose process dies at some request; the next process opens what is on disk."""
        actor = self.pick(who)
        actor.gate.at, actor.gate.after = actor.gate.requests + request, after
        with suppress(PowerCut, KeyNeeded):
            actor.laptop.provider.sync()
        self.reopen(actor)

    @precondition(lambda self: len(self.actors) > 1)
    @rule(
        who=chances,
        other=chances,
        request=st.integers(2, 14),
        deed=st.sampled_from(["sync", "remove", "leave", "junk", "invite"]),
    )
    def raced_sync(self, who: int, other: int, request: int, deed: str) -> None:
        """In the middle of one sync somebody else syncs, is removed, leaves, or a stranger writes."""
        actor = self.pick(who)
        rival = next(a for a in (self.pick(other), self.pick(other + 1)) if a is not actor)
        deeds = {
            "sync": lambda: self.sync_well(rival),
            "remove": lambda: self.removed_by_owner(actor, rival),
            "leave": lambda: self.walk_out(rival),
            "junk": lambda: self.plant(b"junk in the race"),
            "invite": lambda: self.open_invite_by_owner(unless=actor),
        }
        actor.gate.at, actor.gate.after = actor.gate.requests + request, False
        actor.gate.cut = in_this_thread(actor.gate, deeds[deed])
        try:
            self.sync_well(actor)
        finally:
            actor.gate.at, actor.gate.cut = -1, power_cut

    def removed_by_owner(self, actor: Actor, rival: Actor) -> None:
        """Whoever is syncing is removed, or the other one; a process that is in the middle of a sync removes nobody."""
        if actor is not self.owner:
            self.end_membership(actor if actor.member != "ana" else rival)

    # ── the team ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def open_invite_by_owner(self, *, unless: Actor | None = None) -> None:
        if self.owner is not unless:
            invite(self.owner.client, InviteTerms(2, None), Bucket("file:///unused"))

    @rule()
    def leave_an_invite_open(self) -> None:
        """An invite nobody uses: whoever holds it can read until it is closed."""
        self.open_invite_by_owner()

    @precondition(lambda self: len(self.actors) < laptops_max)
    @rule(limit=st.integers(1, 2), request=st.integers(0, 12), after=st.booleans())
    def join(self, limit: int, request: int, *, after: bool) -> None:
        """Somebody joins, with a crash on the way if the request number is reached; trying again completes it."""
        link = invite(self.owner.client, InviteTerms(limit, None), Bucket("file:///unused"))
        name = f"member{len(list(self.root.iterdir()))}"
        actor = self.device(person(name), name)
        actor.gate.at, actor.gate.after = request, after
        try:
            join(actor.client, link)
        except PowerCut:
            self.reopen(actor)
            if not self.is_active(actor):
                join(actor.client, link)
        actor.gate.at = -1
        assert self.is_active(actor)
        self.actors.append(actor)

    @precondition(lambda self: any(i.open for i in self.fold().invites.values()))
    @rule(which=chances)
    def end_invite(self, which: int) -> None:
        """An open invite ends, with a new epoch in the same commit."""
        still = [i for i in self.fold().invites.values() if i.open]
        with suppress(UsageError):  # keeping house, as every write does first, may have ended it already
            close_invite(self.owner.client, still[which % len(still)].id)

    @precondition(lambda self: len({actor.member for actor in self.actors}) > 1)
    @rule(who=chances)
    def remove(self, who: int) -> None:
        """The owner removes a member with all devices."""
        self.end_membership(self.pick(who))

    def end_membership(self, actor: Actor) -> None:
        if actor.member == "ana" or not self.is_active(actor):
            return
        keys = tuple(self.keys_of(actor.member))
        remove_member(self.owner.client, actor.who.identity.member_id)
        self.gone.append(Gone(keys, self.epochs() - 1))  # the newest epoch is the one that shut them out

    @precondition(lambda self: len(self.actors) > 1)
    @rule(who=chances)
    def leave(self, who: int) -> None:
        """A member goes; the next writer's epoch makes it true."""
        self.walk_out(self.pick(who))

    def walk_out(self, actor: Actor) -> None:
        if actor.member == "ana" or not self.is_active(actor):
            return
        keys = tuple(self.keys_of(actor.member))
        leave(actor.client)
        self.gone.append(Gone(keys, self.epochs()))

    def keys_of(self, member: str) -> list[SecretKeys]:
        own = [actor for actor in self.actors if actor.member == member]
        return [own[0].who.member, *(actor.who.identity.device for actor in own)]

    @precondition(lambda self: len(self.actors) < laptops_max)
    @rule(who=chances)
    def link_device(self, who: int) -> None:
        """A member's second laptop, let in by the first."""
        by = self.pick(who)
        if not self.is_active(by):
            return
        keys = new_device_keys()
        add_device(by.client, keys.public, "another")
        certificate = certify(by.who.identity.device, by.who.identity.member_id, keys.public)
        identity = replace(
            by.who.identity,
            device=keys,
            certified_by=by.who.identity.device_id,
            certificate=certificate,
        )
        self.actors.append(self.device(replace(by.who, identity=identity), by.member))

    @precondition(lambda self: len({actor.member for actor in self.actors}) < len(self.actors))
    @rule(who=chances)
    def lose_device(self, who: int) -> None:
        """A member's laptop is lost, and another of theirs says so."""
        lost = self.pick(who)
        by = next((a for a in self.actors if a.member == lost.member and a is not lost), None)
        if by is None or lost is self.owner or not self.is_active(by) or not self.is_active(lost):
            return
        revoke_device(by.client, lost.who.identity.device_id, None)
        self.gone.append(Gone((lost.who.identity.device,), self.epochs() - 1))

    @rule()
    def collect_garbage(self) -> None:
        """A fence as close as it may be, and everything unnamed before it deleted."""
        made = self.owner.client
        made.committer._clock_ms = lambda: time.time_ns() // 1_000_000 + 2 * day_ms
        collect(made, older_than_ms=day_ms)
        hurried(made)

    # ── what strangers and hostile members write ────────────────────────────────────────────────────────────────────────

    def plant(self, data: bytes, ahead: int = 0) -> None:
        self.read_on()
        name = slot_name(len(self.points) + ahead)
        if name not in dict(self.store.snapshot().objects):
            self.store.plant(name, data)

    @rule(kind=st.sampled_from(["junk", "oversized", "replayed", "another number"]), which=chances)
    def stranger_writes(self, kind: str, which: int) -> None:
        """Somebody with bucket access and no key fills a slot, the next one or one further on."""
        self.read_on()
        old = dict(self.store.snapshot().objects)[slot_name(which % len(self.points))]
        junk = {"junk": b"\x00junk", "oversized": b"x" * (commit_bytes_max + 1), "replayed": old}
        self.plant(junk.get(kind, b"far ahead"), ahead=which % 4 if kind == "another number" else 0)

    @rule(
        who=chances,
        kind=st.sampled_from(["mis-chained", "repeated id", "a sealed nothing", "an absent nothing"]),
    )
    def hostile_member_writes(self, who: int, kind: str) -> None:
        """A member signs what is void, or a valid push whose manifest is junk or not there: everybody goes on."""
        actor = self.pick(who)
        roster = self.fold()
        if not self.is_active(actor) or roster.rotation_due:
            return
        actor.client.log.catch_up()
        key = actor.client.keychain.newest(roster, roster.team_space)
        point, seq = self.points[-1], len(self.points)
        context = DraftContext(point, seq, token_bytes(16), NOW_MS, actor.who.identity)
        told = Content([events.Rewrap(type="rewrap", grants=[])])
        if kind == "mis-chained":
            context = replace(context, point=replace(point, prev=token_bytes(32)))
        elif kind == "repeated id":
            context = replace(context, commit_id=self.id_of_first_commit(actor) or context.commit_id)
        else:
            told = self.empty_push(absent=kind == "an absent nothing")
        self.plant(draft(context, roster.team, key, told))

    @precondition(lambda self: self.absent)
    @rule(which=chances)
    def absent_no_more(self, which: int) -> None:
        """What was not there is there after all, when others have long pushed on without it."""
        name = sorted(self.absent)[which % len(self.absent)]
        self.store.plant(name, self.absent.pop(name))

    def id_of_first_commit(self, actor: Actor) -> bytes | None:
        ids = [i for d, i in sorted(self.memory.ids) if d == actor.who.identity.device_id.hex()]
        return bytes.fromhex(ids[0]) if ids else None

    def empty_push(self, *, absent: bool) -> Content:
        told, name, junk = junk_push(len(self.points) - 1)
        self.junk.add(name)
        if absent:
            self.absent[name] = junk
        else:
            self.store.plant(name, junk)
        return told

    @rule(which=chances)
    def withhold(self, which: int) -> None:
        """The bucket does not show some manifest for a while, to nobody who has not read it yet."""
        stored = [info.name for info in self.store.list("manifests/")]
        if stored and which % 3 == 0:
            name = stored[which % len(stored)]
            self.absent[name] = self.store.get(name)
            self.store.plant(name, None)
            self.withheld = True

    # ── what holds after every step ─────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def one_log_for_everybody(self) -> None:
        """Each laptop has a prefix of the one log, and folds it to the same point."""
        self.read_on()
        slots = dict(self.store.snapshot().objects)
        for actor in self.actors:
            pinned = list(actor.client.replica.slots())
            assert [slots[slot_name(seq)] for seq in range(len(pinned))] == [slot.data for slot in pinned]
            expected = self.points[len(pinned) - 1] if pinned else LogPoint()
            assert expected == actor.client.log.point == actor.client.replica.point()

    @invariant()
    def nothing_named_is_missing(self) -> None:
        """Every object that an honest commit names lies in the bucket, whole."""
        objects = dict(self.store.snapshot().objects)
        for actor in self.actors[:1]:
            for ref, _ in actor.client.replica.named_objects():
                name = object_name(ref.kind, ref.base, ref.sha256)
                assert name in self.absent or len(objects[name]) == ref.bytes

    def teardown(self) -> None:
        """At the end everybody syncs without faults and everything is looked at, also from nothing."""
        try:
            if self.actors:
                self.settle()
        finally:
            for actor in self.actors:
                actor.laptop.close()
            shutil.rmtree(self.root)

    def settle(self) -> None:
        while self.absent:
            self.absent_no_more(0)
        while self.write_and_sync(self.owner):
            pass  # squatted numbers further on are stepped over one by one
        for actor in list(self.actors):
            self.sync_well(actor)
        for actor in list(self.actors):
            self.sync_well(actor)
            if actor not in self.actors:
                continue
            self.check_reader(actor, self.must[TEAM] | self.must.get(actor.member, set()))
            report = verify(actor.client)
            assert report.ok, report.findings
            refused = actor.client.replica.manifests("refused")
            assert {name_of(each.ref) for each in refused} <= self.junk
        self.check_from_nothing()
        self.check_the_gone()

    def write_and_sync(self, actor: Actor) -> bool:
        """Step over whatever is void; whether anything lies further on still."""
        self.write(0, 0, 1, private=False)
        self.sync_well(actor)
        self.read_on()
        stored = len(list(self.store.list("log/")))
        return len(self.points) < stored or self.points[-1].valid_seq != len(self.points) - 1

    def check_from_nothing(self) -> None:
        """A fresh home of each member sees what the old one does; a re-fold from nothing agrees."""
        self.read_on()
        memory, point = MemoryInRam(), LogPoint()
        slots = dict(self.store.snapshot().objects)
        for seq in range(len(self.points)):
            point = judge(point, memory, seq, slots[slot_name(seq)]).point
        assert self.points[-1] == point
        for number, actor in enumerate(self.actors):
            fresh = opened(
                actor.who, self.root / f"fresh-{number}", CuttingStore(self.store, -1, after=False)
            )
            fresh.provider.pull()
            assert fresh.pulled() == actor.laptop.pulled()
            assert point == fresh.client.log.point
            fresh.close()

    def check_the_gone(self) -> None:
        """With all the keys they ever had and the whole bucket, nobody opens a later epoch of the team."""
        roster = self.fold()
        for gone in self.gone:
            for epoch in range(gone.epoch + 1, self.epochs() + 1):
                with pytest.raises((KeyNeeded, SealBroken)):
                    Keychain(gone.keys).at(roster, roster.team_space, epoch)
