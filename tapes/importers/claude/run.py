"""Importing Claude Code's logs into the local store: `import_claude`."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from store.local import LocalStore
from tapes.importers.claude.file_import import FileImport
from tapes.importers.claude.files import LogFile, default_roots, find_logs
from tapes.importers.report import ImportReport, Progress, ProgressHook, Tally


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
    `dry_run` does all the work and takes it back. A log that has disappeared changes nothing: Claude Code deletes its logs
    after 30 days, and what was imported stays.
    """
    roots = default_roots(os.environ, Path.home()) if paths is None else [path.expanduser() for path in paths]
    logs = find_logs(roots)
    tally = Tally()
    with _rolled_back(store) if dry_run else _committed():
        _import_all(store, logs, tally, progress, atomic=not dry_run)
    return tally.report()


def _import_all(
    store: LocalStore, logs: list[LogFile], tally: Tally, progress: ProgressHook | None, *, atomic: bool
) -> None:
    sizes = [_size(log) for log in logs]
    done_bytes = 0
    for number, (log, size_bytes) in enumerate(zip(logs, sizes, strict=True)):
        tell = _teller(progress, Progress(log.name, number, len(logs), done_bytes, sum(sizes)))
        tell(0)
        FileImport(store, log, tally, tell, atomic=atomic).run()
        done_bytes += size_bytes
    if progress and logs:
        progress(Progress(logs[-1].name, len(logs), len(logs), done_bytes, sum(sizes)))


def _teller(progress: ProgressHook | None, at: Progress) -> Callable[[int], None]:
    def tell(file_bytes: int) -> None:
        if progress:
            done = at.bytes_done + file_bytes
            progress(Progress(at.path, at.files_done, at.files_total, done, at.bytes_total))

    return tell


def _size(log: LogFile) -> int:
    try:
        return log.path.stat().st_size
    except OSError:  # gone since it was found: the import of the file says so
        return 0


class _TakeBack(Exception):
    """Ends a dry run's transaction without keeping it; no error."""


@contextmanager
def _rolled_back(store: LocalStore) -> Iterator[None]:
    with suppress(_TakeBack), store.transaction():
        yield
        raise _TakeBack


@contextmanager
def _committed() -> Iterator[None]:
    """Each batch commits itself."""
    yield
