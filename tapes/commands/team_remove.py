"""`tapes team remove`."""

from typing import Annotated

from cyclopts import Parameter

from sync.devices import one_of
from sync.rights import remove_member
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.credentials import say_rotate
from tapes.commands.desk import Desk


def team_remove(
    member: Annotated[str, Parameter(help="The beginning of the id that `tapes team members` shows.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """End somebody's membership. What is written from now on is sealed from them; what they have read, they have."""
    run = begin(flags)
    with Desk(run) as desk:
        desk.lock()
        desk.client.log.refresh()
        target = one_of(member, list(desk.client.roster.members), "member", "tapes team members")
        remove_member(desk.client, target)
    if flags.json:
        run.out.answer("team-remove", {"member_id": target.hex()})
    else:
        run.out.say(f"member {target.hex()[:12]} is removed; all open invites are closed", "green")
    say_rotate(run)
    return 0
