"""`tapes import claude`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, no_flags
from tapes.commands.importing import run_import
from tapes.importers.claude.run import import_claude as importer


def import_claude(
    *paths: Annotated[
        Path,
        Parameter(
            help="Projects folder, one project's folder, a .jsonl file; else where Claude Code keeps them."
        ),
    ],
    dry_run: Annotated[bool, Parameter(help="Do everything but keep it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import Claude Code's logs, only what is new since the last time."""
    return run_import(importer, paths, flags, dry_run=dry_run)
