"""`tapes device revoke`."""

from datetime import datetime
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.client import Client
from sync.devices import find_device, first_slot_since, revoke_device
from sync.roster import Device
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.credentials import say_rotate
from tapes.commands.desk import Desk


def device_revoke(
    device: Annotated[str, Parameter(help="The beginning of its id, as `tapes device list` shows it.")],
    /,
    *,
    lost_since: Annotated[
        str | None,
        Parameter(help="Slot or date (2026-02-14, 2026-02-14T09:30) since when it may have been misused."),
    ] = None,
    flags: Flags = no_flags,
) -> int:
    """End a device that was lost, stolen or sold. With --lost-since, what it let in from then on ends too."""
    run = begin(flags)
    with Desk(run) as desk:
        desk.lock()
        client = desk.client
        client.log.refresh()
        target, lost_seq = find_device(client, device), _lost_seq(client, lost_since)
        before = _ended(client)
        revoke_device(client, target, lost_seq)
        ended = [each for each in _ended(client) if each not in before]
        own = target == client.identity.device_id
        stays = [d.id.hex()[:12] for d in client.roster.devices.values() if _let_in_by(d, target)]
    if flags.json:
        also = [each.hex() for each in ended if each != target]
        run.out.answer(
            "device-revoke", {"device_id": target.hex(), "also_revoked": also, "lost_seq": lost_seq}
        )
    else:
        for each in ended:
            run.out.say(f"device {each.hex()[:12]} is revoked", "green")
    for kept in stays:
        run.out.warn(
            f"it had let in device {kept}, which stays: if nobody knows it, tapes device revoke {kept}"
        )
    if own:
        run.out.say("this was your own device: the next write of anybody else in the team changes the key")
    say_rotate(run)
    return 0


def _let_in_by(device: Device, target: bytes) -> bool:
    return device.certified_by == target and device.revoked_seq is None


def _ended(client: Client) -> list[bytes]:
    return [device.id for device in client.roster.devices.values() if device.revoked_seq is not None]


def _lost_seq(client: Client, text: str | None) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 12:
        if int(text) >= client.log.next_seq:
            raise UsageError(
                f"--lost-since {text}: the log ends at {client.log.next_seq - 1}",
                hint="give the slot, or the day, when you last surely had it",
            )
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--lost-since {text!r} is neither a slot nor a date",
            hint="as 42, 2026-02-14 or 2026-02-14T09:30",
        ) from None
    return first_slot_since(client, when.astimezone())  # without a zone: this machine's own time
