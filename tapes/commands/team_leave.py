"""`tapes team leave`."""

from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.rights import leave
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.prompts import ask, can_ask
from tapes.purge import Held, held, purge
from tapes.render import figures


def team_leave(
    *,
    yes: Annotated[bool, Parameter(help="Do not ask.")] = False,
    purge_: Annotated[
        bool,
        Parameter(
            name="--purge",
            help="Also remove all this device holds of the team but your own turns; saved filters go too.",
        ),
    ] = False,
    dry_run: Annotated[bool, Parameter(help="Only list what --purge would remove.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Leave the team. What you pushed stays with it, what you pulled stays with you; coming back needs a new identity."""
    run = begin(flags)
    if dry_run and not purge_:
        raise UsageError("--dry-run goes with --purge", hint="tapes team leave --purge --dry-run")
    if not (yes or dry_run) and not can_ask(run):
        raise UsageError("there is nobody to ask whether this is meant", hint="tapes team leave --yes")
    if dry_run:
        _answer(run, None, held(run.home), dry_run=True)
        return 0
    team = None if purge_ and run.home.purging.exists() else _leave(run, yes=yes, purges=purge_)
    _answer(run, team, _purge(run) if purge_ else [], dry_run=False)
    return 0


def _leave(run: Run, *, yes: bool, purges: bool) -> bytes:
    """Leave, unless this member is out already and only the purge is left to do."""
    with Desk(run) as desk:
        desk.lock()
        client = desk.client
        roster = client.roster
        question = (
            "Leave the team for good, and remove what is here of it?"
            if purges
            else "Leave the team for good?"
        )
        if not yes and ask(run, f"{question} [y/N]").lower() not in {"y", "yes"}:
            raise UsageError("not left")
        if not (purges and roster.active_device(client.identity.device_id) is None):
            leave(client)
        return roster.team


def _purge(run: Run) -> list[Held]:
    """Everything is closed by now: a database that is open would write itself anew."""
    with Desk(run) as desk:
        desk.lock()
        removed = held(run.home)
        purge(run.home, run.config)
    return removed


def _answer(run: Run, team: bytes | None, removed: list[Held], *, dry_run: bool) -> None:
    if run.flags.json:
        run.out.answer(
            "team-leave",
            {
                "team_id": team.hex() if team is not None else None,
                "dry_run": dry_run,
                "removed": [{"path": str(e.path), "about": e.about, "bytes": e.bytes} for e in removed],
            },
        )
        return
    if team is not None:
        run.out.say("left; the next write of a member seals the team's future from you", "green")
    if removed and run.home.watch_environment.exists():
        run.out.warn(f"{run.home.watch_environment} stays: look whether it holds the bucket's credentials")
    run.out.lines(f"{each.path}  {figures.size(each.bytes)}  {each.about}" for each in removed)
    if removed:
        would = "would be removed" if dry_run else "removed"
        run.out.say(
            f"{would}: all of the above. Your own turns stay here; your keys stay, and so does what you pushed."
        )
