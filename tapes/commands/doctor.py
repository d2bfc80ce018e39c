"""`tapes doctor`."""

import os
from pathlib import Path

from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import Desk
from tapes.doctor import Check, examine

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def doctor(*, flags: Flags = no_flags) -> int:
    """Check bucket, clock, keys, versions and retention. Warnings end with 0, a failure with its own exit code."""
    run = begin(flags)
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
