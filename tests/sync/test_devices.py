"""Devices: who may admit and end them, as rules of the fold and as what a client does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto.errors import KeyNeeded, TapesError, UsageError
from crypto.identities import PublicKeys, certify, new_device_keys
from store import events
from store.blobs import BlobStore
from store.directory import DirectoryStore
from sync.client import Client
from sync.devices import add_device, admission, devices, find_device, first_slot_since, revoke_device
from sync.drafts import Content, draft, grant
from sync.keychain import Keychain
from sync.rights import close_invite, leave, open_invites, remove_member, set_role
from sync.team import ending, private_epoch
from tests.actors import NOW_MS, Book, Person, client, founded, joined, person
from tests.sync.test_fold import let_in, roster_of


@pytest.fixture
def book() -> Book:
    """A team of one owner, on paper."""
    return Book(person("ana"))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A bucket in a folder."""
    return DirectoryStore(tmp_path / "bucket")


def recovers(book: Book, who: Person, kit: Person | None = None) -> bytes:
    """`who`'s recovery commit, written by its own new device, opened with `kit`'s member key."""
    opener = Keychain([(kit or who).member, book.owner.identity.device])
    return admission(book.context(who), opener, who.identity.claim(), {})


# ── recovery as a rule ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_member_key_lets_a_new_device_admit_itself(book: Book) -> None:
    """With every device lost, one commit by the new device, certified by the kit, is valid and lets it write on."""
    new = book.owner.device()
    book.write(private_epoch(book.context(book.owner), Keychain([book.owner.identity.device])))
    book.write(recovers(book, new))

    assert roster_of(book).active_device(new.identity.device_id) is not None
    mine = Keychain([new.identity.device])
    assert all(mine.newest(roster_of(book), space) for space in roster_of(book).spaces)
    book.write(book.says(new, [events.Rewrap(type="rewrap", grants=[])]))


def test_a_recovery_enacts_what_is_pending(book: Book) -> None:
    """Somebody asked to leave and nobody wrote since: the recovery starts the epoch, or it would be void."""
    ben = let_in(book, "ben")
    book.write(book.says(ben, [events.Left(type="left")]))
    book.write(recovers(book, book.owner.device()))

    assert not roster_of(book).rotation_due


def _by_a_thief(book: Book) -> bytes:
    """A stolen device, which has no member key, certifies a helper with its own and lets that speak for itself."""
    helper = book.owner.device()
    stolen = book.owner.identity
    certificate = certify(stolen.device, stolen.member_id, helper.identity.device.public)
    return recovers(book, replace(helper, identity=replace(helper.identity, certificate=certificate)))


def _named_as_certified_by_a_device(book: Book) -> bytes:
    """The same, telling the truth about who certified it."""
    helper = book.owner.device()
    stolen = book.owner.identity
    certificate = certify(stolen.device, stolen.member_id, helper.identity.device.public)
    told = replace(helper.identity, certificate=certificate, certified_by=stolen.device_id)
    return recovers(book, replace(helper, identity=told))


def _by_a_stranger(book: Book) -> bytes:
    """Somebody with a kit of no member of this team."""
    return recovers(book, person("eve"))


def _for_another_member(book: Book) -> bytes:
    """A member's kit for a device of somebody else's: the certificate is over another member."""
    ben = let_in(book, "ben")
    new = ben.device()
    claim = new.identity.claim()
    event = _admission_event(book, claim, book.owner.identity.member_id)
    return _drafted(book, new, [event])


def _by_a_removed_member(book: Book) -> bytes:
    """A kit outlives the membership; its power does not."""
    ben = let_in(book, "ben")
    removal = events.MemberRemoved(type="member_removed", member=ben.identity.member_id.hex())
    book.write(ending(book.context(book.owner), Keychain([book.owner.identity.device]), [removal]))
    new = ben.device()
    event = _admission_event(book, new.identity.claim(), ben.identity.member_id)
    return _drafted(book, new, [event])


def _by_a_member_who_left(book: Book) -> bytes:
    """As removed: who asked to go comes back by an invite."""
    ben = let_in(book, "ben")
    book.write(book.says(ben, [events.Left(type="left")]))
    new = ben.device()
    return _drafted(book, new, [_admission_event(book, new.identity.claim(), ben.identity.member_id)])


def _a_revoked_device_again(book: Book) -> bytes:
    """The kit once certified it; revoked is revoked."""
    new = book.owner.device()
    book.write(recovers(book, new))
    revoked = events.DeviceRevoked(type="device_revoked", device=new.identity.device_id.hex(), lost_seq=None)
    book.write(book.ends(book.owner, [revoked]))
    return _drafted(book, new, [_admission_event(book, new.identity.claim(), new.identity.member_id)])


def _without_the_keys(book: Book) -> bytes:
    """Nobody is let in without the key, oneself included."""
    new = book.owner.device()
    event = _admission_event(book, new.identity.claim(), new.identity.member_id)
    return _drafted(book, new, [event.model_copy(update={"grants": []})])


def _second_in_its_commit(book: Book) -> bytes:
    """Only the first event says who signs."""
    new = book.owner.device()
    event = _admission_event(book, new.identity.claim(), new.identity.member_id)
    return _drafted(book, new, [events.Rewrap(type="rewrap", grants=[]), event])


def _with_a_push(book: Book) -> bytes:
    """A device's first word is its admission; nodes come when it is in."""
    new = book.owner.device()
    event = _admission_event(book, new.identity.claim(), new.identity.member_id)
    return _drafted(book, new, [event, events.Push(type="push")])


def _of_keys_without_their_signature(book: Book) -> bytes:
    """A claim copied from somebody, signed by another device."""
    new, other = book.owner.device(), book.owner.device()
    event = _admission_event(book, new.identity.claim(), new.identity.member_id)
    forged = replace(other, identity=replace(other.identity, member=new.identity.member))
    return _drafted(book, forged, [event])


def _admission_event(book: Book, claim: events.DeviceClaim, member: bytes) -> events.DeviceAdded:
    roster = roster_of(book)
    key = Keychain([book.owner.identity.device]).newest(roster, roster.team_space)
    wraps = [grant(key, [bytes.fromhex(claim.keys.x25519)])]
    return events.DeviceAdded(type="device_added", member=member.hex(), device=claim, grants=wraps)


def _drafted(book: Book, who: Person, told: list[events.Event]) -> bytes:
    roster = roster_of(book)
    key = Keychain([book.owner.identity.device]).newest(roster, roster.team_space)
    return draft(book.context(who), roster.team, key, Content(told))


VOID: dict[Callable[[Book], bytes], str] = {
    _by_a_thief: "certificate does not hold",
    _named_as_certified_by_a_device: "certified by the member key",
    _by_a_stranger: "nobody who is a member",
    _for_another_member: "certificate does not hold",
    _by_a_removed_member: "nobody who is a member",
    _by_a_member_who_left: "nobody who is a member",
    _a_revoked_device_again: "no device",
    _without_the_keys: "without a wrap",
    _second_in_its_commit: "no device",
    _with_a_push: "recovery carry no push",
    _of_keys_without_their_signature: "no device",
}


@pytest.mark.parametrize("attempt", VOID, ids=lambda attempt: attempt.__name__.strip("_"))
def test_nobody_else_recovers(book: Book, attempt: Callable[[Book], bytes]) -> None:
    """A stolen device, a stranger, an ex-member, a revoked device: each attempt is void, and the team goes on."""
    data = attempt(book)

    assert VOID[attempt] in book.void_reason(data)
    if not roster_of(book).rotation_due:
        book.write(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])]))


# ── what a client does ──────────────────────────────────────────────────────────────────────────────────────────────────


def linked(old: Client, who: Person, store: BlobStore, home: Path) -> Client:
    """A further device of `old`'s member, admitted by it."""
    keys = new_device_keys()
    add_device(old, keys.public, home.name)
    claim = old.identity
    certificate = certify(claim.device, claim.member_id, keys.public)
    identity = replace(claim, device=keys, certified_by=claim.device_id, certificate=certificate)
    made = client(replace(who, identity=identity), store, home)
    made.log.catch_up()
    return made


def owner(store: DirectoryStore, home: Path) -> Client:
    return founded(store, home / "ana")


def test_devices_are_listed_with_the_names_their_member_gave(store: DirectoryStore, tmp_path: Path) -> None:
    """Both devices see both, each knows itself, and the bucket does not spell a name."""
    ana = owner(store, tmp_path)
    phone = linked(ana, person("ana"), store, tmp_path / "ana-phone")

    assert [(None, True), ("ana-phone", False)] == [(d.name, d.is_this) for d in devices(ana)]
    assert [(None, False), ("ana-phone", True)] == [(d.name, d.is_this) for d in devices(phone)]
    assert b"ana-phone" not in b"".join(store.get(info.name) for info in store.list(""))


def test_a_revoked_device_takes_along_what_it_let_in_since(store: DirectoryStore, tmp_path: Path) -> None:
    """From the stated slot on; what it had certified before stays, and so does the rest of the team."""
    ana = owner(store, tmp_path)
    stolen = linked(ana, person("ana"), store, tmp_path / "stolen")
    honest = linked(stolen, person("ana"), store, tmp_path / "honest")
    since = stolen.log.next_seq
    planted = linked(stolen, person("ana"), store, tmp_path / "planted")
    revoke_device(ana, stolen.identity.device_id, since)

    alive = {device.id for device in ana.roster.devices_of(ana.identity.member_id)}
    assert {ana.identity.device_id, honest.identity.device_id} == alive
    for gone in (stolen, planted):
        gone.log.catch_up()
        with pytest.raises(KeyNeeded, match="no longer"):
            gone.require_membership()
        with pytest.raises(KeyNeeded, match="no key"):
            gone.keychain.newest(gone.roster, gone.roster.team_space)


def test_a_device_can_end_itself(store: DirectoryStore, tmp_path: Path) -> None:
    """A wish, enacted by the member's other device with the epoch that the ended one cannot open."""
    ana = owner(store, tmp_path)
    phone = linked(ana, person("ana"), store, tmp_path / "phone")
    revoke_device(phone, phone.identity.device_id, None)
    ana.log.catch_up()
    assert ana.roster.rotation_due
    add_device(ana, new_device_keys().public, "next")

    newest = ana.roster.spaces[ana.roster.team_space].newest
    assert phone.identity.device.public.x25519 not in newest.wraps


def test_what_the_rules_refuse_is_said_before_a_commit_is_spent(
    store: DirectoryStore, tmp_path: Path
) -> None:
    """A plain member removes, promotes, closes and revokes nothing of others'; the log is as long as before."""
    ana = owner(store, tmp_path)
    ben = joined(ana, store, tmp_path / "ben")
    before = ben.log.next_seq
    attempts: list[Callable[[], None]] = [
        lambda: remove_member(ben, ana.identity.member_id),
        lambda: set_role(ben, ben.identity.member_id, "owner"),
        lambda: revoke_device(ben, ana.identity.device_id, None),
        lambda: close_invite(ben, bytes(32)),
        lambda: leave(ana),
    ]
    for attempt in attempts:
        with pytest.raises(UsageError, match="rules refuse"):
            attempt()

    ana.log.catch_up()
    assert before == ana.log.next_seq
    assert [] == open_invites(ana)


def test_a_device_is_not_admitted_twice(store: DirectoryStore, tmp_path: Path) -> None:
    """The same keys again would be void for all: this device does not send it."""
    ana = owner(store, tmp_path)
    keys: PublicKeys = new_device_keys().public
    add_device(ana, keys, "one")

    with pytest.raises(TapesError, match="admitted before"):
        add_device(ana, keys, "two")


def test_a_date_stands_for_the_first_slot_since(store: DirectoryStore, tmp_path: Path) -> None:
    """Long ago is the whole log; the future is nothing that exists."""
    ana = owner(store, tmp_path)

    assert 0 == first_slot_since(ana, datetime.fromtimestamp(NOW_MS / 1e6, UTC))
    assert ana.log.next_seq == first_slot_since(ana, datetime(2200, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("prefix", ["", "a", "zzzz", "0000000000"])
def test_a_prefix_that_names_no_device_is_refused(store: DirectoryStore, tmp_path: Path, prefix: str) -> None:
    """Too short to be meant, or of nobody: ending the wrong device is not undone."""
    ana = owner(store, tmp_path)

    with pytest.raises(UsageError, match="names no device"):
        find_device(ana, prefix)
    assert ana.identity.device_id == find_device(ana, ana.identity.device_id.hex()[:9].upper())
