"""Belonging to a team: found one, invite, join, list its members."""

from dataclasses import dataclass
from secrets import token_bytes

from crypto.errors import KeyNeeded, UsageError, VerificationFailed
from crypto.identities import invite_keys
from store import commits
from store.commits import Commit
from store.events import Role
from store.names import slot_name
from sync.client import Client
from sync.drafts import SealedField, open_sealed_field
from sync.housekeeping import keep_house
from sync.keychain import Keychain
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
    names = _labels(client)[1]
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
    return _labels(client)[0]


def _labels(client: Client) -> tuple[str | None, dict[bytes, str]]:
    """The team's and members' names. Only a member names itself: a label of somebody else is ignored."""
    team: str | None = None
    names: dict[bytes, str] = {}
    for seq, data in client.replica.team_slots():
        commit = commits.parse(data, slot_name(seq))
        opened = _opened(client, commit)
        if opened is None:
            continue
        author = client.roster.devices[bytes.fromhex(commit.device)].member
        own = opened.members.get(author.hex())
        if own is not None:
            names[author] = own
        if seq == client.roster.members[author].joined_seq and opened.team is not None and team is None:
            team = opened.team
    return team, names


def _opened(client: Client, commit: Commit) -> SealedField | None:
    """A commit's sealed field, None when it is not for us (a private space) or its author sealed junk."""
    keychain: Keychain = client.keychain
    space = bytes.fromhex(commit.space)
    if commit.sealed is None or not keychain.can_read(client.roster, space):
        return None
    try:
        key = keychain.at(client.roster, space, commit.epoch)
        return open_sealed_field(commit, key, slot_name(commit.seq))
    except (VerificationFailed, KeyNeeded):
        return None  # `verify` names it; here the member just has no name
