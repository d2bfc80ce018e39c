"""`tapes storage sync`."""

from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from crypto.errors import PartialFailure, UsageError
from sync.providers import Progress, SyncReport
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import NO_BUCKET_HINT, Desk
from tapes.commands.joining import forget_strangers_log, team_of_one
from tapes.commands.publishing import publish_after
from tapes.commands.standing import standing, syncing
from tapes.progress import progress
from tapes.render import figures
from tapes.render.standing import plan_lines, sync_lines


def storage_sync(
    *,
    full: Annotated[
        bool, Parameter(help="Fetch every readable turn too, for reading without the bucket.")
    ] = False,
    dry_run: Annotated[bool, Parameter(help="Only list what would be pushed, to whom.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Pull from the bucket, then push to it. A home without a team founds a team of one. Safe to end and to repeat."""
    run = begin(flags)
    with Desk(run) as desk:
        if not desk.uses_bucket:
            bucket = run.config.text("storage.bucket")
            raise UsageError(
                "the provider is local: nothing is synced",
                hint="tapes storage set-provider hybrid" if bucket else NO_BUCKET_HINT,
            )
        desk.lock()
        forget_strangers_log(desk)
        if not dry_run and team_of_one(desk):
            run.out.say("this home had no team: founded a team of one (tapes team invite lets others in)")
        report, fields = _sync(desk, full=full, dry_run=dry_run)
    _answer(run, report, fields, dry_run=dry_run)
    return _judge(run, report)


def _sync(desk: Desk, *, full: bool, dry_run: bool) -> tuple[SyncReport, dict[str, Any]]:
    provider = syncing(desk)
    with progress(desk.run.out) as tell:

        def told(at: Progress) -> None:
            tell(at.step, at.done, at.total)

        report = provider.sync(full=full, dry_run=dry_run, progress=told)
        if not dry_run:
            publish_after(desk, report)
    return report, standing(desk, provider.sync_status())


def _answer(run: Run, report: SyncReport, fields: dict[str, Any], *, dry_run: bool) -> None:
    if run.flags.json:
        run.out.answer(
            "storage-sync",
            {
                **fields,
                "pushed": {
                    "nodes": report.pushed_nodes,
                    "packs": report.pushed_packs,
                    "commits": report.pushed_commits,
                },
                "pulled": {
                    "commits": report.pulled_slots,
                    "manifests": report.pulled_manifests,
                    "nodes": report.pulled_nodes,
                },
                "published_days": report.published_days,
                "skipped": [{"hash": node, "reason": reason} for node, reason in report.skipped],
                "notices": report.notices,
                "findings": [{"object": each.obj, "problem": each.problem} for each in report.broken],
                "plan": [asdict(each) for each in report.plan] if dry_run else None,
            },
        )
    elif dry_run:
        _show_plan(run, report)
    else:
        run.out.lines(sync_lines(report, fields))


def _show_plan(run: Run, report: SyncReport) -> None:
    run.out.lines(plan_lines(report.plan))
    total = sum(each.bytes for each in report.plan)
    nodes = sum(each.nodes for each in report.plan)
    run.out.say(
        f"would push {nodes} turns of {len(report.plan)} conversations, {figures.size(total)} before compression"
    )


def _judge(run: Run, report: SyncReport) -> int:
    """Notices are remarks; what the bucket broke ends with 6, what stays local with 3."""
    for notice in report.notices:
        run.out.warn(notice)
    for broken in report.broken[1:]:
        run.out.say(f"error: {broken.message}")
    if report.broken:
        raise report.broken[0]
    if report.skipped:
        raise PartialFailure(
            f"{len(report.skipped)} turns are too large to push and stay on this device",
            [f"{node}  {reason}" for node, reason in report.skipped],
        )
    return 0
