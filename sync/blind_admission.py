"""Recovery where a member gave the kit junk for the newest key: the new device comes in without it, and asks for it.

An admission must carry a wrap of each newest key, and the wraps are opaque. So this one carries wraps of keys that are none, says
so by asking for sound ones in the same commit, and is written in the space of ours whose key does open. Otherwise whoever starts
an epoch could shut out, by one wrap, a member whose devices are all lost.
"""

from secrets import token_bytes

from crypto.errors import KeyNeeded, SealBroken
from crypto.sealing import SealKey
from store import events
from sync.devices import spaces_of
from sync.drafts import Content, DraftContext, draft, grant
from sync.fold import Author, apply
from sync.keychain import Keychain
from sync.roster import Roster
from sync.team import first_epoch


def blind_admission(
    context: DraftContext, keychain: Keychain, claim: events.DeviceClaim, device_labels: dict[bytes, str]
) -> bytes:
    """The recovery commit. KeyNeeded when a wish must be enacted first; SealBroken when neither space opens."""
    roster, me = context.roster, context.identity
    if roster.rotation_due:  # that takes the key we lack; and it brings one that opens
        raise KeyNeeded(
            "somebody left and the key is to change",
            hint="run this again after any member's `tapes storage sync`",
        )
    mine, recipient = spaces_of(roster, me.member_id), bytes.fromhex(claim.keys.x25519)
    held = {space: _newest(keychain, roster, space) for space in mine}
    added = events.DeviceAdded(
        type="device_added",
        member=me.member_id.hex(),
        device=claim,
        grants=[grant(key or _no_key(roster, space), [recipient]) for space, key in held.items()],
    )
    told: list[events.Event] = [added]
    key = next((key for key in held.values() if key is not None), None)
    if key is None and len(mine) == 1:
        epoch, key = first_epoch(apply(roster, added, Author(me.device_id, context.seq)), me.member_id)
        told.append(epoch)
    if key is None:
        keychain.newest(roster, roster.team_space)  # raises, with its author
        raise KeyNeeded("no key of this member opens", hint="tapes rescue brings home what does")
    for space, found in held.items():
        if found is None:
            number = len(roster.spaces[space].epochs)
            told.append(events.RewrapWanted(type="rewrap_wanted", space=space.hex(), epoch=number))
    return draft(context, roster.team, key, Content(told, device_labels=device_labels))


def _newest(keychain: Keychain, roster: Roster, space: bytes) -> SealKey | None:
    try:
        return keychain.newest(roster, space)
    except SealBroken:
        return None


def _no_key(roster: Roster, space: bytes) -> SealKey:
    return SealKey(roster.team, space, len(roster.spaces[space].epochs), token_bytes(32))
