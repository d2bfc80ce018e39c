"""`tapes team invites`."""

from datetime import UTC, datetime

from sync.rights import InviteView, open_invites
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.render.tables import Column, plain_lines, terminal_table

_COLUMNS = (
    Column("invite"),
    Column("used", right=True),
    Column("expires"),
    Column("by", drop=1),
)


def team_invites(*, flags: Flags = no_flags) -> int:
    """List the open invites, as of the last sync. Whoever holds the link of one can read the team's sessions."""
    run = begin(flags)
    with Desk(run) as desk:
        found = open_invites(desk.client)
    rows = [_row(invite) for invite in found]
    if flags.json:
        run.out.answer("team-invites", {"invites": [_fields(invite) for invite in found]})
    elif run.out.stdout.is_terminal:
        run.out.show(terminal_table(_COLUMNS, rows, run.out.stdout.width))
    else:
        run.out.lines(plain_lines(_COLUMNS, rows))
    return 0


def _row(invite: InviteView) -> tuple[str, ...]:
    return (
        invite.id.hex()[:12],
        f"{invite.uses} of {invite.limit}",
        _when(invite.expires_at_ms),
        invite.author.hex()[:12],
    )


def _when(expires_at_ms: int | None) -> str:
    if expires_at_ms is None:
        return "never"
    try:
        return datetime.fromtimestamp(expires_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):  # another member's client may have written any number
        return "beyond the calendar"


def _fields(invite: InviteView) -> dict[str, object]:
    return {
        "id": invite.id.hex(),
        "author": invite.author.hex(),
        "uses": invite.uses,
        "limit": invite.limit,
        "expires_at_ms": invite.expires_at_ms,
        "seq": invite.seq,
    }
