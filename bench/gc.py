"""gc over a million listed objects: seconds, and that memory does not grow with their number.

    python -m bench.gc [--objects 1000000]

The bucket is one that makes its list up: old unnamed packs, every tenth of them named by commits that the replica knows. Two
sizes are run, each in a process of its own, so that the peaks can be compared.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from store import events
from store.blobs import BlobInfo
from sync.client import Client
from sync.committer import Committer
from sync.drafts import Content, DraftContext, draft
from sync.gc import collect, day_ms
from tests.actors import NOW_MS, founded
from tests.fakes.strict_store import StrictStore

named_each = 10


class EndlessStore(StrictStore):
    """A strict store with a million packs that are nowhere."""

    def __init__(self, objects: int) -> None:
        super().__init__()
        self.objects = objects
        self.deleted = 0

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """Made-up packs with base 0, in order."""
        if prefix != "packs/":
            yield from super().list(prefix, start_after)
            return
        for number in range(self.objects):
            yield BlobInfo(pack_name(number), 1000)

    def delete(self, name: str) -> None:
        """Counted."""
        assert int(name[-64:], 16) % named_each  # noqa: S101 - a named one would be the end of the bench
        self.deleted += 1


def pack_name(number: int) -> str:
    """The made-up pack's name."""
    return f"packs/{0:012d}/{number:064x}"


def _at(made: Client, ms: int) -> Client:
    made.committer = Committer(made.store, made.replica, made.log, made.identity, clock_ms=lambda: ms)
    return made


def _name_some(made: Client, objects: int) -> None:
    """Let the replica know every tenth pack as named, as if commits had said so."""
    rows = (("pack", 0, number.to_bytes(32), 1000, 0) for number in range(0, objects, named_each))
    with made.replica.transaction():
        made.replica._db.executemany(  # noqa: SLF001 - a hundred thousand commits are another bench
            "INSERT INTO named(kind, base, sha256, bytes, seq) VALUES (?,?,?,?,?)", rows
        )


def _run(objects: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = EndlessStore(objects)
        owner = _at(founded(store, Path(folder)), NOW_MS)

        def drafter(context: DraftContext) -> bytes:
            key = owner.keychain.newest(owner.roster, owner.roster.team_space)
            return draft(context, owner.roster.team, key, Content([events.Rewrap(type="rewrap", grants=[])]))

        for _ in range(3):
            owner.commit(drafter)
        _name_some(owner, objects)
        _at(owner, NOW_MS + 30 * day_ms)
        start = time.perf_counter()
        report = collect(owner)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert (report.deleted, report.kept) == (store.deleted, len(range(0, objects, named_each)))  # noqa: S101
    print(
        f"{objects:9d} listed, {report.kept} kept, {report.deleted} deleted: {seconds:6.1f} s,"
        f" {objects / seconds:9.0f} objects/s, peak RSS {peak:.0f} MB"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--alone", action="store_true", help="this size only, in this process")
    options = parser.parse_args()
    if options.alone:
        _run(options.objects)
        return
    for objects in (options.objects // 10, options.objects):
        command = [sys.executable, "-m", "bench.gc", "--alone", "--objects", str(objects)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
