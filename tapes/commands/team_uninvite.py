"""`tapes team uninvite`."""

from typing import Annotated

from cyclopts import Parameter

from sync.devices import one_of
from sync.rights import close_invite, open_invites
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.credentials import say_rotate
from tapes.commands.desk import Desk


def team_uninvite(
    invite: Annotated[str, Parameter(help="The beginning of the id that `tapes team invites` shows.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Close an invite: nobody joins with its link any more, and it reads nothing that is written from now on."""
    run = begin(flags)
    with Desk(run) as desk:
        desk.lock()
        desk.client.log.refresh()
        ids = [view.id for view in open_invites(desk.client)]
        target = one_of(invite, ids, "open invite", "tapes team invites")
        close_invite(desk.client, target)
    if flags.json:
        run.out.answer("team-uninvite", {"invite_id": target.hex()})
    else:
        run.out.say(f"invite {target.hex()[:12]} is closed", "green")
    say_rotate(run)
    return 0
