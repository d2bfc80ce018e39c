"""Thieves of a kit and thieves of a device around a rekey: what each tries, and what it gets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crypto.errors import KeyNeeded, SealBroken, TapesError
from store import events
from store.blobs import PutOutcome
from store.commits import parse
from store.names import slot_name
from sync.devices import revoke_device
from sync.drafts import Content, draft, new_epoch
from sync.fold import Author, Refused, apply
from sync.keychain import Keychain
from sync.recovery import kit_identity, recover
from sync.rekey import rekey
from sync.team import joining, private_epoch
from tests.actors import Book, Person, client, person
from tests.fakes.strict_store import StrictStore
from tests.laptops import conversation
from tests.sync.test_devices import recovers
from tests.sync.test_fold import let_in, open_invite, roster_of
from tests.sync.test_rekey import event_of, founded_by, new_kit, new_machine, rekeys

# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def book() -> Book:
    """Ana the owner with a private space."""
    made = Book(person("ana"))
    made.write(private_epoch(made.context(made.owner), Keychain([made.owner.identity.device])))
    return made


def _forced(book: Book, who: Person, event: events.Event, *spaces: bytes) -> bytes:
    """`who` sends an event the fold may refuse, with epochs of `spaces` for whoever reads them now."""
    roster = roster_of(book)
    keychain = Keychain([who.identity.device, book.owner.identity.device])
    told, key = [event], keychain.newest(roster, roster.team_space)
    for space in spaces:
        older = keychain.newest(roster, space)
        epoch, key = new_epoch(roster.team, space, older, roster.recipients(roster.spaces[space]))
        told.append(epoch)
    return draft(book.context(who), roster.team, key, Content(told))


def _thief_of_a_device(book: Book) -> bytes:
    """All that the device holds is not the kit."""
    stolen = book.owner
    return _forced(book, stolen, event_of(book, stolen, new_kit(), new_kit()), roster_of(book).team_space)


def _revoked_device_with_the_kit(book: Book) -> bytes:
    """Laptop and kit in one bag, but the laptop was revoked first."""
    ana, other = book.owner, book.owner.device()
    book.write(recovers(book, other))
    gone = events.DeviceRevoked(type="device_revoked", device=other.identity.device_id.hex(), lost_seq=None)
    book.write(book.ends(ana, [gone]))
    return _forced(book, other, event_of(book, other, ana.member, new_kit()), roster_of(book).team_space)


def _thief_of_the_kit_beside_the_owner(book: Book) -> bytes:
    """Recovered, then at once the next kit: the owner's device stands, so this is refused."""
    thief = book.owner.device()
    book.write(recovers(book, thief))
    return _forced(book, thief, event_of(book, thief, thief.member, new_kit()), roster_of(book).team_space)


def _another_member(book: Book) -> bytes:
    """Both signatures were seen in a race that Ana lost; Ben sends them as his own."""
    ben = let_in(book, "ben")
    seen = event_of(book, book.owner, book.owner.member, new_kit())
    return _forced(book, ben, seen, roster_of(book).team_space)


def _another_device_of_hers(book: Book) -> bytes:
    """As above, by a stolen device of Ana's: what was signed for one device is no other's to send."""
    stolen = book.owner.device()
    book.write(recovers(book, stolen))
    seen = event_of(book, book.owner, book.owner.member, new_kit())
    return _forced(book, stolen, seen, roster_of(book).team_space)


def _replayed(book: Book) -> bytes:
    """The event of last year's rekey once more: it would bring back a kit that was replaced since."""
    ana, second, third = book.owner, new_kit(), new_kit()
    first = event_of(book, ana, ana.member, second)
    book.write(rekeys(book, ana, first))
    book.write(rekeys(book, ana, event_of(book, ana, second, third)))
    return _forced(book, ana, first, roster_of(book).team_space)


def _back_to_the_old_kit(book: Book) -> bytes:
    """A kit that was seen is never taken up again, even by who holds both."""
    ana, second = book.owner, new_kit()
    book.write(rekeys(book, ana, event_of(book, ana, ana.member, second)))
    return _forced(book, ana, event_of(book, ana, second, ana.member), roster_of(book).team_space)


def _keys_of_somebody_else(book: Book) -> bytes:
    """Ben takes up Ana's public keys, so that her kit would find two members."""
    ben = let_in(book, "ben")
    return _forced(book, ben, event_of(book, ben, ben.member, book.owner.member), roster_of(book).team_space)


def _keys_nobody_proved(book: Book) -> bytes:
    """Ben takes up public keys of which he has no secret half: a future member's, say."""
    ben, later = let_in(book, "ben"), new_kit()
    forged = event_of(book, ben, ben.member, later)
    unproven = event_of(book, ben, ben.member, new_kit()).new_signature
    return _forced(
        book, ben, forged.model_copy(update={"new_signature": unproven}), roster_of(book).team_space
    )


VOID: dict[Callable[[Book], bytes], str] = {
    _thief_of_a_device: "both the kit",
    _revoked_device_with_the_kit: "no device the team admits",
    _thief_of_the_kit_beside_the_owner: "while one from before stands",
    _another_member: "both the kit",
    _another_device_of_hers: "both the kit",
    _replayed: "keys were a member's before",
    _back_to_the_old_kit: "keys were a member's before",
    _keys_of_somebody_else: "keys were a member's before",
    _keys_nobody_proved: "both the kit",
}


@pytest.mark.parametrize("attempt", VOID, ids=lambda attempt: attempt.__name__.strip("_"))
def test_nobody_else_replaces_a_kit(book: Book, attempt: Callable[[Book], bytes]) -> None:
    """A stolen device, a stolen kit, another member, a replay: each is void for the rule it breaks, and Ana writes on."""
    data = attempt(book)
    assert VOID[attempt] in book.void_reason(data)
    book.write(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])]))


@pytest.mark.parametrize("kept", ["team", "private"])
def test_a_rekey_that_leaves_the_old_kit_a_space_is_void(book: Book, kept: str) -> None:
    """Both epochs or nothing: else the old kit would read on in the one that was left out."""
    ana, kit = book.owner, new_kit()
    event = event_of(book, ana, ana.member, kit)
    roster = roster_of(book)
    private = roster.private_space_of(ana.identity.member_id)
    assert private is not None
    after = apply(roster, event, Author(ana.identity.device_id, len(book.slots)))
    space = private.id if kept == "team" else roster.team_space
    older = Keychain([ana.identity.device]).newest(roster, space)
    epoch, key = new_epoch(roster.team, space, older, after.recipients(after.spaces[space]))

    data = draft(book.context(ana), roster.team, key, Content([event, epoch]))
    assert "each space it could open" in book.void_reason(data)


def test_an_epoch_that_still_serves_the_old_kit_is_void(book: Book) -> None:
    """Eve, a member, seals the next epoch to Ana's old recovery key: not exactly the readers, so it never was."""
    ana, eve = book.owner, let_in(book, "eve")
    book.write(rekeys(book, ana, event_of(book, ana, ana.member, new_kit())))
    roster = roster_of(book)
    older = Keychain([eve.identity.device]).newest(roster, roster.team_space)
    readers = {*roster.recipients(roster.spaces[roster.team_space]), ana.member.public.x25519}
    epoch, key = new_epoch(roster.team, roster.team_space, older, readers)

    assert "exactly" in book.void_reason(draft(book.context(eve), roster.team, key, Content([epoch])))


# ── the whole story ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kit_thief_gets_nothing_from_after_the_rekey(tmp_path: Path) -> None:
    """Old kit, a device it let in and the whole bucket: the device is out, and no later epoch of either space opens."""
    store, ana = StrictStore(), person("ana")
    laptop = founded_by(ana, store, tmp_path / "ana")
    thief = new_machine(ana.member, store, tmp_path / "thief")
    recover(thief, ana.member, "thief")
    done = rekey(laptop.client, ana.member, new_kit())
    laptop.local.add([*conversation("later", 2), *conversation("hidden later", 2, project="secret")])
    laptop.provider.sync()

    assert [thief.identity.device_id] == done.revoked
    roster = laptop.client.roster
    private = roster.private_space_of(ana.identity.member_id)
    assert private is not None
    stolen = Keychain([thief.identity.device, ana.member])
    for space in (roster.team_space, private.id):
        with pytest.raises((KeyNeeded, SealBroken)):
            stolen.newest(roster, space)
    thief.log.catch_up()
    with pytest.raises(KeyNeeded, match="no longer"):
        thief.require_membership()


@pytest.mark.parametrize("first", ["thief", "owner"])
def test_a_kit_thief_who_races_the_rekey_loses_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Just before the rekey's slot the thief recovers: the rekey, drafted again, ends that device. A moment later: refused."""
    store, ana, kit = StrictStore(), person("ana"), new_kit()
    laptop = founded_by(ana, store, tmp_path / "ana")
    thief = new_machine(ana.member, store, tmp_path / "thief")
    put = store.put_if_absent
    raced: list[str] = []

    def overtaken(name: str, data: bytes) -> PutOutcome:
        if name == slot_name(laptop.client.log.next_seq) and not raced:
            raced.append(name)
            if first == "thief":
                recover(thief, ana.member, "thief")
            else:
                rekey(laptop.client, ana.member, kit)
        return put(name, data)

    monkeypatch.setattr(store, "put_if_absent", overtaken)
    if first == "thief":
        assert [thief.identity.device_id] == rekey(laptop.client, ana.member, kit).revoked
    else:
        with pytest.raises(KeyNeeded, match="replaced"):
            recover(thief, ana.member, "thief")

    assert raced
    laptop.client.log.catch_up()
    assert {laptop.client.identity.device_id} == {
        device.id for device in laptop.client.roster.devices_of(ana.identity.member_id)
    }


def test_what_a_kit_thief_can_do_first_is_not_silent(tmp_path: Path) -> None:
    """With the kit and no hurry the thief ends Ana's device and makes a kit of its own: her next sync stops and says so."""
    store, ana = StrictStore(), person("ana")
    laptop = founded_by(ana, store, tmp_path / "ana")
    thief = new_machine(ana.member, store, tmp_path / "thief")
    recover(thief, ana.member, "thief")
    with pytest.raises(TapesError, match="while one from before stands"):
        rekey(thief, ana.member, new_kit())
    revoke_device(thief, laptop.client.identity.device_id, None)
    rekey(thief, ana.member, new_kit())

    with pytest.raises(KeyNeeded, match=f"no longer.*by device {thief.identity.device_id.hex()[:12]}"):
        laptop.provider.sync()


def test_a_device_that_is_ended_in_the_middle_of_a_rekey_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thief is quicker by one slot and revokes the device at work: no commit, no crash, and who did it."""
    store, ana = StrictStore(), person("ana")
    laptop = founded_by(ana, store, tmp_path / "ana")
    thief = new_machine(ana.member, store, tmp_path / "thief")
    recover(thief, ana.member, "thief")
    put, mine = store.put_if_absent, laptop.client.identity.device_id
    raced: list[str] = []

    def overtaken(name: str, data: bytes) -> PutOutcome:
        if not raced:
            raced.append(name)
            revoke_device(thief, mine, None)
        return put(name, data)

    laptop.client.log.catch_up()
    monkeypatch.setattr(store, "put_if_absent", overtaken)
    with pytest.raises(KeyNeeded, match="revoked at commit"):
        rekey(laptop.client, ana.member, new_kit())
    assert raced


def test_a_rekeyed_kit_believes_no_bucket_that_only_names_it(tmp_path: Path) -> None:
    """An operator copies the public keys of the new kit, and even its signed event, into a team of its own: not rescued from."""
    store, ana, kit = StrictStore(), person("ana"), new_kit()
    laptop = founded_by(ana, store, tmp_path / "ana")
    made = rekey(laptop.client, ana.member, kit)
    told = parse(store.get(slot_name(made.seq)), "the rekey").events[0]
    assert isinstance(told, events.MemberRekeyed)
    operator = Book(person("operator"))
    member = operator.owner
    fake = StrictStore()
    signed_by_one = event_of(operator, member, member.member, new_kit())
    for forged in (told, signed_by_one.model_copy(update={"keys": told.keys})):
        roster = roster_of(operator)
        operator.put(_forced(operator, member, forged, roster.team_space))
    for seq, data in enumerate(operator.slots):
        fake.put_if_absent(slot_name(seq), data)

    reader = client(Person(kit, kit_identity(kit, "x")), fake, tmp_path / "reader")
    with pytest.raises(KeyNeeded, match="not in this bucket"):
        recover(reader, kit, "x")


def test_a_kit_makes_no_second_member(book: Book) -> None:
    """Whoever saw the new kit and holds an invite does not join beside Ana under her own keys."""
    ana, kit = book.owner, new_kit()
    book.write(rekeys(book, ana, event_of(book, ana, ana.member, kit)))
    secret = open_invite(book)
    stolen = Person(kit, kit_identity(kit, "thief"))

    with pytest.raises(Refused, match="member already"):
        joining(book.context(stolen), secret)
