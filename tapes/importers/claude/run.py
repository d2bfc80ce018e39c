"""Importing Claude Code's logs into the local store: `import_claude`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from store.local import LocalStore
from tapes.importers.claude.file_import import FileImport
from tapes.importers.claude.files import default_roots, find_logs
from tapes.importers.report import ImportReport, ProgressHook, Tally
from tapes.importers.running import run_files


def import_claude(
    store: LocalStore,
    paths: Sequence[Path] | None = None,
    *,
    progress: ProgressHook | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import every transcript under `paths` (None: where Claude Code keeps them), only what is new since the last time.

    A path is a projects folder, one project's folder, one `.jsonl` file, or a web export. UsageError for a path that is not
    there or holds nothing of the kind. A bad line or an unreadable file is a row of the report, never an exception.
    Batches are stored whole. `dry_run` does all the work and takes it back. A log that has disappeared changes nothing: Claude
    Code deletes its logs after 30 days, and what was imported stays.
    """
    roots = default_roots(os.environ, Path.home()) if paths is None else [path.expanduser() for path in paths]
    logs = {log.path: log for log in find_logs(roots)}

    def take(file: Path, tally: Tally, tell: Callable[[int], None]) -> None:
        FileImport(store, logs[file], tally, tell, atomic=not dry_run).run()

    return run_files(store, list(logs), take, progress=progress, dry_run=dry_run)
