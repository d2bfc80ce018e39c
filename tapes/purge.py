"""Removing what this device holds of a team: all but its own turns, its identity and its settings.

Saved filters go, as the history of queries does: a line may name the team's people and projects, or quote what was said. Who
wants to keep some reads them first (`tapes filter list`); a dry run names the file.

A mark comes first and goes last. A kill in between leaves the mark: whatever would read or refill what is half gone refuses, and
the same command goes on where it was. Files are unlinked; what a disk keeps of them is for its encryption.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import TapesError
from tapes.config import Config
from tapes.home import Home

# Settings that lead to the team's bucket.
_LEADS = ("storage.bucket", "storage.endpoint_url", "storage.region")
_LEFT_BY_KILLS = (
    (".rescue-*", "an interrupted rescue"),
    (".filters.json.*", "filters, from an interrupted save"),
    (".watching.json.new", "what a watch did, from an interrupted write"),
    (".config.toml.*", "settings, from an interrupted change"),
    (".tapes-sync.toml.*", "settings, from an interrupted change"),
)


@dataclass(frozen=True, slots=True)
class Held:
    """A file or folder that a purge removes, with all in it."""

    path: Path
    about: str
    bytes: int


def held(home: Home) -> list[Held]:
    """What is here of the team, in the order in which it goes: the log last, since it tells what the rest was."""
    return [Held(path, about, _size(path)) for path, about in _parts(home) if path.exists()]


def purge(home: Home, config: Config) -> None:
    """Remove it. Call it as the home's only writer, with its databases closed; again after a kill."""
    try:
        _mark(home)
        for each in held(home):
            if each.path.is_dir():
                shutil.rmtree(each.path)
            else:
                each.path.unlink(missing_ok=True)
        config.set({"storage.provider": "local", **dict.fromkeys(_LEADS)})
        _sync_folder(home.path)  # what the mark vouches for is on the disk before the mark goes
        home.purging.unlink(missing_ok=True)
    except OSError as error:
        raise TapesError(
            f"the purge stopped: {error.filename}: {error.strerror}",
            hint="mend that, then run the same command again",
        ) from None


def _parts(home: Home) -> Iterator[tuple[Path, str]]:
    yield home.cache, "ciphertext pulled from the bucket"
    yield home.index, "word index and kept catalog, own words and sessions included"
    yield home.evidence, "proofs against a bucket"
    yield home.path / "sql_history", "queries typed, which may quote what they look for"
    yield home.filters, "saved filters, which may name people, projects and words"
    yield home.watch_log, "what the watch said, as launchd keeps it"
    yield home.watch_state, "what the watch did; one that runs writes anew what it does now"
    yield home.crashes, "descriptions of crashes, which may quote data"
    for pattern, about in _LEFT_BY_KILLS:
        for left in sorted(home.path.glob(pattern)):
            yield left, about
    for suffix in ("-wal", "-shm", ""):
        yield (
            home.replica.with_name(home.replica.name + suffix),
            "the team's log, and what was derived from it",
        )


def _mark(home: Home) -> None:
    with os.fdopen(os.open(home.purging, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        os.fsync(file.fileno())
    _sync_folder(home.path)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
