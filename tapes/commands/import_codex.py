"""`tapes import codex`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, no_flags
from tapes.commands.importing import run_import
from tapes.importers.codex.run import import_codex as importer


def import_codex(
    *paths: Annotated[
        Path,
        Parameter(help="Codex home, its sessions folder, a rollout file; else where Codex keeps them."),
    ],
    dry_run: Annotated[bool, Parameter(help="Do everything but keep it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import Codex's rollouts, only what is new since the last time."""
    return run_import(importer, paths, flags, dry_run=dry_run)
