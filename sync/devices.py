"""A member's devices: list them, admit a further one, end one that was lost."""

from dataclasses import dataclass
from datetime import datetime

from crypto.errors import UsageError
from crypto.identities import PublicKeys, certify, device_id
from store import events
from store.commits import parse
from store.names import slot_name
from sync.client import Client
from sync.drafts import Content, DraftContext, draft, grant, new_epoch
from sync.fold import Author, apply
from sync.housekeeping import keep_house
from sync.identity import stored_keys
from sync.keychain import Keychain
from sync.labels import read_labels
from sync.rights import commit_ends, team_draft
from sync.roster import Roster


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device as shown; `name` None: it was never named, or its name cannot be opened. Slots of the log."""

    id: bytes
    name: str | None
    admitted_seq: int
    revoked_seq: int | None
    certified_by: bytes | None  # None: the member key
    is_this: bool


def devices(client: Client) -> list[DeviceView]:
    """All devices this member ever had, in the order they came."""
    roster, names = client.roster, read_labels(client).devices
    me = client.identity.device_id
    views = [
        DeviceView(d.id, names.get(d.id), d.admitted_seq, d.revoked_seq, d.certified_by, d.id == me)
        for d in roster.devices.values()
        if d.member == client.identity.member_id
    ]
    return sorted(views, key=lambda view: (view.admitted_seq, view.id))


def add_device(client: Client, keys: PublicKeys, name: str) -> None:
    """Admit `keys` as a further device of this member: certificate, wraps, and its name under the seal."""
    with client.alone():
        client.log.refresh()
        client.require_membership()
        keep_house(client)
        client.commit(lambda context: adding(context, client.keychain, keys, name))


def adding(context: DraftContext, keychain: Keychain, keys: PublicKeys, name: str) -> bytes:
    """A commit by which this device admits another of the same member."""
    identity = context.identity
    claim = events.DeviceClaim(
        keys=stored_keys(keys),
        by=identity.device_id.hex(),
        certificate=certify(identity.device, identity.member_id, keys).hex(),
    )
    return admission(context, keychain, claim, {device_id(keys): name})


def admission(
    context: DraftContext, keychain: Keychain, claim: events.DeviceClaim, device_labels: dict[bytes, str]
) -> bytes:
    """A commit that admits a device with what it needs to read: the newest keys of the team and of its member's own space.

    Enacts a pending request in the same commit: an admission has no time to wait for another's write.
    """
    roster = context.roster
    added = events.DeviceAdded(
        type="device_added",
        member=context.identity.member_id.hex(),
        device=claim,
        grants=[
            grant(keychain.newest(roster, space), [bytes.fromhex(claim.keys.x25519)])
            for space in spaces_of(roster, context.identity.member_id)
        ],
    )
    told: list[events.Event] = [added]
    key = keychain.newest(roster, roster.team_space)
    if roster.rotation_due:
        after = apply(roster, added, Author(context.identity.device_id, context.seq))
        readers = after.recipients(after.spaces[after.team_space])
        epoch, key = new_epoch(roster.team, roster.team_space, key, readers)
        told.append(epoch)
    return draft(context, roster.team, key, Content(told, device_labels=device_labels))


def spaces_of(roster: Roster, member: bytes) -> list[bytes]:
    """The spaces that a member's devices write to: the team's, and its own once there is one."""
    private = roster.private_space_of(member)
    return [roster.team_space, *([private.id] if private is not None else [])]


def revoke_device(client: Client, device: bytes, lost_seq: int | None) -> None:
    """End a device, and what it certified in or after slot `lost_seq` (None: nothing else), with the team epoch that follows.

    This device's own end is a wish: somebody else's next write, or the member's other device, starts the epoch.
    """
    revoked = events.DeviceRevoked(type="device_revoked", device=device.hex(), lost_seq=lost_seq)
    if device == client.identity.device_id:
        team_draft(client, revoked)
    else:
        commit_ends(client, revoked)


def first_slot_since(client: Client, when: datetime) -> int:
    """The first slot whose author's clock says `when` or later; the next free one if there is none.

    Clocks in the log are their authors' own: one that ran ahead makes this earlier, which takes more along, not less.
    """
    when_ms = int(when.timestamp() * 1000)
    for slot in client.replica.slots():
        if slot.void_reason is None and parse(slot.data, slot_name(slot.seq)).at >= when_ms:
            return slot.seq
    return client.log.next_seq


def find_device(client: Client, prefix: str) -> bytes:
    """The one device whose id starts with these hex digits: of this member, else of the team. UsageError otherwise."""
    roster = client.roster
    own = [d.id for d in roster.devices_of(client.identity.member_id)]
    return _one(prefix, own) or one_of(prefix, list(roster.devices), "device", "tapes device list")


def _one(prefix: str, ids: list[bytes]) -> bytes | None:
    found = [each for each in ids if each.hex().startswith(prefix.lower())]
    return found[0] if len(found) == 1 and len(prefix) >= id_prefix_min else None


id_prefix_min = 4


def one_of(prefix: str, ids: list[bytes], what: str, listing: str) -> bytes:
    """The one id that starts with these hex digits. UsageError when none or several do."""
    found = _one(prefix, ids)
    if found is None:
        raise UsageError(
            f"{prefix!r} names no {what}, or more than one", hint=f"{listing} shows the ids; give more digits"
        )
    return found
