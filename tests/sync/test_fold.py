"""The rules by which a commit is valid or void: a table of what each party may and may not say."""

import json
from collections.abc import Callable
from dataclasses import replace
from secrets import token_bytes
from typing import Any

import pytest

from crypto import labels
from crypto.identities import SecretKeys, certify, invite_id, invite_keys
from store import events
from store.commits import encode
from sync.drafts import Content, draft, grant, new_epoch
from sync.fold import join_statement
from sync.identity import stored_keys
from sync.keychain import Keychain
from sync.roster import Roster
from sync.team import InviteTerms, ending, inviting, joining, private_epoch
from sync.validity import LogPoint, MemoryInRam, judge
from tests.actors import Book, Person, person


def roster_of(book: Book) -> Roster:
    assert book.point.roster is not None
    return book.point.roster


def keychain(who: Person) -> Keychain:
    return Keychain([who.identity.device])


@pytest.fixture
def book() -> Book:
    """A team of one owner."""
    return Book(person("ana"))


def let_in(book: Book, name: str, uses: int = 1) -> Person:
    """Invite and join a further member."""
    secret, who = token_bytes(32), person(name)
    book.write(inviting(book.context(book.owner), keychain(book.owner), secret, InviteTerms(uses, None)))
    book.write(joining(book.context(who), secret))
    return who


def open_invite(book: Book, by: Person | None = None, uses: int = 1) -> bytes:
    secret = token_bytes(32)
    author = by or book.owner
    book.write(inviting(book.context(author), keychain(author), secret, InviteTerms(uses, None)))
    return secret


def test_a_team_is_founded_with_its_owner_and_first_epoch(book: Book) -> None:
    """Slot 0 gives an owner, one device, one team space with one epoch that the owner can open."""
    roster = roster_of(book)

    assert ["owner"] == [member.role for member in roster.members.values()]
    assert roster.team == keychain(book.owner).newest(roster, roster.team_space).team
    assert roster.recipients(roster.spaces[roster.team_space]) == set(
        roster.spaces[roster.team_space].newest.wraps
    )


def test_joining_needs_no_one_online_and_uses_the_invite_up(book: Book) -> None:
    """The joiner's own commit admits it, closes the last place and starts the epoch without the link's key."""
    ben = let_in(book, "ben")
    roster = roster_of(book)
    newest = roster.spaces[roster.team_space].newest

    assert 2 == newest.number
    assert not any(invite.open for invite in roster.invites.values())
    assert invite_keys_of(roster).isdisjoint(newest.wraps)
    assert keychain(ben).at(roster, roster.team_space, 1) == keychain(book.owner).at(
        roster, roster.team_space, 1
    )


def invite_keys_of(roster: Roster) -> set[bytes]:
    return {invite.keys.x25519 for invite in roster.invites.values()}


def test_an_invite_for_two_admits_two_and_no_third(book: Book) -> None:
    """Uses are counted by the fold: the third joiner's commit is void whatever its client believed."""
    secret = open_invite(book, uses=2)
    book.write(joining(book.context(person("ben")), secret))
    dan = person("dan")
    late = json.loads(joining(book.context(dan), secret))
    book.write(joining(book.context(person("cat")), secret))

    assert book.point.prev is not None
    moved = {**late, "seq": len(book.slots), "prev": book.point.prev.hex()}
    del moved["sig"]
    assert "not open" in book.void_reason(encode(moved, dan.identity.device.sign_seed))
    assert 3 == len(roster_of(book).active_members())


def test_a_joiner_without_the_secret_is_void(book: Book) -> None:
    """Knowing the invite's public half, and even the team key, does not admit anybody."""
    secret, thief = open_invite(book), person("thief")
    roster = roster_of(book)
    key = keychain(book.owner).newest(roster, roster.team_space)
    public = invite_keys(secret).public
    forged = SecretKeys(token_bytes(32), token_bytes(32))
    statement = join_statement(
        roster.team, invite_id(public), thief.identity.member_id, thief.identity.device_id
    )
    join = events.Join(
        type="join",
        invite=invite_id(public).hex(),
        member=stored_keys(thief.identity.member),
        device=thief.identity.claim(),
        voucher=forged.sign(labels.JOIN, statement).hex(),
        grants=[grant(key, [thief.identity.member.x25519, thief.identity.device.public.x25519])],
    )

    assert "vouch" in book.void_reason(draft(book.context(thief), roster.team, key, Content([join])))


def test_a_removed_member_writes_no_more_and_reads_no_newer_epoch(book: Book) -> None:
    """Removal starts an epoch in the same commit that the removed member holds no wrap of."""
    ben = let_in(book, "ben")
    removal = events.MemberRemoved(type="member_removed", member=ben.identity.member_id.hex())
    book.write(book.ends(book.owner, [removal]))
    roster = roster_of(book)

    assert ben.identity.device.public.x25519 not in roster.spaces[roster.team_space].newest.wraps
    with pytest.raises(Exception, match="no key for space"):
        keychain(ben).newest(roster, roster.team_space)
    assert "no device" in book.void_reason(book.says(ben, [events.Rewrap(type="rewrap", grants=[])]))


def test_ending_a_right_without_an_epoch_is_void(book: Book) -> None:
    """A removal that leaves the old key in use would be theatre: the fold refuses it."""
    ben = let_in(book, "ben")
    removal = events.MemberRemoved(type="member_removed", member=ben.identity.member_id.hex())

    assert "without a new epoch" in book.void_reason(book.says(book.owner, [removal]))


def test_an_epoch_must_be_for_exactly_the_readers(book: Book) -> None:
    """Neither an extra recipient nor a left-out member passes, however the author explains it."""
    let_in(book, "ben")
    roster = roster_of(book)
    readers = roster.recipients(roster.spaces[roster.team_space])
    older = keychain(book.owner).newest(roster, roster.team_space)
    stranger = person("eve").identity.device.public.x25519

    for wrong in (readers | {stranger}, readers - {min(readers)}):
        epoch, key = new_epoch(roster.team, roster.team_space, older, wrong)
        data = draft(book.context(book.owner), roster.team, key, Content([epoch]))
        assert "exactly the space's readers" in book.void_reason(data)


def test_leaving_is_enacted_by_the_next_write(book: Book) -> None:
    """After a wish to leave, any commit without the new epoch is void; the one with it clears the way."""
    ben = let_in(book, "ben")
    book.write(book.says(ben, [events.Left(type="left")]))

    assert roster_of(book).rotation_due
    idle = events.Rewrap(type="rewrap", grants=[])
    assert "pending request" in book.void_reason(book.says(book.owner, [idle]))
    book.write(ending(book.context(book.owner), keychain(book.owner), []))
    assert not roster_of(book).rotation_due
    book.write(book.says(book.owner, [idle]))


def test_a_second_wish_to_leave_waits_for_no_epoch(book: Book) -> None:
    """Two may ask to leave before anybody writes: one epoch then ends both, and neither wish is lost."""
    ben, cat = let_in(book, "ben"), let_in(book, "cat")
    book.write(book.says(ben, [events.Left(type="left")]))
    book.write(book.says(cat, [events.Left(type="left")]))
    book.write(ending(book.context(book.owner), keychain(book.owner), []))

    assert [book.owner.identity.member_id] == [member.id for member in roster_of(book).active_members()]
    assert not roster_of(book).rotation_due


def wanted(book: Book, epoch: int, space: bytes | None = None) -> events.RewrapWanted:
    """A request for a key of the team space, or of another."""
    return events.RewrapWanted(
        type="rewrap_wanted", space=(space or roster_of(book).team_space).hex(), epoch=epoch
    )


def test_a_key_is_asked_for_once_and_by_who_may_read_it(book: Book) -> None:
    """Not for an epoch that is not there, not for another's private space, and not again before an answer."""
    ben = let_in(book, "ben")
    book.write(private_epoch(book.context(book.owner), keychain(book.owner)))
    private = roster_of(book).private_space_of(book.owner.identity.member_id)
    assert private is not None

    assert "does not exist" in book.void_reason(book.says(ben, [wanted(book, 3)]))
    assert "does not exist" in book.void_reason(book.says(ben, [wanted(book, 0)]))
    assert "no right" in book.void_reason(book.says(ben, [wanted(book, 1, private.id)]))
    book.write(book.says(ben, [wanted(book, 1)]))
    assert "asks again" in book.void_reason(book.says(ben, [wanted(book, 1)]))
    book.write(book.says(ben, [wanted(book, 2)]))


def test_an_answer_counts_once_for_each_member(book: Book) -> None:
    """Ben's own answer does not settle his second request for the same key; somebody else's does."""
    ben = let_in(book, "ben")
    roster = roster_of(book)
    key = keychain(ben).at(roster, roster.team_space, 1)
    answer = events.Rewrap(type="rewrap", grants=[grant(key, [ben.identity.device.public.x25519])])
    place = (roster.team_space, 1, ben.identity.device_id)

    told: list[events.Event] = [wanted(book, 1), answer, wanted(book, 1), answer]
    book.write(book.says(ben, told))
    assert roster_of(book).wanted[place].pending
    book.write(book.says(book.owner, [answer]))
    assert not roster_of(book).wanted[place].pending
    other = events.Rewrap(type="rewrap", grants=[grant(key, [book.owner.identity.device.public.x25519])])
    book.write(book.says(ben, [wanted(book, 1), other]))
    assert roster_of(book).wanted[place].pending


def test_roles_are_kept_apart(book: Book) -> None:
    """A plain member neither invites, removes, fences nor promotes itself; an admin does not touch an owner."""
    ben = let_in(book, "ben")
    roster = roster_of(book)
    key = keychain(ben).newest(roster, roster.team_space)
    invite = events.Invite(
        type="invite", keys=stored_keys(invite_keys(b"i" * 32).public), limit=1, expires_at=None,
        grants=[grant(key, [invite_keys(b"i" * 32).public.x25519])],
    )  # fmt: skip
    owner_id = book.owner.identity.member_id.hex()

    assert "owner or admin" in book.void_reason(book.says(ben, [invite]))
    promotion = events.RoleSet(type="role_set", member=ben.identity.member_id.hex(), role="owner")
    assert "an owner sets" in book.void_reason(book.says(ben, [promotion]))
    assert "owner or admin" in book.void_reason(book.says(ben, [events.GcFence(type="gc_fence", base=1)]))
    book.write(
        book.says(
            book.owner, [events.RoleSet(type="role_set", member=ben.identity.member_id.hex(), role="admin")]
        )
    )
    book.write(book.says(ben, [events.GcFence(type="gc_fence", base=1)]))
    demotion = events.RoleSet(type="role_set", member=owner_id, role="member")
    assert "an owner sets" in book.void_reason(book.says(ben, [demotion]))
    assert "last owner" in book.void_reason(book.says(book.owner, [demotion]))


def test_a_fence_only_moves_forward_and_stays_behind_the_head(book: Book) -> None:
    """A fence ahead of the head could condemn objects that are being written now."""
    assert "forward" in book.void_reason(
        book.says(book.owner, [events.GcFence(type="gc_fence", base=10_000)])
    )
    assert "forward" in book.void_reason(book.says(book.owner, [events.GcFence(type="gc_fence", base=0)]))


def test_a_revoked_device_takes_what_it_certified_with_it(book: Book) -> None:
    """A thief who linked another device before the revocation loses both; the member's first device stays."""
    ana, stolen = book.owner, book.owner.device()

    def added(claim: events.DeviceClaim, who: Person) -> events.DeviceAdded:
        key = keychain(ana).newest(roster_of(book), roster_of(book).team_space)
        wrap = grant(key, [who.identity.device.public.x25519])
        return events.DeviceAdded(
            type="device_added", member=ana.identity.member_id.hex(), device=claim, grants=[wrap]
        )

    book.write(book.says(ana, [added(stolen.identity.claim(), stolen)]))
    third = book.owner.device()
    certificate = certify(stolen.identity.device, ana.identity.member_id, third.identity.device.public)
    third_identity = replace(third.identity, certified_by=stolen.identity.device_id, certificate=certificate)
    book.write(book.says(stolen, [added(third_identity.claim(), third)]))
    revoke = events.DeviceRevoked(type="device_revoked", device=stolen.identity.device_id.hex(), lost_seq=0)
    book.write(book.ends(ana, [revoke]))

    alive = [device.id for device in roster_of(book).devices.values() if device.revoked_seq is None]
    assert [ana.identity.device_id] == alive


def test_a_device_needs_its_members_certificate(book: Book) -> None:
    """Nobody adds a device to somebody else, nor one that the member's keys did not certify."""
    ben, extra = let_in(book, "ben"), book.owner.device()
    key = keychain(ben).newest(roster_of(book), roster_of(book).team_space)
    wrap = grant(key, [extra.identity.device.public.x25519])
    foreign = events.DeviceAdded(
        type="device_added",
        member=book.owner.identity.member_id.hex(),
        device=extra.identity.claim(),
        grants=[wrap],
    )
    stolen_claim = events.DeviceAdded(
        type="device_added", member=ben.identity.member_id.hex(), device=extra.identity.claim(), grants=[wrap]
    )

    assert "same member" in book.void_reason(book.says(ben, [foreign]))
    assert "certificate" in book.void_reason(book.says(ben, [stolen_claim]))


def test_a_private_space_is_its_owners_alone(book: Book) -> None:
    """One private space per member; nobody else starts its epochs or writes under it."""
    ben = let_in(book, "ben")
    book.write(private_epoch(book.context(book.owner), keychain(book.owner)))
    roster = roster_of(book)
    space = roster.private_space_of(book.owner.identity.member_id)
    assert space is not None

    assert not keychain(ben).can_read(roster, space.id)
    key = keychain(book.owner).newest(roster, space.id)
    epoch, next_key = new_epoch(roster.team, space.id, key, roster.recipients(space))
    assert "only its owner" in book.void_reason(
        draft(book.context(ben), roster.team, next_key, Content([epoch]))
    )
    idle = Content([events.Rewrap(type="rewrap", grants=[])])
    assert "another member's private space" in book.void_reason(
        draft(book.context(ben), roster.team, key, idle)
    )
    second, second_key = new_epoch(roster.team, token_bytes(16), None, roster.recipients(space))
    data = draft(book.context(book.owner), roster.team, second_key, Content([second]))
    assert "one private space" in book.void_reason(data)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a wrong number": (lambda c: c.update(seq=99), "says it is commit"),
    "another team": (lambda c: c.update(team="00" * 32), "another team"),
    "a wrong chain": (lambda c: c.update(prev="00" * 32), "last valid commit"),
    "an unknown field": (lambda c: c.update(name="ana"), "field"),
    "a missing field": (lambda c: c.pop("leaves"), "field"),
    "an old epoch": (lambda c: c.update(epoch=0), "epoch"),
    "an unknown space": (lambda c: c.update(space="00" * 16), "no space"),
    "no leaf": (lambda c: c.update(leaves=[]), "leaves"),
    "an append leaf without a push": (
        lambda c: c["leaves"].append({"kind": 1, "tag": "00" * 16, "c": "00" * 32}),
        "leaves",
    ),
    "objects without a push": (
        lambda c: c.update(objects=[{"kind": "pack", "base": 0, "sha256": "00" * 32, "bytes": 1}]),
        "push",
    ),
    "a float": (lambda c: c.update(at=1.5), ""),
    "an unsealed team leaf": (lambda c: c.update(sealed=None), "sealed"),
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda name: name.replace(" ", "-"))
def test_a_commit_that_says_something_wrong_is_void(book: Book, broken: str) -> None:
    """Each field's rule holds on its own, even with a good signature over the wrong content."""
    change, reason = BROKEN[broken]
    good = json.loads(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])]))
    del good["sig"]
    change(good)
    try:
        data = encode(good, book.owner.identity.device.sign_seed)
    except ValueError:  # our own writer refuses to spell it: sign it as a hostile client would
        data = json.dumps({**good, "sig": "00" * 64}).encode()

    assert reason in book.void_reason(data)
    book.write(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])]))


def test_garbage_costs_one_number(book: Book) -> None:
    """Empty, huge, non-JSON, deep, foreign-format slots are void for everybody, and the next commit goes on."""
    for garbage in (
        b"",
        b"\x00" * 10,
        b"{}",
        b"[" * 100_000,
        b'{"format":9}',
        b"x" * (1 << 21),
        b"null",
        b'{"a":1,"a":1}',
    ):
        book.void_reason(garbage)

    book.write(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])]))


def test_a_newer_format_stops_only_when_a_member_signed_it(book: Book) -> None:
    """A stranger's "format 9" is void; a member's is a reason to stop and upgrade, not to guess."""
    newer = json.loads(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])]))
    del newer["sig"]
    newer["format"] = 9
    with pytest.raises(Exception, match="newer format"):
        book.put(encode(newer, book.owner.identity.device.sign_seed))
    assert "newer format" in book.void_reason(encode(newer, person("eve").identity.device.sign_seed))


def test_a_replayed_commit_is_void(book: Book) -> None:
    """The same bytes in a later slot, or the same id re-signed for it, count once."""
    said = book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])])
    book.write(said)

    assert "says it is commit" in book.void_reason(said)
    again = json.loads(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[])]))
    del again["sig"]
    again["id"] = json.loads(said)["id"]
    assert "repeats" in book.void_reason(encode(again, book.owner.identity.device.sign_seed))


def test_judging_is_the_same_for_all_and_pure(book: Book) -> None:
    """Re-folding the same slots from nothing gives the same roster and the same void slots."""
    let_in(book, "ben")
    book.void_reason(b"garbage")
    let_in(book, "cat")
    other = replay(book.slots)

    assert roster_of(book) == other.roster
    assert book.point == other


def replay(slots: list[bytes]) -> LogPoint:
    point, memory = LogPoint(), MemoryInRam()
    for seq, data in enumerate(slots):
        point = judge(point, memory, seq, data).point
    return point
