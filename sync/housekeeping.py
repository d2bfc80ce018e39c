"""What any member's client owes the team before its own writes: enact requests, close invites that are due."""

from crypto.errors import KeyNeeded
from store import events
from sync.client import Client
from sync.drafts import DraftContext
from sync.roster import Roster
from sync.team import ending


def keep_house(client: Client) -> int | None:
    """Commit the epoch somebody's wish to leave asks for, and the end of our expired invites; the slot, or None if none was due.

    The fold knows no clock: an expiry takes effect by this event only, from its author, an owner or an admin. The clock
    asked is this device's own, so one that is wrong can close early what it was entitled to close anyway.
    """
    if client.log.point.roster is None:
        return None
    now_ms = client.committer.now_ms()
    if not client.roster.rotation_due and not _due(client, client.roster, now_ms):
        return None

    def drafter(context: DraftContext) -> bytes | None:
        roster = client.roster
        due = _due(client, roster, now_ms)
        return ending(context, client.keychain, due) if due or roster.rotation_due else None

    committed = client.commit(drafter)
    return committed.seq if committed is not None else None


def _due(client: Client, roster: Roster, now_ms: int) -> list[events.Event]:
    """Events closing the expired invites that this member may close."""
    device = roster.active_device(client.identity.device_id)
    if device is None:
        raise KeyNeeded(
            "this device is not, or no longer, a member of the team", hint="ask a member for a new invite"
        )
    member = roster.members[device.member]
    return [
        events.Closed(type="closed", invite=invite.id.hex())
        for invite in roster.invites.values()
        if invite.open
        and invite.expires_at_ms is not None
        and invite.expires_at_ms <= now_ms
        and (member.role != "member" or invite.author == member.id)
    ]
