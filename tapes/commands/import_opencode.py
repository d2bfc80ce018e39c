"""`tapes import opencode`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, no_flags
from tapes.commands.importing import run_import
from tapes.importers.opencode.run import import_opencode as importer


def import_opencode(
    *paths: Annotated[
        Path,
        Parameter(help="Its data folder, opencode.db, a storage folder; else where opencode keeps them."),
    ],
    dry_run: Annotated[bool, Parameter(help="Do everything but keep it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import opencode's sessions, only what has changed since the last time."""
    return run_import(importer, paths, flags, dry_run=dry_run)
