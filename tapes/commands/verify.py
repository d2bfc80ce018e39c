"""`tapes verify`."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.budget import EVERYTHING, Bounds
from sync.keyless import verify_keyless
from sync.membership import Bucket
from sync.providers import Progress
from sync.verify import VerifyReport
from sync.verify import verify as verify_all
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.spans import bytes_of, seconds_of
from tapes.progress import progress

exit_findings = 6


def verify(
    *,
    keyless: Annotated[
        bool, Parameter(help="Check what needs no key and no home: names, digests, signatures, the roster.")
    ] = False,
    bucket: Annotated[
        str | None, Parameter(help="With --keyless: this bucket, not the configured one.")
    ] = None,
    endpoint_url: Annotated[str | None, Parameter(help="With --bucket: where an S3-like answers.")] = None,
    region: Annotated[str | None, Parameter(help="With --bucket: its region.")] = None,
    max_age: Annotated[
        str | None, Parameter(help="Pass over what was found good less long ago than this, as 7d.")
    ] = None,
    max_bytes: Annotated[
        str | None, Parameter(help="Stop after so much, as 2GB; the next run goes on from there.")
    ] = None,
    max_seconds: Annotated[int | None, Parameter(help="Stop after so long, likewise.")] = None,
    flags: Flags = no_flags,
) -> int:
    """Fetch, re-hash, re-open and re-fold everything this member can see, against the pins. Exit 6 when anything is wrong."""
    run = begin(flags)
    bounds = _bounds(max_age, max_bytes, max_seconds)
    if keyless and bounds != EVERYTHING:
        raise UsageError("a keyless check remembers nothing and is always whole", hint="leave out --max-…")
    if not keyless and (bucket or endpoint_url or region):
        raise UsageError("--bucket goes with --keyless", hint="tapes verify --keyless --bucket s3://…")
    named = Bucket(bucket, endpoint_url, region) if bucket is not None else None
    with Desk(run) as desk, progress(run.out) as tell:

        def told(at: Progress) -> None:
            tell(at.step, at.done, at.total)

        if keyless:
            report = verify_keyless(desk.bare_store(named or desk.bucket), progress=told)
        else:
            desk.lock()  # it reads the log on, and pins what it reads
            report = verify_all(desk.client, bounds=bounds, progress=told)
    _answer(run, report)
    return 0 if report.ok else exit_findings


def _bounds(max_age: str | None, max_bytes: str | None, max_seconds: int | None) -> Bounds:
    if max_seconds is not None and max_seconds < 1:
        raise UsageError(f"--max-seconds {max_seconds} is not possible", hint="at least 1")
    return Bounds(
        max_age_ms=seconds_of(max_age, "--max-age") * 1000 if max_age is not None else None,
        max_bytes=bytes_of(max_bytes, "--max-bytes") if max_bytes is not None else None,
        max_seconds=max_seconds,
    )


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
    if report.ok and report.checked.get("commits_left_for_later"):
        return "what was checked is as it was signed; run it again for the rest", "green"
    if report.ok:
        return "everything is as it was signed", "green"
    return f"{len(report.findings)} findings: keep this device as it is, and tell the team", "bold red"
