"""`tapes team role`."""

from typing import Annotated

from cyclopts import Parameter

from store.events import Role
from sync.devices import one_of
from sync.rights import set_role
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk


def team_role(
    member: Annotated[str, Parameter(help="The beginning of the id that `tapes team members` shows.")],
    role: Annotated[Role, Parameter(help="owner, admin or member.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Make somebody owner, admin or plain member. Admins invite and remove members; owners also set roles."""
    run = begin(flags)
    with Desk(run) as desk:
        desk.lock()
        desk.client.log.refresh()
        target = one_of(member, list(desk.client.roster.members), "member", "tapes team members")
        set_role(desk.client, target, role)
    if flags.json:
        run.out.answer("team-role", {"member_id": target.hex(), "role": role})
    else:
        run.out.say(f"member {target.hex()[:12]} is {role} now", "green")
    return 0
