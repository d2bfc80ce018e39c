"""`tapes device list`."""

from sync.devices import DeviceView, devices
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.render.tables import Column, plain_lines, terminal_table

_COLUMNS = (
    Column("device"),
    Column("name", flexible=True, style="bold"),
    Column("admitted", right=True),
    Column("revoked", right=True),
    Column("by", drop=2),
    Column("", drop=1),
)


def device_list(*, flags: Flags = no_flags) -> int:
    """List your own devices, as of the last sync; slots are commits of the team's log."""
    run = begin(flags)
    with Desk(run) as desk:
        found = devices(desk.client)
    rows = [_row(device) for device in found]
    if flags.json:
        run.out.answer("device-list", {"devices": [_fields(device) for device in found]})
    elif run.out.stdout.is_terminal:
        run.out.show(terminal_table(_COLUMNS, rows, run.out.stdout.width))
    else:
        run.out.lines(plain_lines(_COLUMNS, rows))
    return 0


def _row(device: DeviceView) -> tuple[str, ...]:
    return (
        device.id.hex()[:12],
        device.name or "",
        str(device.admitted_seq),
        str(device.revoked_seq) if device.revoked_seq is not None else "",
        device.certified_by.hex()[:12] if device.certified_by is not None else "kit",
        "this one" if device.is_this else "",
    )


def _fields(device: DeviceView) -> dict[str, object]:
    return {
        "id": device.id.hex(),
        "name": device.name,
        "admitted_seq": device.admitted_seq,
        "revoked_seq": device.revoked_seq,
        "certified_by": device.certified_by.hex() if device.certified_by is not None else None,
        "is_this": device.is_this,
    }
