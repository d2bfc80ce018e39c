"""What any member's client owes the team before its own writes: enact requests, wrap keys again, close invites that are due."""

from store import events
from sync.client import Client
from sync.drafts import Content, DraftContext, draft
from sync.rewraps import answers, opens_newest
from sync.roster import Roster
from sync.team import ending


def keep_house(client: Client) -> int | None:
    """Commit what others asked for and what of ours is over; the slot, or None if nothing was due.

    That is: the epoch somebody's wish to leave asks for, wraps for devices that were given junk, and the end of our expired
    invites. The fold knows no clock: an expiry takes effect by this event only, from its author, an owner or an admin. The clock
    asked is this device's own, so one that is wrong can close early what it was entitled to close anyway. Nothing is due from
    a device that was given junk itself: it can start no epoch, for it must seal the one before.
    """
    if client.log.point.roster is None:
        return None
    now_ms = client.committer.now_ms()

    def drafter(context: DraftContext) -> bytes | None:
        roster = client.roster
        over = _due(client, roster, now_ms)
        if not opens_newest(client, roster.team_space):
            return None
        given = answers(client, roster)
        if over or roster.rotation_due:
            return ending(context, client.keychain, [*given, *over])
        key = client.keychain.newest(roster, roster.team_space)
        return draft(context, roster.team, key, Content(given)) if given else None

    roster = client.roster
    if not roster.rotation_due and not _due(client, roster, now_ms) and not answers(client, roster):
        return None
    committed = client.commit(drafter)
    return committed.seq if committed is not None else None


def _due(client: Client, roster: Roster, now_ms: int) -> list[events.Event]:
    """Events closing the expired invites that this member may close."""
    member = client.require_membership().members[client.identity.member_id]
    return [
        events.Closed(type="closed", invite=invite.id.hex())
        for invite in roster.invites.values()
        if invite.open
        and invite.expires_at_ms is not None
        and invite.expires_at_ms <= now_ms
        and (member.role != "member" or invite.author == member.id)
    ]
