"""Another kit for the same member, when somebody may have seen the first: the old one is worthless from that commit on.

Signed by both kits and committed by a device of the member (docs/decisions/0010). One commit starts the epochs of the team and of
the member's private space, so that a kill leaves either the old kit with all it could read, or the new one.
"""

from dataclasses import dataclass

from crypto import labels
from crypto.errors import KeyNeeded, UsageError
from crypto.identities import SecretKeys
from store import events
from sync.client import Client
from sync.drafts import DraftContext
from sync.fold import Author, Refused, apply, rekey_statement
from sync.identity import stored_keys
from sync.own_news import mark_told
from sync.recovery import holder
from sync.roster import Device
from sync.team import ending


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """Where the new kit was made to count, and which devices went: those that the old kit alone had let in."""

    seq: int
    revoked: list[bytes]


def check_rekey(client: Client, old: SecretKeys, new: SecretKeys) -> None:
    """Refuse whatever could not be committed, before anybody is handed a kit that would never count.

    Settles first what a killed run left: its kit may count already, and `old` be the one it replaced.
    """
    with client.alone():
        client.log.refresh()
        client.committer.resume()
        roster = client.require_membership()
        client.keychain.newest(roster, roster.team_space)  # who was given junk for it can start no epoch
        point, seq = client.log.point, client.log.next_seq
        _event(DraftContext(point, seq, bytes(16), client.committer.now_ms(), client.identity), old, new)


def rekey(client: Client, old: SecretKeys, new: SecretKeys) -> Rekeyed:
    """Make the new kit the member's. `new` must be in its owner's hands: from the commit on no other opens anything."""
    with client.alone():
        client.commit(lambda context: _draft(context, client, old, new))
        member = client.roster.members[client.identity.member_id]
        if member.rekeyed_seq is None or member.keys != new.public:
            raise KeyNeeded("the kit was replaced by another one meanwhile", hint="tapes device list")
        mark_told(client, member.rekeyed_seq)
        ended = [d.id for d in client.roster.devices.values() if d.revoked_seq == member.rekeyed_seq]
        return Rekeyed(member.rekeyed_seq, sorted(ended))


def _draft(context: DraftContext, client: Client, old: SecretKeys, new: SecretKeys) -> bytes:
    client.require_membership()  # a thief may have been quick to end this device
    private = context.roster.private_space_of(context.identity.member_id)
    return ending(
        context, client.keychain, [_event(context, old, new)], private.id if private is not None else None
    )


def _event(context: DraftContext, old: SecretKeys, new: SecretKeys) -> events.MemberRekeyed:
    """The event, as the fold will take it at this point of the log; asked before each attempt, for a thief may be as quick."""
    roster, identity = context.roster, context.identity
    member = holder(roster, old)
    if member.id != identity.member_id:
        raise UsageError("this is the kit of another member", hint="bring the kit that this device came from")
    statement = rekey_statement(roster.team, member.id, member.keys, new.public, identity.device_id)
    event = events.MemberRekeyed(
        type="member_rekeyed",
        keys=stored_keys(new.public),
        old_signature=old.sign(labels.MEMBER_REKEYED, statement).hex(),
        new_signature=new.sign(labels.MEMBER_REKEYED, statement).hex(),
    )
    try:
        apply(roster, event, Author(identity.device_id, context.seq))
    except Refused as reason:
        older = [each.id.hex()[:12] for each in _older(roster.devices_of(member.id), identity.device_id)]
        raise UsageError(
            f"the team's rules refuse this: {reason}",
            hint=f"do it on device {older[0]}; or, if that is lost: tapes device revoke {older[0]}"
            if older
            else "tapes device list",
        ) from None
    return event


def _older(devices: list[Device], me: bytes) -> list[Device]:
    """Devices of lines that began before this device's."""
    [mine] = [device for device in devices if device.id == me]
    return sorted((d for d in devices if d.line_seq < mine.line_seq), key=lambda d: d.admitted_seq)
