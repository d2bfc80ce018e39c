"""Running an import file by file: progress, and dry runs that do everything and take it back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import accumulate
from pathlib import Path

from store.local import LocalStore
from tapes.importers.report import ImportReport, Progress, ProgressHook, Tally
from tapes.importers.whole_session import path_name

Importer = Callable[[Path, Tally, Callable[[int], None]], None]


def run_files(
    store: LocalStore,
    files: Sequence[Path],
    importer: Importer,
    *,
    progress: ProgressHook | None,
    dry_run: bool,
) -> ImportReport:
    """Import `files` in their order. `importer(file, tally, tell)` adds to the tally and tells the byte offset reached.

    A file that cannot be read is a row of the report. `importer` must leave transactions alone in a dry run.
    """
    tally = Tally()
    sizes = [_size_bytes(file) for file in files]
    before = [0, *accumulate(sizes)]
    with store.unhurried(), _taken_back(store) if dry_run else nullcontext():
        for number, file in enumerate(files):
            tell = _teller(progress, path_name(file), number, before)
            tell(0)
            try:
                importer(file, tally, tell)
            except OSError as problem:
                tally.note(path_name(file), 0, f"cannot be read: {problem.strerror}", skipped=False)
        if files:
            _teller(progress, path_name(files[-1]), len(files), before)(0)
    return tally.report()


def _teller(
    progress: ProgressHook | None, name: str, number: int, before: Sequence[int]
) -> Callable[[int], None]:
    def tell(file_bytes: int) -> None:
        if progress:
            progress(Progress(name, number, len(before) - 1, before[number] + file_bytes, before[-1]))

    return tell


def _size_bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # gone since it was found: its import says so
        return 0


class _TakeBack(Exception):
    """Ends a dry run's transaction without keeping it; no error."""


@contextmanager
def _taken_back(store: LocalStore) -> Iterator[None]:
    with suppress(_TakeBack), store.transaction():
        yield
        raise _TakeBack
