"""`tapes gc`."""

from typing import Annotated, Final

from cyclopts import Parameter

from store.blobs import BlobInfo
from sync.gc import GcReport, collect
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.spans import seconds_of
from tapes.render import figures

objects_shown_max: Final = 1000  # in the JSON answer; the lines of a dry run stream and have no end


def gc(
    *,
    dry_run: Annotated[bool, Parameter(help="Only list what would be deleted.")] = False,
    older_than: Annotated[
        str, Parameter(help="Leave alone what was uploaded later than this ago; at least 1d.")
    ] = "7d",
    flags: Flags = no_flags,
) -> int:
    """Delete objects that no commit names and that are older than a fence written to the log. For owners and admins."""
    run = begin(flags)
    older_than_ms = seconds_of(older_than, "--older-than") * 1000
    shown: list[BlobInfo] = []

    def seen(info: BlobInfo) -> None:
        if not flags.json and dry_run:
            run.out.lines([info.name])
        if len(shown) < objects_shown_max:
            shown.append(info)

    with Desk(run) as desk:
        desk.lock()
        report = collect(desk.client, older_than_ms=older_than_ms, dry_run=dry_run, seen=seen)
    _answer(run, report, shown, dry_run=dry_run)
    return 0


def _answer(run: Run, report: GcReport, shown: list[BlobInfo], *, dry_run: bool) -> None:
    if run.flags.json:
        run.out.answer("gc", _fields(report, shown, dry_run=dry_run))
        return
    done = "would delete" if dry_run else "deleted"
    run.out.say(f"{done} {report.deleted} objects, {figures.size(report.deleted_bytes)}")
    run.out.say(
        f"{report.kept} objects are named by commits, {report.young} unnamed ones are newer than the fence"
    )


def _fields(report: GcReport, shown: list[BlobInfo], *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "fence": report.fence,
        "fence_seq": report.fence_seq,
        "kept": report.kept,
        "young": report.young,
        "deleted": report.deleted,
        "deleted_bytes": report.deleted_bytes,
        "objects": [{"object": info.name, "bytes": info.size_bytes} for info in shown],
    }
