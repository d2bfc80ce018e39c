"""`tapes team create`."""

from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.membership import create_team
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.joining import forget_strangers_log, has_team
from tapes.identity import check_name


def team_create(
    name: Annotated[str, Parameter(help="What the members call the team; the bucket never sees it.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Found a team in the configured bucket; one bucket prefix holds one team."""
    run = begin(flags)
    called = check_name(name)
    with Desk(run) as desk:
        desk.lock()
        forget_strangers_log(desk)
        if has_team(desk):
            raise UsageError("this home belongs to a team already", hint="tapes team members")
        team = create_team(desk.client, called)
    if flags.json:
        run.out.answer("team-create", {"team_id": team.hex(), "name": called})
    else:
        run.out.say(f"{called} is founded, team {team.hex()[:12]}", "green")
        run.out.say("Next: tapes team invite")
    return 0
