"""`tapes import all`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.importing import as_json, pushing, tell_report
from tapes.importers.all_agents import import_all as import_each
from tapes.importers.report import ImportReport
from tapes.importers.report import Progress as Importing
from tapes.progress import progress


def import_all(
    *,
    dry_run: Annotated[bool, Parameter(help="Do everything but keep it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import the logs of every agent that keeps some in its usual place; one report each."""
    run = begin(flags)
    with Desk(run) as desk, progress(run.out) as tell, desk.intake(pushing(tell)) as taken:

        def told(at: Importing) -> None:
            tell(f"importing {Path(at.path).name}", at.bytes_done, at.bytes_total)

        reports = dict(import_each(taken.store, progress=told, dry_run=dry_run))
    if run.flags.json:
        run.out.answer(
            "import-all", {"agents": {agent: as_json(report) for agent, report in reports.items()}}
        )
    else:
        _tell(run, reports, dry_run=dry_run)
    taken.judge()
    return 0


def _tell(run: Run, reports: dict[str, ImportReport], *, dry_run: bool) -> None:
    for agent, report in reports.items():
        tell_report(run, report, dry_run=dry_run, agent=agent)
    if not reports:
        run.out.say("no agent keeps logs here; name a place: tapes import claude PATH")
