"""Keys that were wrapped as junk: who cannot open one asks in the log, and whoever writes next and holds it wraps it again.

A wrap is opaque to all but its recipient, so that only the recipient can tell. It asks from its other space, whose key it has: a
commit is sealed in the space it is of. What is asked and answered is counted by the fold (`sync.fold`): each member answers a
device once for each epoch, so that neither an asker without end nor an answerer of junk can fill the log or stay in the way.
"""

from collections.abc import Iterator
from typing import Final

from crypto.errors import KeyNeeded, SealBroken, TapesError
from crypto.sealing import SealKey
from store import events
from sync.client import Client
from sync.drafts import Content, DraftContext, draft, grant
from sync.roster import Roster, Space
from sync.team import first_epoch

answers_at_once: Final = 256  # of some 300 bytes each: far below what a commit may be


def opens_newest(client: Client, space: bytes) -> bool:
    """Whether this device can write to a space: False when its wrap of the newest epoch is junk."""
    return _broken(client, client.roster, space, len(client.roster.spaces[space].epochs)) is None


def ask_again(client: Client) -> list[str]:
    """Ask for the epochs that do not open though they were wrapped to this device; what to say about them.

    Safe to kill and to repeat: the log says what is asked. Nothing is asked twice before somebody else has answered.
    """
    said = []
    for space, epoch, broken in list(_unopened(client)):
        if not _asked(client.roster, client, space, epoch):
            client.commit(lambda context, at=(space, epoch): _asking(context, client, *at))  # type: ignore[misc]
        if _broken(client, client.roster, space, epoch) is None:
            continue  # the key came while we wanted to ask
        said.append(f"{broken.message}; {_outlook(client, space, epoch)}")
    return said


def _outlook(client: Client, space: bytes, epoch: int) -> str:
    if _asked(client.roster, client, space, epoch):
        return "asked for it again: the next write of another who holds it brings it"
    if client.roster.rotation_due:
        return "somebody left, and the next write of another brings a new one"
    return "and it cannot be asked for: link this device again (tapes device link on another)"


def answers(client: Client, roster: Roster) -> list[events.Event]:
    """The wraps that others ask for and this device can give; at most one event."""
    me = client.identity
    grants: list[events.Grant] = []
    for (space, epoch, device), wanted in roster.wanted.items():
        asker = roster.active_device(device)
        if not wanted.open_to(me.member_id) or asker is None or device == me.device_id:
            continue
        if asker.keys.x25519 not in roster.recipients(roster.spaces[space]):
            continue  # its right has ended meanwhile
        key = _key(client, roster, space, epoch)
        if key is not None and len(grants) < answers_at_once:
            grants.append(grant(key, [asker.keys.x25519]))
    return [events.Rewrap(type="rewrap", grants=grants)] if grants else []


def _unopened(client: Client) -> Iterator[tuple[bytes, int, TapesError]]:
    """For each space of ours an epoch that does not open though one above it does, or it is the newest: all below hang on it.

    Looked for among the newest, to write; those of manifests that wait to be read; and once in a device's life down to the first:
    a walk along all of them at every sync would cost what years of joins have made.
    """
    roster = client.roster
    waiting = client.replica.manifests("pending")
    for space in roster.spaces.values():
        if client.identity.device.public.x25519 not in roster.recipients(space):
            continue
        epochs = {len(space.epochs), *(pending.epoch for pending in waiting if pending.space == space.id)}
        note = f"epochs-opened-{space.id.hex()}"
        walked = client.replica.note(note) is not None
        if not walked:
            epochs.add(1)
        found = next(((n, e) for n in sorted(epochs) if (e := _broken(client, roster, space.id, n))), None)
        if found is None:
            if not walked:
                client.replica.set_note(note, "1")
            continue
        epoch, broken = found
        while epoch < len(space.epochs) and (above := _broken(client, roster, space.id, epoch + 1)):
            epoch, broken = epoch + 1, above
        yield space.id, epoch, broken


def _broken(client: Client, roster: Roster, space: bytes, epoch: int) -> TapesError | None:
    try:
        client.keychain.at(roster, space, epoch)
    except (SealBroken, KeyNeeded) as broken:
        return broken
    return None


def _key(client: Client, roster: Roster, space: bytes, epoch: int) -> SealKey | None:
    try:
        return client.keychain.at(roster, space, epoch)
    except (SealBroken, KeyNeeded):
        return None


def _asked(roster: Roster, client: Client, space: bytes, epoch: int) -> bool:
    wanted = roster.wanted.get((space, epoch, client.identity.device_id))
    return wanted is not None and wanted.pending


def _asking(context: DraftContext, client: Client, space: bytes, epoch: int) -> bytes | None:
    """The request, in another space than the one it is about; None when there is none to ask in, or it was settled meanwhile."""
    roster = client.require_membership()
    if _asked(roster, client, space, epoch) or _broken(client, roster, space, epoch) is None:
        return None
    if roster.rotation_due:
        return (
            None  # the epoch that somebody must start now brings the key, and nothing else may be said before
        )
    told: list[events.Event] = [events.RewrapWanted(type="rewrap_wanted", space=space.hex(), epoch=epoch)]
    key = _key_of_another(context, client, space, told)
    return draft(context, roster.team, key, Content(told)) if key is not None else None


def _key_of_another(
    context: DraftContext, client: Client, space: bytes, told: list[events.Event]
) -> SealKey | None:
    """The newest key of our other space; a private one is opened for it if there is none yet."""
    roster = context.roster
    other: Space | None = roster.spaces[roster.team_space]
    if space == roster.team_space:
        other = roster.private_space_of(context.identity.member_id)
        if other is None:
            epoch, key = first_epoch(roster, context.identity.member_id)
            told.insert(0, epoch)
            return key
    return _key(client, roster, other.id, len(other.epochs)) if other is not None else None
