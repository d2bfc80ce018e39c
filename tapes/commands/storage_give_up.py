"""`tapes storage give-up`."""

import sys
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.giving_up import give_up
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk


def storage_give_up(
    *objects: Annotated[
        str,
        Parameter(
            help="Names as `tapes verify` tells them; without any, they are read from stdin, one per line."
        ),
    ],
    dry_run: Annotated[bool, Parameter(help="Only list what would be given up.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Say to the team that objects cannot be had any more: sync and verify then no longer fail for them.

    Only what is missing or damaged, and only by an owner or admin. What comes back after all counts again.
    """
    run = begin(flags)
    names = list(objects) or sys.stdin.read().split()
    if not names:
        raise UsageError("no object is named", hint="tapes verify lists what is missing")
    with Desk(run) as desk:
        desk.lock()
        given_up = give_up(desk.client, names, dry_run=dry_run)
    if flags.json:
        run.out.answer("storage-give-up", {"dry_run": dry_run, "given_up": given_up})
    else:
        run.out.lines(given_up)
        run.out.say(f"{'would give up' if dry_run else 'gave up'} {len(given_up)} objects")
    return 0
