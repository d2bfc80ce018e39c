"""`tapes team leave`."""

from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.rights import leave
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.prompts import ask, can_ask


def team_leave(
    *, yes: Annotated[bool, Parameter(help="Do not ask.")] = False, flags: Flags = no_flags
) -> int:
    """Leave the team. What you pushed stays with it, what you pulled stays with you; coming back needs a new identity."""
    run = begin(flags)
    if not yes and not can_ask(run):
        raise UsageError("there is nobody to ask whether this is meant", hint="tapes team leave --yes")
    with Desk(run) as desk:
        desk.lock()
        if not yes and ask(run, "Leave the team for good? [y/N]").lower() not in {"y", "yes"}:
            raise UsageError("not left")
        team = desk.client.roster.team
        leave(desk.client)
    if flags.json:
        run.out.answer("team-leave", {"team_id": team.hex()})
    else:
        run.out.say("left; the next write of a member seals the team's future from you", "green")
    return 0
