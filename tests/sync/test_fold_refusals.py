"""What an event is refused for although its author may write: each rule of the fold by an event that breaks that rule alone."""

from dataclasses import replace
from secrets import token_bytes

import pytest

from crypto import labels
from crypto.identities import SecretKeys, certify, invite_id, invite_keys, member_id
from store import events
from store.commits import Leaf, ObjectRef, leaf_append
from store.names import ObjectKind
from sync.drafts import Content, draft, grant
from sync.fold import invite_limit_max, join_statement
from sync.identity import stored_keys
from sync.keychain import Keychain
from sync.team import private_epoch
from tests.actors import Book, Person, person
from tests.sync.test_fold import keychain, let_in, open_invite, roster_of, wanted

NOBODY = "5a" * 32


@pytest.fixture
def book() -> Book:
    """A team of one owner."""
    return Book(person("ana"))


def team_grant(book: Book, *recipients: bytes) -> events.Grant:
    """The newest team key, wrapped by the owner."""
    key = keychain(book.owner).newest(roster_of(book), roster_of(book).team_space)
    return grant(key, list(recipients))


def invite(book: Book, keys: SecretKeys, *, limit: int = 1, is_wrapped: bool = True) -> events.Invite:
    """An invite of these keys."""
    grants = [team_grant(book, keys.public.x25519)] if is_wrapped else []
    return events.Invite(
        type="invite", keys=stored_keys(keys.public), limit=limit, expires_at=None, grants=grants
    )


def join(book: Book, who: Person, secret: bytes, *recipients: bytes) -> bytes:
    """`who`'s commit that joins with an invite's secret and wraps the team key for those keys only."""
    roster, link = roster_of(book), invite_keys(secret)
    statement = join_statement(
        roster.team, invite_id(link.public), member_id(who.member.public), who.identity.device_id
    )
    event = events.Join(
        type="join",
        invite=invite_id(link.public).hex(),
        member=stored_keys(who.identity.member),
        device=who.identity.claim(),
        voucher=link.sign(labels.JOIN, statement).hex(),
        grants=[team_grant(book, *recipients)],
    )
    key = keychain(book.owner).newest(roster, roster.team_space)
    return draft(book.context(who), roster.team, key, Content([event]))


def revoke(device: bytes) -> events.DeviceRevoked:
    return events.DeviceRevoked(type="device_revoked", device=device.hex(), lost_seq=None)


def role(who: Person, name: events.Role) -> events.RoleSet:
    return events.RoleSet(type="role_set", member=who.identity.member_id.hex(), role=name)


def test_an_invite_is_made_once_with_a_limit_in_range_and_a_wrap(book: Book) -> None:
    """A second of the same keys, one for nobody or too many, one whose link could not read: void; the same made well counts."""
    keys = invite_keys(token_bytes(32))

    for limit in (0, invite_limit_max + 1):
        assert "limit in range" in book.void_reason(book.says(book.owner, [invite(book, keys, limit=limit)]))
    unwrapped = invite(book, keys, is_wrapped=False)
    assert "without a wrap" in book.void_reason(book.says(book.owner, [unwrapped]))
    book.write(book.says(book.owner, [invite(book, keys, limit=invite_limit_max)]))
    assert "made once" in book.void_reason(book.says(book.owner, [invite(book, keys)]))


def test_a_joiner_is_admitted_with_wraps_for_kit_and_device(book: Book) -> None:
    """An invite that is not in the log lets nobody in, nor does one used without a wrap for each of the joiner's two keys."""
    ben, secret = person("ben"), open_invite(book, uses=2)
    kit, device = ben.identity.member.x25519, ben.identity.device.public.x25519

    assert "not open" in book.void_reason(join(book, ben, token_bytes(32), kit, device))
    assert "without a wrap" in book.void_reason(join(book, ben, secret, device))
    assert "without a wrap" in book.void_reason(join(book, ben, secret, kit))
    book.write(join(book, ben, secret, kit, device))


def test_an_invite_is_closed_once_by_its_author_or_an_admin(book: Book) -> None:
    """Who made it may close it even when no admin any more; another plain member may not, and nobody closes it again."""
    ben, cat = let_in(book, "ben"), let_in(book, "cat")
    book.write(book.says(book.owner, [role(ben, "admin")]))
    link = invite_keys(open_invite(book, by=ben)).public
    book.write(book.says(book.owner, [role(ben, "member")]))
    closed = events.Closed(type="closed", invite=invite_id(link).hex())

    assert "only its author" in book.void_reason(book.says(cat, [closed]))
    book.write(book.ends(ben, [closed]))
    assert "no such open invite" in book.void_reason(book.says(ben, [closed]))
    unknown = events.Closed(type="closed", invite=NOBODY)
    assert "no such open invite" in book.void_reason(book.says(ben, [unknown]))


def test_a_device_is_revoked_once_by_its_member_or_who_outranks_them(book: Book) -> None:
    """A plain member revokes no other's device, an owner does; no device twice, and none that never was."""
    ben, cat = let_in(book, "ben"), let_in(book, "cat")
    of_ben = revoke(ben.identity.device_id)

    assert "by an owner or admin" in book.void_reason(book.says(cat, [of_ben]))
    assert "no such device" in book.void_reason(book.says(cat, [revoke(bytes.fromhex(NOBODY))]))
    book.write(book.ends(book.owner, [of_ben]))
    assert "revoked before" in book.void_reason(book.says(book.owner, [of_ben]))


def test_nobody_is_removed_who_is_not_there(book: Book) -> None:
    """Neither a stranger nor, a second time, who was removed."""
    ben = let_in(book, "ben")
    removal = events.MemberRemoved(type="member_removed", member=ben.identity.member_id.hex())
    stranger = events.MemberRemoved(type="member_removed", member=NOBODY)

    assert "no such member" in book.void_reason(book.says(book.owner, [stranger]))
    book.write(book.ends(book.owner, [removal]))
    assert "no such member" in book.void_reason(book.says(book.owner, [removal]))


def test_a_key_of_a_space_that_is_not_there_is_not_asked_for(book: Book) -> None:
    """A made-up space would leave a request that nobody can answer."""
    assert "does not exist" in book.void_reason(book.says(book.owner, [wanted(book, 1, token_bytes(16))]))


def test_a_further_device_can_read_both_of_its_members_spaces(book: Book) -> None:
    """Added without a wrap of the private space's key, or of the team's, it would be blind to what is its own: void."""
    ana, extra = book.owner, book.owner.device()
    book.write(private_epoch(book.context(ana), keychain(ana)))
    roster = roster_of(book)
    private = roster.private_space_of(ana.identity.member_id)
    assert private is not None
    recipient = extra.identity.device.public.x25519
    grants = [
        grant(Keychain([ana.identity.device]).newest(roster, space), [recipient])
        for space in (roster.team_space, private.id)
    ]

    def added(given: list[events.Grant]) -> list[events.Event]:
        member = ana.identity.member_id.hex()
        claim = extra.identity.claim()
        return [events.DeviceAdded(type="device_added", member=member, device=claim, grants=given)]

    for too_few in (grants[:1], grants[1:]):
        assert "without a wrap" in book.void_reason(book.says(ana, added(too_few)))
    book.write(book.says(ana, added(grants)))


def test_an_admin_ends_members_and_invites_but_no_admin(book: Book) -> None:
    """Admins remove members and close each other's invites; another admin, the owner and their devices are out of reach."""
    ben, cat, dan = let_in(book, "ben"), let_in(book, "cat"), let_in(book, "dan")
    book.write(book.says(book.owner, [role(ben, "admin"), role(cat, "admin")]))
    link = invite_keys(open_invite(book, by=cat)).public

    for peer in (cat, book.owner):
        removal = events.MemberRemoved(type="member_removed", member=peer.identity.member_id.hex())
        assert "removes an owner or admin" in book.void_reason(book.says(ben, [removal]))
        assert "by an owner or admin" in book.void_reason(book.says(ben, [revoke(peer.identity.device_id)]))
    book.write(book.ends(ben, [events.Closed(type="closed", invite=invite_id(link).hex())]))
    book.write(book.ends(ben, [revoke(dan.identity.device_id)]))
    removal = events.MemberRemoved(type="member_removed", member=dan.identity.member_id.hex())
    book.write(book.ends(ben, [removal]))


def test_roles_are_of_members_that_are_there(book: Book) -> None:
    """Neither a stranger nor a removed member is given one; the last owner may be called owner again."""
    ben = let_in(book, "ben")
    removal = events.MemberRemoved(type="member_removed", member=ben.identity.member_id.hex())
    book.write(book.ends(book.owner, [removal]))

    for nobody in (ben, person("eve")):
        assert "an owner sets" in book.void_reason(book.says(book.owner, [role(nobody, "admin")]))
    book.write(book.says(book.owner, [role(book.owner, "owner")]))


def test_a_wrap_is_of_an_epoch_that_is_there(book: Book) -> None:
    """A rewrap of an epoch to come, of number 0, or of a made-up space would be believed later: void now."""
    good = team_grant(book, book.owner.identity.device.public.x25519)

    for odd in ({"epoch": 2}, {"epoch": 0}, {"space": "5a" * 16}):
        rewrap = events.Rewrap(type="rewrap", grants=[good.model_copy(update=odd)])
        assert "epoch that does not exist" in book.void_reason(book.says(book.owner, [rewrap]))
    book.write(book.says(book.owner, [events.Rewrap(type="rewrap", grants=[good])]))


def test_a_device_is_certified_by_a_current_one_of_its_member(book: Book) -> None:
    """Not by a device that nobody knows, that was revoked, or that is another member's."""
    ana, second, third = book.owner, book.owner.device(), book.owner.device()
    ben = let_in(book, "ben")

    def added(by: Person, claim: events.DeviceClaim) -> list[events.Event]:
        wrap = team_grant(book, by.identity.device.public.x25519)
        member = ana.identity.member_id.hex()
        return [events.DeviceAdded(type="device_added", member=member, device=claim, grants=[wrap])]

    book.write(book.says(ana, added(second, second.identity.claim())))
    book.write(book.ends(ana, [revoke(second.identity.device_id)]))
    for author in (second, ben, book.owner.device()):
        certificate = certify(author.identity.device, ana.identity.member_id, third.identity.device.public)
        by = replace(third.identity, certified_by=author.identity.device_id, certificate=certificate)
        assert "certified by no current device" in book.void_reason(book.says(ana, added(third, by.claim())))


def named(kind: ObjectKind, number: int = 0) -> ObjectRef:
    return ObjectRef(kind=kind, base=0, sha256=f"{number:064x}", bytes=1)


APPEND = Leaf(kind=leaf_append, tag="00" * 16, c="00" * 32)
PUSH, STATS = events.Push(type="push"), events.StatsPublished(type="stats_published")
ODD_OBJECTS: dict[str, tuple[Content, str]] = {
    "a push of no manifest": (Content([PUSH], [named("pack")], [APPEND]), "a push names its manifest"),
    "a push of nothing": (Content([PUSH], [], [APPEND]), "a push names its manifest"),
    "a manifest without a push": (Content([STATS], [named("manifest"), named("stats", 1)]), "a push names"),
    "stats without an object": (Content([STATS]), "published stats"),
    "two objects of stats": (Content([STATS], [named("stats"), named("stats", 1)]), "published stats"),
    "stats told twice": (Content([STATS, STATS], [named("stats"), named("stats", 1)]), "published stats"),
}


@pytest.mark.parametrize("odd", ODD_OBJECTS, ids=lambda name: name.replace(" ", "-"))
def test_objects_come_with_the_event_that_is_about_them(book: Book, odd: str) -> None:
    """A push has its manifest and published stats their one object: anything else is void for all."""
    content, reason = ODD_OBJECTS[odd]

    assert reason in book.void_reason(book.says(book.owner, [], content))
    book.write(book.says(book.owner, [], Content([PUSH], [named("manifest")], [APPEND])))
    book.write(book.says(book.owner, [], Content([STATS], [named("stats", 1)])))
