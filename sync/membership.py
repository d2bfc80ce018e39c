"""Belonging to a team: found one, invite, join, list its members."""

from dataclasses import dataclass
from secrets import token_bytes

from crypto.errors import KeyNeeded, UsageError
from crypto.identities import invite_keys
from store.events import Role
from sync.client import Client
from sync.housekeeping import keep_house
from sync.labels import read_labels
from sync.links import InviteLink
from sync.roster import MemberState
from sync.team import InviteTerms, founding, invite_secret_bytes, inviting, joining


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as shown; `name` is what they called themselves, None when their label cannot be opened."""

    id: bytes
    name: str | None
    role: Role
    state: MemberState
    joined_seq: int
    devices: int
    is_me: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a team's bucket is, as an invite tells it; never credentials."""

    url: str
    endpoint_url: str | None = None
    region: str | None = None


def create_team(client: Client, name: str) -> bytes:
    """Found a team in an empty bucket prefix; its 32-byte id. UsageError when the prefix already belongs to one."""
    with client.alone():
        client.probe_once()
        if client.committer.resume() == 0:
            return client.roster.team  # a founding of ours that a crash interrupted: it stands now
        client.log.catch_up()
        _require_empty(client)
        client.committer.commit(lambda context: _found_if_empty(client, founding(context, name)))
        return client.roster.team


def _require_empty(client: Client) -> None:
    if client.log.point.roster is not None:
        raise UsageError(
            "this bucket prefix already belongs to a team",
            hint="join it with an invite link, or configure another prefix: one prefix, one team",
        )


def _found_if_empty(client: Client, genesis: bytes) -> bytes:
    """Somebody may have founded a team here a moment ago: then this is theirs, not ours."""
    _require_empty(client)
    return genesis


def invite(client: Client, terms: InviteTerms, bucket: Bucket) -> InviteLink:
    """Open an invite. The link pins the log as of its own commit; whoever holds it can read the team space."""
    secret = token_bytes(invite_secret_bytes)
    with client.alone():
        client.log.refresh()
        client.require_membership()
        keep_house(client)  # a request to leave comes before anything else, or our own commit would be void
        client.commit(lambda context: inviting(context, client.keychain, secret, terms))
        head = client.log.point
    if head.prev is None or head.valid_seq is None:
        raise KeyNeeded("the log has no valid commit", hint="run `tapes storage sync` and try again")
    return InviteLink(
        secret, client.roster.team, head.valid_seq, head.prev, bucket.url, bucket.endpoint_url, bucket.region
    )


def join(client: Client, link: InviteLink) -> None:
    """Become a member. Refuses a log that is not the link's team or lacks the head it was made at (exit 6)."""
    with client.alone():
        client.log.refresh()
        client.expect_log(link.team, link.head_seq, link.head_hash)
        interrupted = client.committer.resume()
        roster = client.roster
        if client.identity.member_id in roster.members:
            if interrupted is not None:
                return  # a join of ours that a crash interrupted: it stands now
            raise UsageError("this identity is a member already", hint="tapes team members")
        invite_key = invite_keys(link.secret).public.x25519
        if invite_key not in roster.recipients(roster.spaces[roster.team_space]):
            raise KeyNeeded("this invite is closed or used up", hint="ask for a new link")
        client.commit(lambda context: joining(context, link.secret))


def members(client: Client) -> list[MemberView]:
    """All members that ever were, in the order they came."""
    names = read_labels(client).members
    roster = client.roster
    views = [
        MemberView(
            id=member.id,
            name=names.get(member.id),
            role=member.role,
            state=member.state,
            joined_seq=member.joined_seq,
            devices=len(roster.devices_of(member.id)),
            is_me=member.id == client.identity.member_id,
        )
        for member in roster.members.values()
    ]
    return sorted(views, key=lambda view: (view.joined_seq, view.id))


def team_name(client: Client) -> str | None:
    """What the founder called the team."""
    return read_labels(client).team
