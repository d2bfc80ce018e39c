"""What team, members and devices are called: labels under the seal, of which each member gives only its own."""

from dataclasses import dataclass, field

from crypto.errors import KeyNeeded, VerificationFailed
from store import commits
from store.commits import Commit
from store.names import slot_name
from sync.client import Client
from sync.drafts import SealedField, open_sealed_field


@dataclass(slots=True)
class Labels:
    """Names by 32-byte id; who has none is not in it."""

    team: str | None = None
    members: dict[bytes, str] = field(default_factory=dict)
    devices: dict[bytes, str] = field(default_factory=dict)


def read_labels(client: Client) -> Labels:
    """All labels this client can open. Only a member names itself and its devices: a label of somebody else is ignored."""
    labels, roster = Labels(), client.roster
    for seq, data in client.replica.team_slots():
        commit = commits.parse(data, slot_name(seq))
        opened = _opened(client, commit)
        if opened is None:
            continue
        author = roster.devices[bytes.fromhex(commit.device)].member
        own = opened.members.get(author.hex())
        if own is not None:
            labels.members[author] = own
        for device, name in opened.devices.items():
            known = roster.devices.get(bytes.fromhex(device))
            if known is not None and known.member == author:
                labels.devices[known.id] = name
        if seq == roster.members[author].joined_seq and opened.team is not None and labels.team is None:
            labels.team = opened.team
    return labels


def _opened(client: Client, commit: Commit) -> SealedField | None:
    """A commit's sealed field, None when it is not for us (a private space) or its author sealed junk."""
    space = bytes.fromhex(commit.space)
    if commit.sealed is None or not client.keychain.can_read(client.roster, space):
        return None
    try:
        key = client.keychain.at(client.roster, space, commit.epoch)
        return open_sealed_field(commit, key, slot_name(commit.seq))
    except (VerificationFailed, KeyNeeded):
        return None  # `verify` names it; here it just has no name
