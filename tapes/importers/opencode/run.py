"""Importing opencode's sessions into the local store: `import_opencode`."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from crypto.errors import StoreError, UsageError
from store.local import LocalStore
from tapes.importers.opencode import database, legacy
from tapes.importers.opencode.messages import HARNESS, session_of
from tapes.importers.opencode.records import Stored
from tapes.importers.report import ImportReport, ProgressHook, Tally
from tapes.importers.running import run_files
from tapes.importers.whole_session import SessionWriter, path_name

_HINT: Final = "give opencode's data folder, its opencode.db, or its storage folder"


def import_opencode(
    store: LocalStore,
    paths: Sequence[Path] | None = None,
    *,
    progress: ProgressHook | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import every session under `paths` (None: opencode's data folder) that has changed since the last time.

    Databases and `storage` folders may hold the same sessions; the database, which is newer, is read last and wins. UsageError
    for a path that is not there or holds nothing of opencode's.
    """
    roots = (
        [default_root(os.environ, Path.home())] if paths is None else [path.expanduser() for path in paths]
    )
    writer = SessionWriter(store, HARNESS, atomic=not dry_run)

    def take(place: Path, tally: Tally, tell: Callable[[int], None]) -> None:
        try:
            _import(writer, place, tally)
        except (UsageError, StoreError) as problem:
            tally.note(path_name(place), 0, problem.message, skipped=False)
        tell(place.stat().st_size)

    places = [place for root in roots for place in find_places(root)]
    return run_files(store, list(dict.fromkeys(places)), take, progress=progress, dry_run=dry_run)


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    """Where opencode keeps its sessions; UsageError when it is not there."""
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share").expanduser()
    root = data / "opencode"
    if not root.is_dir():
        raise UsageError(f"no opencode sessions here: there is no {root}", hint=_HINT)
    return root


def find_places(path: Path) -> list[Path]:
    """The `storage` folders and databases at or in `path`, folders first. UsageError when there are none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"there is nothing at {path}", hint=_HINT)
    folders = [path] if _is_storage(path) else [path / "storage", *sorted(path.glob("project/*/storage"))]
    found = [folder for folder in folders if _is_storage(folder)] + sorted(path.glob("opencode*.db"))
    if not found:
        raise UsageError(f"{path} holds no opencode sessions", hint=_HINT)
    return found


def _is_storage(folder: Path) -> bool:
    return (folder / "session").is_dir()


def _import(writer: SessionWriter, place: Path, tally: Tally) -> None:
    if place.is_dir():
        _write(writer, place, legacy.sessions(place), tally)
        return
    with database.reading(place) as db:
        _write(writer, place, database.sessions(db), tally)


def _write(writer: SessionWriter, place: Path, found: list[Stored], tally: Tally) -> None:
    name = path_name(place.resolve())
    for stored in found:
        source = f"{HARNESS}:{name}#{stored.session.id}"
        done = writer.write(path_name(place), source, stored.session.stamp, partial(session_of, stored))
        done.files = 0
        tally.take(done)
    tally.files += 1
