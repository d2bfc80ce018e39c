"""Another kit for the same member: who may, what it ends, what it leaves, and that a kill leaves one kit that counts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes

import pytest

from crypto import labels
from crypto.errors import KeyNeeded, UsageError
from crypto.identities import SecretKeys, certify, member_keys
from crypto.kit import mark_of
from store import events
from store.blobs import BlobStore
from store.directory import DirectoryStore
from store.local import LocalStore
from sync.client import Client
from sync.devices import devices, revoke_device
from sync.drafts import grant
from sync.fold import rekey_statement
from sync.identity import stored_keys
from sync.keychain import Keychain
from sync.membership import create_team, members
from sync.recovery import as_member, kit_identity, recognise, recover, rescue
from sync.rekey import check_rekey, rekey
from sync.team import ending, private_epoch
from sync.verify import verify
from tests.actors import Book, Person, client, joined, person
from tests.faults.worlds import hurried
from tests.laptops import Laptop, conversation
from tests.sync.test_devices import linked, recovers
from tests.sync.test_fold import open_invite, roster_of


def new_kit() -> SecretKeys:
    return member_keys(token_bytes(32))


# ── as a rule ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def book() -> Book:
    """A team of one owner with a private space."""
    made = Book(person("ana"))
    made.write(private_epoch(made.context(made.owner), Keychain([made.owner.identity.device])))
    return made


def event_of(
    book: Book, who: Person, old: SecretKeys, new: SecretKeys, device: bytes | None = None
) -> events.MemberRekeyed:
    """`who`'s member under another kit, as the two kits sign it for `device`."""
    roster = roster_of(book)
    member = roster.members[who.identity.member_id]
    statement = rekey_statement(
        roster.team, member.id, member.keys, new.public, device or who.identity.device_id
    )
    return events.MemberRekeyed(
        type="member_rekeyed",
        keys=stored_keys(new.public),
        old_signature=old.sign(labels.MEMBER_REKEYED, statement).hex(),
        new_signature=new.sign(labels.MEMBER_REKEYED, statement).hex(),
    )


def rekeys(book: Book, who: Person, event: events.MemberRekeyed) -> bytes:
    """`who`'s commit of an event that the fold takes, with the epochs it needs."""
    roster = roster_of(book)
    private = roster.private_space_of(who.identity.member_id)
    keychain = Keychain([who.identity.device])
    return ending(book.context(who), keychain, [event], private.id if private is not None else None)


def test_a_member_goes_on_under_another_kit(book: Book) -> None:
    """The id stays, role and devices too; every space has an epoch that the new kit opens and the old one does not."""
    ana, kit = book.owner, new_kit()
    before = roster_of(book).members[ana.identity.member_id]
    book.write(rekeys(book, ana, event_of(book, ana, ana.member, kit)))
    roster = roster_of(book)
    after = roster.members[ana.identity.member_id]
    private = roster.private_space_of(after.id)

    assert (before.id, before.role, before.keys) == (after.id, after.role, after.first_keys)
    assert kit.public == after.keys
    assert [ana.identity.device_id] == [device.id for device in roster.devices_of(after.id)]
    assert private is not None
    for space in (roster.team_space, private.id):
        newest = Keychain([ana.identity.device]).newest(roster, space)
        assert 2 == newest.epoch
        assert newest == Keychain([kit]).newest(roster, space)
        assert Keychain([kit]).at(roster, space, 1) == Keychain([ana.member]).at(roster, space, 1)
        with pytest.raises(KeyNeeded):
            Keychain([ana.member]).newest(roster, space)


def test_the_new_kit_recovers_and_the_old_one_does_not(book: Book) -> None:
    """A device that the old kit certifies is void from then on; the new kit lets one in, for the same member."""
    ana, kit = book.owner, new_kit()
    late = ana.device()
    book.write(rekeys(book, ana, event_of(book, ana, ana.member, kit)))
    assert "certificate does not hold" in book.void_reason(recovers(book, late))

    again = replace(ana, member=kit).device()
    book.write(recovers(book, again))
    assert {d.id for d in roster_of(book).devices_of(ana.identity.member_id)} == {
        ana.identity.device_id,
        again.identity.device_id,
    }


def test_a_second_rekey_follows_the_first(book: Book) -> None:
    """The kit that counts is the one to bring; the member's first keys still give its id."""
    ana, second, third = book.owner, new_kit(), new_kit()
    book.write(rekeys(book, ana, event_of(book, ana, ana.member, second)))
    book.write(rekeys(book, ana, event_of(book, ana, second, third)))
    member = roster_of(book).members[ana.identity.member_id]

    assert (third.public, (ana.member.public, second.public)) == (member.keys, member.former)


def test_a_rekey_ends_what_the_old_kit_alone_let_in(book: Book) -> None:
    """A device that somebody recovered with the seen kit goes, and what it let in; a linked one stays, invites close."""
    ana, thief = book.owner, book.owner.device()
    open_invite(book)
    honest, planted = book.owner.device(), book.owner.device()
    book.write(book.says(ana, [_linked(book, ana, honest)]))
    book.write(recovers(book, thief))
    book.write(book.says(thief, [_linked(book, thief, planted)]))
    kit = new_kit()
    book.write(rekeys(book, honest, event_of(book, honest, ana.member, kit)))
    roster = roster_of(book)

    stand = {device.id for device in roster.devices_of(ana.identity.member_id)}
    assert {ana.identity.device_id, honest.identity.device_id} == stand
    assert not any(invite.open for invite in roster.invites.values())
    for gone in (thief, planted):
        with pytest.raises(KeyNeeded):
            Keychain([gone.identity.device]).newest(roster, roster.team_space)


def _linked(book: Book, old: Person, new: Person) -> events.DeviceAdded:
    """`new` as a device that `old` let in. The person's identity is from then on certified so."""
    certificate = certify(old.identity.device, old.identity.member_id, new.identity.device.public)
    identity = replace(new.identity, certified_by=old.identity.device_id, certificate=certificate)
    roster = roster_of(book)
    keychain = Keychain([old.identity.device])
    spaces = [roster.team_space]
    private = roster.private_space_of(old.identity.member_id)
    if private is not None:
        spaces.append(private.id)
    return events.DeviceAdded(
        type="device_added",
        member=old.identity.member_id.hex(),
        device=identity.claim(),
        grants=[grant(keychain.newest(roster, s), [identity.device.public.x25519]) for s in spaces],
    )


# ── what a client does ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A bucket in a folder."""
    return DirectoryStore(tmp_path / "bucket")


def founded_by(ana: Person, store: BlobStore, home: Path) -> Laptop:
    """A team of one with team and private sessions pushed."""
    made = hurried(client(ana, store, home))
    create_team(made, "the team")
    laptop = Laptop(made, home, private={"secret"})
    laptop.local.add([*conversation("a", 6), *conversation("b", 4, project="secret")])
    laptop.provider.sync()
    return laptop


def new_machine(kit: SecretKeys, store: BlobStore, home: Path) -> Client:
    """A client with a new device, as `tapes recover` makes it with any kit of a member's."""
    nameless = kit_identity(kit, "new")
    reader = client(Person(kit, nameless), store, home)
    identity = as_member(nameless, kit, recognise(reader, kit))
    reader.close()
    return client(Person(kit, identity), store, home)


def test_with_the_new_kit_everything_comes_back(store: DirectoryStore, tmp_path: Path) -> None:
    """Rescue and recovery by the new kit: every turn from before and after the rekey, as the same member under its name."""
    ana, kit = person("ana"), new_kit()
    laptop = founded_by(ana, store, tmp_path / "ana")
    done = rekey(laptop.client, ana.member, kit)
    laptop.local.add([*conversation("after", 2), *conversation("hidden after", 2, project="secret")])
    laptop.provider.sync()
    everything = laptop.pulled()

    with LocalStore.open(tmp_path / "rescued.db") as local:
        reader = client(Person(kit, kit_identity(kit, "rescue")), store, tmp_path / "rescue")
        report = rescue(reader, kit, local, lambda _: None)
        assert (14, [], []) == (report.nodes, report.broken, report.notices)
    made = new_machine(kit, store, tmp_path / "new")
    recover(made, kit, "second life")
    again = Laptop(made, tmp_path / "new", private={"secret"})
    again.provider.sync()

    assert [] == done.revoked
    assert everything == again.pulled()
    assert [("ana", 2, True)] == [(m.name, m.devices, m.is_me) for m in members(made)]
    assert verify(made).ok


def test_a_device_linked_later_is_the_same_members(store: DirectoryStore, tmp_path: Path) -> None:
    """After a rekey the member's devices link, revoke and push as before, from identities that name the first keys."""
    ana = person("ana")
    laptop = founded_by(ana, store, tmp_path / "ana")
    rekey(laptop.client, ana.member, new_kit())
    phone = linked(laptop.client, ana, store, tmp_path / "phone")
    phone.log.catch_up()
    revoke_device(phone, laptop.client.identity.device_id, None)

    assert [False, True] == [device.revoked_seq is None for device in devices(phone)]
    assert laptop.client.identity.member_id == phone.identity.member_id


def test_the_kit_that_was_replaced_is_refused_by_name(store: DirectoryStore, tmp_path: Path) -> None:
    """Recovery, rescue and another rekey with it say at which commit it ended, and the mark of the one that counts."""
    ana, kit = person("ana"), new_kit()
    laptop = founded_by(ana, store, tmp_path / "ana")
    made = rekey(laptop.client, ana.member, kit)
    length = laptop.client.log.next_seq
    old = client(Person(ana.member, kit_identity(ana.member, "old")), store, tmp_path / "old")
    attempts: list[Callable[[], object]] = [
        lambda: recover(old, ana.member, "x"),
        lambda: rescue(old, ana.member, laptop.local, lambda _: None),
        lambda: check_rekey(laptop.client, ana.member, new_kit()),
        lambda: rekey(laptop.client, ana.member, new_kit()),
    ]
    for attempt in attempts:
        with pytest.raises(KeyNeeded, match=f"replaced.*commit {made.seq} .*{mark_of(kit.public)}"):
            attempt()

    assert laptop.client.log.catch_up() == 0
    assert length == laptop.client.log.next_seq


def test_what_may_not_be_is_said_before_a_kit_is_made(store: DirectoryStore, tmp_path: Path) -> None:
    """Another member's kit, a stranger's, and a recovered device beside an older one: refused, with what to do, and no commit."""
    ana = person("ana")
    laptop = founded_by(ana, store, tmp_path / "ana")
    ben = joined(laptop.client, store, tmp_path / "ben")
    made = new_machine(ana.member, store, tmp_path / "new")
    recover(made, ana.member, "second")
    length = made.log.next_seq

    with pytest.raises(UsageError, match="another member"):
        check_rekey(ben, ana.member, new_kit())
    with pytest.raises(KeyNeeded, match="not in this bucket"):
        check_rekey(ben, new_kit(), new_kit())
    with pytest.raises(UsageError, match="while one from before stands") as refused:
        check_rekey(made, ana.member, new_kit())
    assert laptop.client.identity.device_id.hex()[:12] in refused.value.hint
    with pytest.raises(UsageError, match="a member's before"):
        check_rekey(laptop.client, ana.member, ana.member)
    assert length == made.log.next_seq
    revoke_device(made, laptop.client.identity.device_id, None)
    assert [] == rekey(made, ana.member, new_kit()).revoked


def test_a_rekey_enacts_a_wish_and_loses_no_race(store: DirectoryStore, tmp_path: Path) -> None:
    """Between check and commit somebody pushes and somebody wishes to go: the rekey is drafted again, and is the epoch."""
    ana, kit = person("ana"), new_kit()
    laptop = founded_by(ana, store, tmp_path / "ana")
    ben = joined(laptop.client, store, tmp_path / "ben")
    check_rekey(laptop.client, ana.member, kit)
    bens = Laptop(ben, tmp_path / "ben")
    bens.local.add(conversation("ben", 2))
    bens.provider.sync()
    phone = linked(ben, person("ben"), store, tmp_path / "phone")
    revoke_device(phone, phone.identity.device_id, None)
    rekey(laptop.client, ana.member, kit)
    bens.provider.sync()

    assert not laptop.client.roster.rotation_due
    assert ben.log.point == laptop.client.log.point


def test_the_other_devices_are_told_once(store: DirectoryStore, tmp_path: Path) -> None:
    """A kit that lets a device in, and one that is replaced: each other device of the member hears of it at its next sync."""
    ana, kit = person("ana"), new_kit()
    laptop = founded_by(ana, store, tmp_path / "ana")
    phone = Laptop(linked(laptop.client, ana, store, tmp_path / "phone"), tmp_path / "phone", {"secret"})
    assert [] == phone.provider.sync().notices
    thief = new_machine(ana.member, store, tmp_path / "thief")
    recover(thief, ana.member, "x")
    [alarm] = laptop.provider.sync().notices
    assert f"let in device {thief.identity.device_id.hex()[:12]}" in alarm
    rekey(laptop.client, ana.member, kit)

    assert [] == laptop.provider.sync().notices
    [told] = phone.provider.sync().notices
    assert f"the one that counts now has the mark {mark_of(kit.public)}" in told
    assert [] == phone.provider.sync().notices


def test_a_recovery_that_a_rekey_overtook_goes_on_with_the_new_kit(
    store: DirectoryStore, tmp_path: Path
) -> None:
    """A device made with the first kit, not admitted yet when that was replaced, is certified anew by the one that counts."""
    ana, kit = person("ana"), new_kit()
    laptop = founded_by(ana, store, tmp_path / "ana")
    made = new_machine(ana.member, store, tmp_path / "new")
    rekey(laptop.client, ana.member, kit)
    with pytest.raises(KeyNeeded, match="replaced"):
        recover(made, ana.member, "x")
    recover(made, kit, "x")

    assert made.roster.active_device(made.identity.device_id) is not None
