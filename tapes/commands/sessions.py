"""`tapes sessions`."""

from dataclasses import asdict

from query.sessions import list_sessions
from sync.client import Client
from sync.membership import members
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.render.session_list import counted, piped_list, terminal_list, totals_line


def sessions(*, flags: Flags = no_flags) -> int:
    """List sessions, your own and the team's; in a pipe, one per line with its id first."""
    run = begin(flags)
    with Desk(run) as desk:
        source = desk.source()
        found = list_sessions(source)
        names = {} if flags.json or source.client is None else _names(source.client)
    if flags.json:
        run.out.answer("sessions", asdict(found))
    elif not found.sessions:
        run.out.say("No sessions yet. Next: tapes import claude")
    elif run.out.stdout.is_terminal:
        run.out.show(*terminal_list(found, names, run.out.stdout.width))
    else:
        run.out.lines(piped_list(found.sessions, names))
        run.out.say(f"{counted(len(found.sessions))} · {totals_line(found.totals)}")
    return 0


def _names(client: Client) -> dict[str, str]:
    """What members call themselves, by hex id; a home in no team yet knows only its own."""
    if client.log.point.roster is None:
        return {client.identity.member_id.hex(): client.identity.name}
    return {member.id.hex(): member.name for member in members(client) if member.name is not None}
