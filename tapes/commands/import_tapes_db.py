"""`tapes import tapes-db`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, no_flags
from tapes.commands.importing import run_import
from tapes.importers.tapes_db.run import import_tapes_db as importer


def import_tapes_db(
    *paths: Annotated[
        Path,
        Parameter(help="The Go tool's tapes.sqlite or tapes.db; else where the Go tool looks for it."),
    ],
    dry_run: Annotated[bool, Parameter(help="Do everything but keep it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import the Go tool's database, hashes as they are, only what is new since the last time."""
    return run_import(importer, paths, flags, dry_run=dry_run)
