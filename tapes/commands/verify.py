"""`tapes verify`."""

from dataclasses import asdict

from sync.providers import Progress
from sync.verify import VerifyReport
from sync.verify import verify as verify_all
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.progress import progress

exit_findings = 6


def verify(*, flags: Flags = no_flags) -> int:
    """Fetch, re-hash, re-open and re-fold everything this member can see, against the pins. Exit 6 when anything is wrong."""
    run = begin(flags)
    with Desk(run) as desk:
        desk.lock()  # it reads the log on, and pins what it reads
        with progress(run.out) as tell:

            def told(at: Progress) -> None:
                tell(at.step, at.done, at.total)

            report = verify_all(desk.client, progress=told)
    _answer(run, report)
    return 0 if report.ok else exit_findings


def _answer(run: Run, report: VerifyReport) -> None:
    if run.flags.json:
        run.out.answer(
            "verify",
            {
                "ok": report.ok,
                "checked": report.checked,
                "findings": [asdict(finding) for finding in report.findings],
                "notices": [asdict(notice) for notice in report.notices],
            },
        )
    else:
        run.out.lines(f"{finding.object}: {finding.problem}" for finding in report.findings)
        checked = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in report.checked.items())
        run.out.say(f"checked {checked or 'nothing'}")
        run.out.say(*_verdict(report))
    for notice in report.notices:
        run.out.say(f"notice: {notice.object} {notice.problem}")


def _verdict(report: VerifyReport) -> tuple[str, str]:
    if report.ok:
        return "everything is as it was signed", "green"
    return f"{len(report.findings)} findings: keep this device as it is, and tell the team", "bold red"
