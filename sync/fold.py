"""The fold: what one event changes. Pure: no clock, no store, no look at `at`; refuses with a reason, whole or not at all.

A disagreement between two versions of this file would split teams for ever: every rule here is tested as a table, and changes
of a rule need a new format number.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from crypto import identities, labels, signing
from crypto.identities import PublicKeys
from store import events
from store.commits import team_id
from store.fields import from_base64
from store.names import object_name
from sync.roster import Device, EpochRecord, GivenUp, InviteRecord, Member, Roster, Space, Wanted

invite_limit_max = 1000


class Refused(Exception):
    """An event the fold does not accept; the judge turns it into a void slot, it never reaches a user."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who speaks, and where: the commit's device and slot."""

    device: bytes
    seq: int


def first_roster(genesis: events.Genesis, author: Author) -> Roster:
    """The team that a genesis event founds, its author the owner."""
    member = _keys(genesis.member)
    space = bytes.fromhex(genesis.space)
    owner = Member(identities.member_id(member), member, "owner", author.seq)
    roster = Roster(team_id(genesis), space, members={owner.id: owner})
    return _admit(roster, owner.id, genesis.device, author)


def apply(roster: Roster, event: events.Event, author: Author) -> Roster:
    """The roster after `event` by `author`, or Refused."""
    return _RULES[type(event)](roster, event, author)


def _epoch(roster: Roster, event: events.Epoch, author: Author) -> Roster:
    space_id = bytes.fromhex(event.space)
    space = roster.spaces.get(space_id) or _new_space(roster, space_id, author)
    if event.epoch != len(space.epochs) + 1:
        raise Refused(f"epoch {event.epoch} does not follow {len(space.epochs)}")
    if space.owner is not None and space.owner != _member_of(roster, author).id:
        raise Refused("only its owner starts a private space's epochs")
    if (event.chain is None) != (event.epoch == 1):
        raise Refused("every epoch but the first seals the one before")
    record = EpochRecord(
        number=event.epoch,
        commitment=bytes.fromhex(event.commitment),
        chain=from_base64(event.chain) if event.chain is not None else None,
        author=author.device,
        seq=author.seq,
        wraps=_wraps(event.wraps),
    )
    after = roster.put("spaces", space_id, replace(space, epochs=(*space.epochs, record)))
    return replace(after, rotation_due=False) if space.owner is None else after


def _new_space(roster: Roster, space_id: bytes, author: Author) -> Space:
    if space_id == roster.team_space:
        return Space(space_id, "team", None, ())
    owner = _member_of(roster, author)
    if roster.private_space_of(owner.id) is not None:
        raise Refused("a member has one private space")
    return Space(space_id, "private", owner.id, ())


def _wraps(wraps: list[events.Wrap]) -> dict[bytes, tuple[bytes, ...]]:
    order = [wrap.to for wrap in wraps]
    if order != sorted(set(order)):
        raise Refused("wraps are not in order of their recipients, each once")
    return {bytes.fromhex(wrap.to): (from_base64(wrap.wrap),) for wrap in wraps}


def _grant(roster: Roster, grants: list[events.Grant]) -> Roster:
    """Add wraps to existing epochs. Recipients must be entitled now; whether the wraps open, each recipient sees."""
    for grant in grants:
        space_id = bytes.fromhex(grant.space)
        space = roster.spaces.get(space_id)
        if space is None or not 1 <= grant.epoch <= len(space.epochs):
            raise Refused("wraps for an epoch that does not exist")
        given = _wraps(grant.wraps)
        if not given.keys() <= roster.recipients(space):
            raise Refused("a wrap for somebody who may not read this space")
        record = space.epochs[grant.epoch - 1]
        merged = {to: (*record.wraps.get(to, ()), *given.get(to, ())) for to in {*record.wraps, *given}}
        epochs = (
            *space.epochs[: grant.epoch - 1],
            replace(record, wraps=merged),
            *space.epochs[grant.epoch :],
        )
        roster = roster.put("spaces", space_id, replace(space, epochs=epochs))
    return roster


def _require_wraps(grants: list[events.Grant], space: Space, keys: set[bytes]) -> None:
    """An event that adds a recipient carries its wrap inline: nobody is ever let in without the key."""
    wrapped = {
        bytes.fromhex(wrap.to)
        for grant in grants
        if (bytes.fromhex(grant.space), grant.epoch) == (space.id, space.newest.number)
        for wrap in grant.wraps
    }
    if not keys <= wrapped:
        raise Refused("a new recipient without a wrap of the newest epoch")


def _rewrap_wanted(roster: Roster, event: events.RewrapWanted, author: Author) -> Roster:
    """Once until it is answered, and each answer is another member's: an asker without end runs out of them."""
    space = roster.spaces.get(bytes.fromhex(event.space))
    device = roster.active_device(author.device)
    if space is None or not 1 <= event.epoch <= len(space.epochs):
        raise Refused("asks for an epoch that does not exist")
    if device is None or device.keys.x25519 not in roster.recipients(space):
        raise Refused("asks for a key it has no right to")
    place = (space.id, event.epoch, device.id)
    before = roster.wanted.get(place, Wanted(pending=False))
    if before.pending:
        raise Refused("asks again before an answer")
    return replace(roster, wanted={**roster.wanted, place: replace(before, pending=True)})


def _rewrap(roster: Roster, event: events.Rewrap, author: Author) -> Roster:
    roster = _grant(roster, event.grants)
    member = _member_of(roster, author).id
    given = {
        (bytes.fromhex(g.space), g.epoch, bytes.fromhex(wrap.to)) for g in event.grants for wrap in g.wraps
    }
    answered = {
        place: Wanted(pending=False, answered=wanted.answered | {member})
        for place, wanted in roster.wanted.items()
        if wanted.open_to(member) and (*place[:2], roster.devices[place[2]].keys.x25519) in given
    }
    return replace(roster, wanted={**roster.wanted, **answered}) if answered else roster


def _invite(roster: Roster, event: events.Invite, author: Author) -> Roster:
    member = _member_of(roster, author)
    _require_admin(member)
    keys = _keys(event.keys)
    invite = identities.invite_id(keys)
    if invite in roster.invites or not 1 <= event.limit <= invite_limit_max:
        raise Refused("an invite is made once, with a limit in range")
    record = InviteRecord(invite, keys, member.id, event.limit, event.expires_at, author.seq)
    after = roster.put("invites", invite, record)
    _require_wraps(event.grants, after.spaces[after.team_space], {keys.x25519})
    return _grant(after, event.grants)


def _closed(roster: Roster, event: events.Closed, author: Author) -> Roster:
    member = _member_of(roster, author)
    invite = roster.invites.get(bytes.fromhex(event.invite))
    if invite is None or not invite.open:
        raise Refused("no such open invite")
    if member.role == "member" and invite.author != member.id:
        raise Refused("only its author, an owner or an admin closes an invite")
    return roster.put("invites", invite.id, replace(invite, open=False))


def join_statement(team: bytes, invite: bytes, member: bytes, device: bytes) -> bytes:
    """What the invite's key signs for a joiner: 128 bytes."""
    return team + invite + member + device


def _join(roster: Roster, event: events.Join, author: Author) -> Roster:
    invite = roster.invites.get(bytes.fromhex(event.invite))
    if invite is None or not invite.open:
        raise Refused("the invite is not open")
    keys = _keys(event.member)
    member = Member(identities.member_id(keys), keys, "member", author.seq)
    if roster.holder_of(keys) is not None:
        raise Refused("is a member already, or was removed")
    statement = join_statement(roster.team, invite.id, member.id, author.device)
    if not signing.verifies(invite.keys.ed25519, labels.JOIN, statement, bytes.fromhex(event.voucher)):
        raise Refused("the invite's key does not vouch for this member and device")
    used = replace(invite, uses=invite.uses + 1, open=invite.uses + 1 < invite.limit)
    after = _admit(roster.put("members", member.id, member), member.id, event.device, author)
    after = after.put("invites", invite.id, used)
    box_keys = {keys.x25519, _keys(event.device.keys).x25519}
    _require_wraps(event.grants, after.spaces[after.team_space], box_keys)
    return _grant(after, event.grants)


def _admit(roster: Roster, member: bytes, claim: events.DeviceClaim, author: Author) -> Roster:
    """Admit the author's own device (genesis, join, recovery), certified by the member key."""
    device = identities.device_id(_keys(claim.keys))
    if device != author.device or claim.by is not None:
        raise Refused("the author's own device, certified by the member key, is what joins")
    return _add_device(roster, member, claim, roster.members[member].keys.ed25519, author)


def _add_device(
    roster: Roster, member: bytes, claim: events.DeviceClaim, certifier: bytes, author: Author
) -> Roster:
    keys = _keys(claim.keys)
    device = identities.device_id(keys)
    if device in roster.devices:
        raise Refused("the device was admitted before")
    if not identities.certificate_holds(certifier, member, keys, bytes.fromhex(claim.certificate)):
        raise Refused("the device's certificate does not hold")
    by = bytes.fromhex(claim.by) if claim.by is not None else None
    through = roster.devices.get(author.device)
    line_seq = through.line_seq if through is not None else author.seq
    return roster.put("devices", device, Device(device, keys, member, by, author.seq, line_seq))


def _device_added(roster: Roster, event: events.DeviceAdded, author: Author) -> Roster:
    if author.device not in roster.devices:
        return _recovered(roster, event, author)
    member = _member_of(roster, author)
    if bytes.fromhex(event.member) != member.id:
        raise Refused("a device is added by another device of the same member")
    certifier = member.keys.ed25519
    if event.device.by is not None:
        by = roster.active_device(bytes.fromhex(event.device.by))
        if by is None or by.member != member.id:
            raise Refused("certified by no current device of this member")
        certifier = by.keys.ed25519
    after = _add_device(roster, member.id, event.device, certifier, author)
    return _grant_to_device(after, event, member)


def _recovered(roster: Roster, event: events.DeviceAdded, author: Author) -> Roster:
    """All devices lost: the member key, which only the kit gives, certifies a device that then speaks for itself.

    A thief's device cannot: it lacks that key. A removed member cannot: nothing a kit gives outlasts the membership.
    """
    member = roster.members.get(bytes.fromhex(event.member))
    if member is None or member.state != "active":
        raise Refused("recovers nobody who is a member")
    return _grant_to_device(_admit(roster, member.id, event.device, author), event, member)


def _grant_to_device(after: Roster, event: events.DeviceAdded, member: Member) -> Roster:
    key = {_keys(event.device.keys).x25519}
    _require_wraps(event.grants, after.spaces[after.team_space], key)
    private = after.private_space_of(member.id)
    if private is not None:
        _require_wraps(event.grants, private, key)
    return _grant(after, event.grants)


def rekey_statement(team: bytes, member: bytes, old: PublicKeys, new: PublicKeys, device: bytes) -> bytes:
    """What both kits sign for `device`, which commits it: 224 bytes."""
    return team + member + old.pack() + new.pack() + device


def _member_rekeyed(roster: Roster, event: events.MemberRekeyed, author: Author) -> Roster:
    """Another kit for the author's member. It ends the younger lines, which the old kit alone let in: they may be a thief's.

    A thief's device cannot do it: it lacks the kit. Nor can a thief with the kit in silence: the device which that lets in must
    end the member's older ones first, and they notice.
    """
    member, device = _member_of(roster, author), roster.active_device(author.device)
    if device is None:
        raise Refused("a kit is replaced by an active device of its member")
    keys = _keys(event.keys)
    if roster.holder_of(keys) is not None:
        raise Refused("a new kit is new: these keys were a member's before")
    statement = rekey_statement(roster.team, member.id, member.keys, keys, author.device)
    for signer, signature in ((member.keys, event.old_signature), (keys, event.new_signature)):
        if not signing.verifies(signer.ed25519, labels.MEMBER_REKEYED, statement, bytes.fromhex(signature)):
            raise Refused("both the kit that goes and the one that comes must sign a rekey")
    lines = {other.id: other.line_seq for other in roster.devices_of(member.id)}
    if min(lines.values()) < device.line_seq:
        raise Refused("a device that the kit let in replaces no kit while one from before stands")
    rekeyed = replace(member, keys=keys, former=(*member.former, member.keys), rekeyed_seq=author.seq)
    roster = roster.put("members", member.id, rekeyed)
    for other, line_seq in lines.items():
        if line_seq > device.line_seq:
            roster = roster.put("devices", other, replace(roster.devices[other], revoked_seq=author.seq))
    return _close_invites(roster)


def _device_revoked(roster: Roster, event: events.DeviceRevoked, author: Author) -> Roster:
    member = _member_of(roster, author)
    device = roster.devices.get(bytes.fromhex(event.device))
    if device is None or device.revoked_seq is not None:
        raise Refused("no such device, or revoked before")
    if device.member != member.id and not _outranks(member, roster.members[device.member]):
        raise Refused("another member's device is revoked by an owner or admin")
    roster = _revoke_with_offspring(roster, device, event.lost_seq, author.seq)
    if author.device == device.id:  # a wish: it must not choose the key it is to lose
        return _close_invites(replace(roster, rotation_due=True))
    return _close_invites(roster)


def _revoke_with_offspring(roster: Roster, device: Device, lost_seq: int | None, seq: int) -> Roster:
    """A thief's device may have certified more: those admitted in or after `lost_seq` go with it."""
    roster = roster.put("devices", device.id, replace(device, revoked_seq=seq))
    if lost_seq is None:
        return roster
    for other in tuple(roster.devices.values()):
        if other.certified_by == device.id and other.revoked_seq is None and other.admitted_seq >= lost_seq:
            roster = _revoke_with_offspring(roster, other, lost_seq, seq)
    return roster


def _member_removed(roster: Roster, event: events.MemberRemoved, author: Author) -> Roster:
    member = _member_of(roster, author)
    target = roster.members.get(bytes.fromhex(event.member))
    if target is None or target.state == "removed":
        raise Refused("no such member")
    if not _outranks(member, target):
        raise Refused("only an owner removes an owner or admin, only an admin or owner a member")
    return _close_invites(roster.put("members", target.id, replace(target, state="removed")))


def _left(roster: Roster, _event: events.Left, author: Author) -> Roster:
    member = _member_of(roster, author)
    owners = [m for m in roster.active_members() if m.role == "owner"]
    if owners == [member]:
        raise Refused("the last owner cannot leave")
    left = roster.put("members", member.id, replace(member, state="left"))
    return _close_invites(replace(left, rotation_due=True))


def _role_set(roster: Roster, event: events.RoleSet, author: Author) -> Roster:
    member = _member_of(roster, author)
    target = roster.members.get(bytes.fromhex(event.member))
    if member.role != "owner" or target is None or target.state != "active":
        raise Refused("an owner sets the role of an active member")
    owners = [m for m in roster.active_members() if m.role == "owner"]
    if owners == [target] and event.role != "owner":
        raise Refused("the last owner stays one")
    return roster.put("members", target.id, replace(target, role=event.role))


def _gc_fence(roster: Roster, event: events.GcFence, author: Author) -> Roster:
    _require_admin(_member_of(roster, author))
    if not roster.fence < event.base < author.seq:
        raise Refused("a fence moves forward and stays behind the head")
    return replace(roster, fence=event.base)


def _objects_given_up(roster: Roster, event: events.ObjectsGivenUp, author: Author) -> Roster:
    """Owners and admins only: a plain member could else hide that the bucket loses things."""
    _require_admin(_member_of(roster, author))
    names = [object_name(each.kind, each.base, each.sha256) for each in event.objects]
    if not names or len(set(names)) < len(names) or not roster.given_up.keys().isdisjoint(names):
        raise Refused("an object is given up once")
    return replace(
        roster, given_up={**roster.given_up, **dict.fromkeys(names, GivenUp(author.device, author.seq))}
    )


def _close_invites(roster: Roster) -> Roster:
    for invite in roster.invites.values():
        if invite.open:
            roster = roster.put("invites", invite.id, replace(invite, open=False))
    return roster


def _member_of(roster: Roster, author: Author) -> Member:
    device = roster.devices.get(author.device)
    if device is None:
        raise Refused("the author's device is not admitted")
    return roster.members[device.member]


def _require_admin(member: Member) -> None:
    if member.role == "member":
        raise Refused("only an owner or admin may")


def _outranks(member: Member, target: Member) -> bool:
    return member.role == "owner" or (member.role == "admin" and target.role == "member")


def _keys(keys: events.Keys) -> PublicKeys:
    return PublicKeys(bytes.fromhex(keys.ed25519), bytes.fromhex(keys.x25519))


def _push(roster: Roster, _event: events.Push | events.StatsPublished, _author: Author) -> Roster:
    return roster


def _second_genesis(_roster: Roster, _event: events.Genesis, _author: Author) -> Roster:
    raise Refused("a second genesis")


_RULES: dict[type[events.Event], Callable[[Roster, Any, Author], Roster]] = {
    events.Genesis: _second_genesis,
    events.Epoch: _epoch,
    events.RewrapWanted: _rewrap_wanted,
    events.Rewrap: _rewrap,
    events.Invite: _invite,
    events.Closed: _closed,
    events.Join: _join,
    events.DeviceAdded: _device_added,
    events.MemberRekeyed: _member_rekeyed,
    events.DeviceRevoked: _device_revoked,
    events.MemberRemoved: _member_removed,
    events.Left: _left,
    events.RoleSet: _role_set,
    events.GcFence: _gc_fence,
    events.ObjectsGivenUp: _objects_given_up,
    events.StatsPublished: _push,
    events.Push: _push,
}
