"""`tapes watch --install` and `--uninstall`: one service file, written or removed; enabling it is left to its user."""

import os
import sys
from pathlib import Path
from typing import Literal

from crypto.errors import TapesError, UsageError
from tapes.commands.context import Run
from tapes.watching.units import Kind, Unit, unit

Action = Literal["install", "uninstall"]


def place_unit(run: Run, action: Action, kind: Kind | None, *, dry_run: bool) -> int:
    """Write or remove the service file, and say what to run next."""
    wanted = unit(kind or _usual_kind(), run.home.path, Path.home(), os.environ)
    before = _present(wanted)
    changed = before != wanted.content if action == "install" else before is not None
    if changed and not dry_run:
        try:
            _write(wanted) if action == "install" else _remove(wanted)
        except OSError as error:
            raise TapesError(
                f"{wanted.path} cannot be changed: {error.strerror}", hint="check that its folder is yours"
            ) from None
    _answer(run, wanted, action, changed=changed, dry_run=dry_run)
    return 0


def _usual_kind() -> Kind:
    if sys.platform == "darwin":
        return "launchd"
    if sys.platform == "linux":
        return "systemd"
    raise UsageError("no service manager is known for this system", hint="name one: --systemd or --launchd")


def _present(wanted: Unit) -> str | None:
    try:
        return wanted.path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TapesError(f"{wanted.path} cannot be read: {error.strerror}") from None


def _write(wanted: Unit) -> None:
    """Beside, then rename: a kill leaves the old file, or the new one, and a hidden file that no manager reads."""
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    beside = wanted.path.with_name(f".{wanted.path.name}.new")
    beside.write_text(wanted.content, encoding="utf-8")
    beside.replace(wanted.path)


def _remove(wanted: Unit) -> None:
    """The link first: a kill between leaves a file that is no longer started, not a link to nothing."""
    for path in (*wanted.leftovers, wanted.path):
        path.unlink(missing_ok=True)


def _answer(run: Run, wanted: Unit, action: Action, *, changed: bool, dry_run: bool) -> None:
    commands = wanted.enable if action == "install" else wanted.disable
    if run.flags.json:
        fields = {"action": action, "kind": wanted.kind, "path": str(wanted.path), "content": wanted.content}
        told = {
            "changed": changed,
            "dry_run": dry_run,
            "commands": list(commands),
            "notes": list(wanted.notes),
        }
        run.out.answer("watch-install", fields | told)
        return
    if dry_run and action == "install":
        run.out.lines(wanted.content.splitlines())
    else:
        run.out.lines([str(wanted.path)])
    run.out.say(_what(wanted, action, changed=changed, dry_run=dry_run))
    for note in wanted.notes if action == "install" else ():
        run.out.say(f"note: {note}")
    run.out.say("Next:")
    for command in commands:
        run.out.say(f"  {command}")


def _what(wanted: Unit, action: Action, *, changed: bool, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    if action == "install":
        return f"{wanted.path} {would}{'written' if changed else 'as it is: nothing changed'}"
    return f"{wanted.path} {would}removed" if changed else f"{wanted.path} is not there"
