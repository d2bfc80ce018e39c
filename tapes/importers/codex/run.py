"""Importing Codex rollouts into the local store: `import_codex`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from store.local import LocalStore
from tapes.importers.codex.files import default_roots, find_rollouts
from tapes.importers.codex.reading import RolloutImport
from tapes.importers.report import ImportReport, ProgressHook, Tally
from tapes.importers.running import run_files


def import_codex(
    store: LocalStore,
    paths: Sequence[Path] | None = None,
    *,
    progress: ProgressHook | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import every rollout under `paths` (None: where Codex keeps them), only what is new since the last time.

    UsageError for a path that is not there. A bad line or an unreadable file is a row of the report, never an exception.
    """
    roots = default_roots(os.environ, Path.home()) if paths is None else [path.expanduser() for path in paths]

    def take(file: Path, tally: Tally, tell: Callable[[int], None]) -> None:
        tally.take(RolloutImport(store, file, atomic=not dry_run).run(tell))

    return run_files(store, find_rollouts(roots), take, progress=progress, dry_run=dry_run)
