"""`tapes import gemini`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, no_flags
from tapes.commands.importing import run_import
from tapes.importers.gemini.run import import_gemini as importer


def import_gemini(
    *paths: Annotated[
        Path,
        Parameter(help="A .gemini folder, a chat file; else where Gemini CLI keeps them."),
    ],
    dry_run: Annotated[bool, Parameter(help="Do everything but keep it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Import Gemini CLI's chats, only what has changed since the last time."""
    return run_import(importer, paths, flags, dry_run=dry_run)
