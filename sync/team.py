"""What people do to a team, as drafts: found it, invite, join, start an epoch, close an invite."""

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_bytes

from crypto import labels
from crypto.epochs import new_epoch_key
from crypto.errors import KeyNeeded, SealBroken
from crypto.identities import SecretKeys, invite_id, invite_keys
from crypto.sealing import SealKey
from store import events
from store.commits import team_id
from sync.drafts import Content, DraftContext, draft, grant, new_epoch
from sync.fold import Author, apply, join_statement
from sync.identity import stored_keys
from sync.keychain import Keychain
from sync.roster import Roster

invite_secret_bytes = 32


@dataclass(frozen=True, slots=True)
class InviteTerms:
    """What an invite allows: how many may join, and until when its author's clients keep it open."""

    limit: int
    expires_at_ms: int | None


def founding(context: DraftContext, team_name: str) -> bytes:
    """The genesis commit: a team, its space, its first epoch, its owner."""
    identity = context.identity
    space = token_bytes(16)
    genesis = events.Genesis(
        type="genesis",
        nonce=token_bytes(32).hex(),
        space=space.hex(),
        member=stored_keys(identity.member),
        device=identity.claim(),
    )
    team = team_id(genesis)
    epoch, key = new_epoch(team, space, None, {identity.member.x25519, identity.device.public.x25519})
    labels_told = {identity.member_id: identity.name}
    return draft(
        context, team, key, Content([genesis, epoch], team_label=team_name, member_labels=labels_told)
    )


def inviting(context: DraftContext, keychain: Keychain, secret: bytes, terms: InviteTerms) -> bytes:
    """A commit that opens an invite: its public halves, and the newest team key for whoever holds the link."""
    roster = context.roster
    key = keychain.newest(roster, roster.team_space)
    public = invite_keys(secret).public
    invite = events.Invite(
        type="invite",
        keys=stored_keys(public),
        limit=terms.limit,
        expires_at=terms.expires_at_ms,
        grants=[grant(key, [public.x25519])],
    )
    return draft(context, roster.team, key, Content([invite]))


def joining(context: DraftContext, invite_secret: bytes) -> bytes:
    """A commit by which the link's holder becomes a member, and uses the invite up when theirs is the last place."""
    roster = context.roster
    identity, invite = context.identity, invite_keys(invite_secret)
    record = roster.invites.get(invite_id(invite.public))
    if record is None or not record.open:
        raise KeyNeeded("this invite is closed or used up", hint="ask for a new link")
    if record.expires_at_ms is not None and context.at_ms >= record.expires_at_ms:
        raise KeyNeeded("this invite has expired", hint="ask for a new link")
    key = Keychain([invite]).newest(roster, roster.team_space)
    join = _join_event(context, roster, invite, key)
    after = apply(roster, join, Author(identity.device_id, context.seq))
    told: list[events.Event] = [join]
    if not after.invites[record.id].open:
        epoch, key = new_epoch(
            roster.team, roster.team_space, key, after.recipients(after.spaces[after.team_space])
        )
        told.append(epoch)
    return draft(context, roster.team, key, Content(told, member_labels={identity.member_id: identity.name}))


def _join_event(context: DraftContext, roster: Roster, invite: SecretKeys, key: SealKey) -> events.Join:
    identity = context.identity
    statement = join_statement(roster.team, invite_id(invite.public), identity.member_id, identity.device_id)
    return events.Join(
        type="join",
        invite=invite_id(invite.public).hex(),
        member=stored_keys(identity.member),
        device=identity.claim(),
        voucher=invite.sign(labels.JOIN, statement).hex(),
        grants=[grant(key, [identity.member.x25519, identity.device.public.x25519])],
    )


def ending(
    context: DraftContext, keychain: Keychain, ends: Sequence[events.Event], private: bytes | None = None
) -> bytes:
    """A commit that ends rights (or enacts a request, with no event of its own) and starts the team epoch that follows.

    `private`: the author's private space, if its readers change too; its epoch stands in the same commit, before the team's.
    """
    roster = after = context.roster
    for event in ends:
        after = apply(after, event, Author(context.identity.device_id, context.seq))
    told = list(ends)
    for space in (*([private] if private is not None else []), roster.team_space):
        older = _private_key(roster, keychain, space) if space == private else keychain.newest(roster, space)
        epoch, key = new_epoch(roster.team, space, older, after.recipients(after.spaces[space]))
        told.append(epoch)
    return draft(context, roster.team, key, Content(told))


def private_epoch(context: DraftContext, keychain: Keychain) -> bytes:
    """A commit that opens this member's private space, or renews its key after a device of theirs was revoked."""
    roster, me = context.roster, context.identity.member_id
    space = roster.private_space_of(me)
    if space is None:
        epoch, key = first_epoch(roster, me)
    else:
        older = _private_key(roster, keychain, space.id)
        epoch, key = new_epoch(roster.team, space.id, older, roster.recipients(space))
    return draft(context, roster.team, key, Content([epoch]))


def first_epoch(roster: Roster, owner: bytes) -> tuple[events.Epoch, SealKey]:
    """The event that opens a member's private space, and its key."""
    member = roster.members[owner]
    readers = {member.keys.x25519, *(device.keys.x25519 for device in roster.devices_of(owner))}
    return new_epoch(roster.team, token_bytes(16), None, readers)


def _private_key(roster: Roster, keychain: Keychain, space: bytes) -> SealKey:
    """The private space's newest key; one that is none when a device of ours that a thief had gave us junk.

    The chain then ends at that epoch: nobody else could ever start the next, and who needs what lies below is wrapped it again.
    """
    try:
        return keychain.newest(roster, space)
    except SealBroken:
        return new_epoch_key(roster.team, space, len(roster.spaces[space].epochs))
