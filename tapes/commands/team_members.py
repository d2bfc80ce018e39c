"""`tapes team members`."""

from sync.membership import MemberView, members, team_name
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.render.tables import Column, plain_lines, terminal_table

_COLUMNS = (
    Column("member"),
    Column("name", flexible=True, style="bold"),
    Column("role"),
    Column("state"),
    Column("devices", right=True),
    Column("", drop=1),
)


def team_members(*, flags: Flags = no_flags) -> int:
    """List the team's members, as of the last sync."""
    run = begin(flags)
    with Desk(run) as desk:
        team, name, found = desk.client.roster.team, team_name(desk.client), members(desk.client)
    rows = [_row(member) for member in found]
    if flags.json:
        fields = {"team_id": team.hex(), "name": name, "members": [_fields(member) for member in found]}
        run.out.answer("team-members", fields)
    elif run.out.stdout.is_terminal:
        run.out.show(terminal_table(_COLUMNS, rows, run.out.stdout.width))
    else:
        run.out.lines(plain_lines(_COLUMNS, rows))
    return 0


def _row(member: MemberView) -> tuple[str, ...]:
    return (
        member.id.hex()[:12],
        member.name or "(unreadable)",
        member.role,
        member.state,
        str(member.devices),
        "you" if member.is_me else "",
    )


def _fields(member: MemberView) -> dict[str, object]:
    return {
        "id": member.id.hex(),
        "name": member.name,
        "role": member.role,
        "state": member.state,
        "joined_seq": member.joined_seq,
        "devices": member.devices,
        "is_me": member.is_me,
    }
