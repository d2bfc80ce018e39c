"""`tapes watch`."""

import os
import sys
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.watch_install import place_unit
from tapes.watching.units import Kind
from tapes.watching.watch import Watch


def watch(
    *,
    once: Annotated[bool, Parameter(help="One import and one sync, then end; for cron.")] = False,
    install: Annotated[
        bool, Parameter(help="Write a service file for this home, and say how to enable it.")
    ] = False,
    uninstall: Annotated[bool, Parameter(help="Remove that file.")] = False,
    systemd: Annotated[
        bool, Parameter(help="With --install: a systemd user unit (Linux's default).")
    ] = False,
    launchd: Annotated[bool, Parameter(help="With --install: a launchd agent (macOS's default).")] = False,
    dry_run: Annotated[bool, Parameter(help="With --install or --uninstall: only show it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import and sync in the background, every storage.sync_interval and at the end, until SIGTERM or Ctrl-C.

    SIGHUP: a round of everything now. Changed settings are taken up by the next round. Runs once per home.
    """
    run = begin(flags)
    if sum((once, install, uninstall)) > 1 or (systemd and launchd):
        raise UsageError(
            "these flags exclude each other",
            hint="one of --once, --install, --uninstall; one service manager",
        )
    if install or uninstall:
        kind: Kind | None = "systemd" if systemd else "launchd" if launchd else None
        return place_unit(run, "install" if install else "uninstall", kind, dry_run=dry_run)
    if systemd or launchd or dry_run:
        raise UsageError(
            "--systemd, --launchd and --dry-run go with --install or --uninstall",
            hint="tapes watch --install --dry-run",
        )
    return _watch(run, once=once)


def _watch(run: Run, *, once: bool) -> int:
    watching = Watch(run)
    if once:
        failed = watching.once()
        _answer(run, watching)
        return max((error.exit_code for error in failed), default=0)  # what failed is told already
    try:
        ended = watching.run()
    except KeyboardInterrupt:
        run.out.say("interrupted")
        _leave(130)
    _answer(run, watching)
    if not ended:
        _leave(0)
    return 0


def _answer(run: Run, watching: Watch) -> None:
    if run.flags.json:
        run.out.answer("watch", watching.state.fields())


def _leave(code: int) -> None:
    """Without the interpreter's farewells: a thread that hangs in a system call would be met by them half taken down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
