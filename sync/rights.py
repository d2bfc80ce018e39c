"""Changing who may what: remove a member, leave, set a role, close an invite; each checked before anything is sent."""

from dataclasses import dataclass

from crypto.errors import UsageError
from store import events
from sync.client import Client
from sync.drafts import Content, DraftContext, draft
from sync.fold import Author, Refused, apply
from sync.housekeeping import keep_house
from sync.roster import Roster
from sync.team import ending


@dataclass(frozen=True, slots=True)
class InviteView:
    """An open invite as shown; `expires_at_ms` None: never."""

    id: bytes
    author: bytes  # member
    uses: int
    limit: int
    expires_at_ms: int | None
    seq: int


def remove_member(client: Client, member: bytes) -> None:
    """End a membership, with the team epoch that shuts its keys out. An owner or admin may."""
    commit_ends(client, events.MemberRemoved(type="member_removed", member=member.hex()))


def leave(client: Client) -> None:
    """Ask to go: this device writes no more, and a remaining member's next write starts the epoch without it."""
    team_draft(client, events.Left(type="left"))


def set_role(client: Client, member: bytes, role: events.Role) -> None:
    """Make a member owner, admin or plain member. An owner may."""
    team_draft(client, events.RoleSet(type="role_set", member=member.hex(), role=role))


def open_invites(client: Client) -> list[InviteView]:
    """The invites somebody may still join with, or read the team's sessions with, oldest first."""
    views = [
        InviteView(i.id, i.author, i.uses, i.limit, i.expires_at_ms, i.seq)
        for i in client.roster.invites.values()
        if i.open
    ]
    return sorted(views, key=lambda view: view.seq)


def close_invite(client: Client, invite: bytes) -> None:
    """End an invite, with the team epoch that shuts its link out. Its author, an owner or an admin may."""
    commit_ends(client, events.Closed(type="closed", invite=invite.hex()))


def commit_ends(client: Client, event: events.Event) -> None:
    """Commit an event that ends somebody's right together with the team epoch that makes it true."""
    _ready(client)

    def drafter(context: DraftContext) -> bytes:
        _check_allowed(context, event)
        return ending(context, client.keychain, [event])

    with client.alone():
        client.commit(drafter)


def team_draft(client: Client, event: events.Event) -> None:
    """Commit an event that takes no key away."""
    _ready(client)

    def drafter(context: DraftContext) -> bytes:
        roster = _check_allowed(context, event)
        if roster.rotation_due and isinstance(event, events.RoleSet):  # came since `_ready`; a wish may wait
            return ending(context, client.keychain, [event])
        key = client.keychain.newest(roster, roster.team_space)
        return draft(context, roster.team, key, Content([event]))

    with client.alone():
        client.commit(drafter)


def _ready(client: Client) -> None:
    with client.alone():
        client.log.refresh()
        client.require_membership()
        keep_house(client)


def _check_allowed(context: DraftContext, event: events.Event) -> Roster:
    """Ask the fold before the log is asked: its refusal is the member's mistake, and no commit may be spent on it."""
    roster = context.roster
    try:
        apply(roster, event, Author(context.identity.device_id, context.seq))
    except Refused as reason:
        raise UsageError(f"the team's rules refuse this: {reason}", hint="tapes team members") from None
    return roster
