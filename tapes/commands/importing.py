"""What every `tapes import …` does around its importer: progress, one report, one answer."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, Protocol

from crypto.errors import UsageError
from store.local import LocalStore
from store.nodes import Json
from sync.providers import Progress as Pushing
from sync.providers import ProgressSeen
from tapes.commands.context import Flags, Run, begin
from tapes.commands.desk import Desk
from tapes.importers.report import ImportReport, ProgressHook
from tapes.importers.report import Progress as Importing
from tapes.progress import Tell, progress
from tapes.render import figures

problems_shown_max: Final = 10
_NOT_YOURS: Final = "import as the user whose logs these are, or let this user read them"


class Importer(Protocol):
    """An importer of one agent's logs."""

    def __call__(
        self,
        store: LocalStore,
        paths: Sequence[Path] | None = None,
        *,
        progress: ProgressHook | None = None,
        dry_run: bool = False,
    ) -> ImportReport:
        """Import what is new under `paths` (None: the agent's usual places)."""


def run_import(importer: Importer, paths: Sequence[Path], flags: Flags, *, dry_run: bool) -> int:
    """Import with one importer and say how it went; the exit code."""
    run = begin(flags)
    with Desk(run) as desk, progress(run.out) as tell, desk.intake(pushing(tell)) as taken:

        def told(at: Importing) -> None:
            tell(f"importing {Path(at.path).name}", at.bytes_done, at.bytes_total)

        try:
            report = importer(taken.store, list(paths) or None, progress=told, dry_run=dry_run)
        except PermissionError as denied:
            told_of = os.fsdecode(denied.filename or "")
            raise UsageError(f"{told_of} cannot be read: {denied.strerror}", hint=_NOT_YOURS) from None
    if run.flags.json:
        run.out.answer("import", as_json(report))
    else:
        tell_report(run, report, dry_run=dry_run)
    taken.judge()
    return 0


def pushing(tell: Tell) -> ProgressSeen:
    """Shows the pushes of an import that goes straight to the bucket."""

    def told(at: Pushing) -> None:
        tell(at.step, at.done, at.total)

    return told


def as_json(report: ImportReport) -> dict[str, Json]:
    """The report's documented fields (docs/json.md)."""
    return {
        "conversations": report.conversations,
        "nodes_new": report.nodes_new,
        "nodes_known": report.nodes_known,
        "unverified": report.unverified,
        "skipped_lines": report.skipped_lines,
        "errors": [asdict(problem) for problem in report.errors],
    }


def tell_report(run: Run, report: ImportReport, *, dry_run: bool, agent: str = "") -> None:
    """The report in words; `agent` names it where there are several."""
    done = "would import" if dry_run else "imported"
    new = f"{done} {figures.several(report.nodes_new, 'new turn')} of {figures.several(report.conversations, 'conversation')}"
    told = f"{new} from {figures.several(report.files, 'file')}; known before: {figures.count(report.nodes_known)}"
    run.out.lines([f"{agent}: {told}" if agent else told])
    if report.unverified:
        run.out.warn(f"{report.unverified} turns have a hash of no known era: kept, marked unverified")
    if report.skipped_lines:
        run.out.warn(f"{figures.several(report.skipped_lines, 'line')} could not be imported")
    for problem in report.errors[:problems_shown_max]:
        run.out.say(f"  {problem.path}:{problem.line}: {problem.problem}")
    if len(report.errors) > problems_shown_max:
        run.out.say(f"  … and {len(report.errors) - problems_shown_max} more (--json names them)")
