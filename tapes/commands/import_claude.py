"""`tapes import claude`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.importers.claude.run import import_claude as import_logs
from tapes.importers.report import ImportReport
from tapes.importers.report import Progress as Importing
from tapes.progress import progress
from tapes.render import figures

problems_shown_max: Final = 10


def import_claude(
    *paths: Annotated[
        Path,
        Parameter(
            help="Projects folder, one project's folder, a .jsonl file; else where Claude Code keeps them."
        ),
    ],
    dry_run: Annotated[bool, Parameter(help="Do everything but keep it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import Claude Code's logs, only what is new since the last time."""
    run = begin(flags)
    with Desk(run) as desk, progress(run.out) as tell:
        local = desk.local

        def told(at: Importing) -> None:
            tell(f"importing {Path(at.path).name}", at.bytes_done, at.bytes_total)

        report = import_logs(local, list(paths) or None, progress=told, dry_run=dry_run)
    _answer(run, report, dry_run=dry_run)
    return 0


def _answer(run: Run, report: ImportReport, *, dry_run: bool) -> None:
    if run.flags.json:
        run.out.answer(
            "import",
            {
                "conversations": report.conversations,
                "nodes_new": report.nodes_new,
                "nodes_known": report.nodes_known,
                "unverified": report.unverified,
                "skipped_lines": report.skipped_lines,
                "errors": [asdict(problem) for problem in report.errors],
            },
        )
        return
    done = "would import" if dry_run else "imported"
    new = f"{done} {figures.count(report.nodes_new)} new turns of {report.conversations} conversations"
    run.out.lines([f"{new} from {report.files} files; {figures.count(report.nodes_known)} were known"])
    if report.unverified:
        run.out.warn(f"{report.unverified} turns have a hash of no known era: kept, marked unverified")
    if report.skipped_lines:
        run.out.warn(f"{report.skipped_lines} lines could not be imported")
    for problem in report.errors[:problems_shown_max]:
        run.out.say(f"  {problem.path}:{problem.line}: {problem.problem}")
    if len(report.errors) > problems_shown_max:
        run.out.say(f"  … and {len(report.errors) - problems_shown_max} more (--json names them)")
