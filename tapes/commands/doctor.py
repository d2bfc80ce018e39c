"""`tapes doctor`."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import PartialFailure, UsageError
from store.names import slot_name
from sync.healing import heal_log as heal_log_of
from sync.outbox import Outbox
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.doctor import Check, examine
from tapes.progress import progress

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def doctor(
    *,
    heal_log: Annotated[
        bool, Parameter(help="Put back what the bucket lost and this device has verified before.")
    ] = False,
    dry_run: Annotated[bool, Parameter(help="With --heal-log: only list what would be put back.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Check bucket, clock, keys, versions and retention. Warnings end with 0, a failure with its own exit code."""
    run = begin(flags)
    if heal_log:
        return _heal(run, dry_run=dry_run)
    if dry_run:
        raise UsageError("--dry-run goes with --heal-log", hint="tapes doctor --heal-log --dry-run")
    with Desk(run) as desk:
        checks = []
        for check in examine(desk, os.environ, Path.home()):
            checks.append(check)
            if not flags.json:
                _show(run, check)
    if flags.json:
        ok = not any(check.exit_code for check in checks)
        run.out.answer("doctor", {"ok": ok, "checks": [_fields(check) for check in checks]})
    return max((check.exit_code for check in checks), default=0)


def _heal(run: Run, *, dry_run: bool) -> int:
    """What is put back goes to stdout, by name; what nobody here can bring back ends with 3."""
    with Desk(run) as desk:
        desk.lock()
        with progress(run.out) as tell:
            report = heal_log_of(
                desk.client,
                None if desk.is_cloud else _outbox(desk),
                dry_run=dry_run,
                progress=lambda what, done: tell(what, done, 0),
            )
    put_back = [*map(slot_name, report.slots), *report.objects]
    if run.flags.json:
        run.out.answer(
            "doctor-heal-log",
            {"dry_run": dry_run, "put_back": put_back, "missing": report.missing, "turns": report.turns},
        )
    else:
        run.out.lines(put_back)
        done = "would put back" if dry_run else "put back"
        run.out.say(f"{done} {len(report.slots)} slots of the log and {len(report.objects)} other objects")
        if report.turns:
            run.out.say(_sent_again(run, report.turns))
    if report.missing:
        raise PartialFailure(
            f"{len(report.missing)} objects are still missing",
            report.missing,
            hint="run this and a sync on every device, restore from a backup, then give the rest up: docs/recovery.md",
        )
    return 0


def _outbox(desk: Desk) -> Outbox:
    config = desk.run.config
    return Outbox(desk.local, desk.client.replica, config.visibility, config.content)


def _sent_again(run: Run, turns: int) -> str:
    if run.config.text("storage.provider") == "cloud":
        return f"{turns} turns of lost packs: `tapes import all` sends again what the agents' logs still have"
    return f"{turns} turns of lost packs are here: the next `tapes storage sync` sends them again"


def _show(run: Run, check: Check) -> None:
    from rich.text import Text  # noqa: PLC0415 - not for --json

    from tapes.render.safe import safe_line  # noqa: PLC0415 - as above

    line = Text(f"{check.state:<8}", style=_STYLES[check.state])
    line.append(f"{check.name}: {safe_line(check.detail)}", style="default")
    run.out.stdout.print(line, soft_wrap=True)
    if check.hint:
        run.out.stdout.print(Text(f"         {safe_line(check.hint)}", style="dim"), soft_wrap=True)


def _fields(check: Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state, "detail": check.detail, "hint": check.hint}
