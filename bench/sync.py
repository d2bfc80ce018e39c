"""Push and pull of a seeded corpus over a directory store, against restic and borg on the same nodes as files if they are here.

    python -m bench.sync [--nodes 20000] [--profile]

Prints one table: seconds, MB/s of node JSON, stored bytes, requests, and ratios from this one run.
"""

import argparse
import cProfile
import os
import pstats
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.corpus import Corpus
from store.directory import DirectoryStore
from store.local import LocalStore
from store.metering import MeteredStore
from sync.verify import verify
from tests.actors import founded, joined
from tests.laptops import Laptop


def _timed(label: str, rows: list[tuple[str, float]], work) -> object:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    result = work()
    rows.append((label, time.perf_counter() - start))
    return result


def _fill(store: LocalStore, nodes: int) -> int:
    for session in Corpus().sessions(nodes):
        store.add(session)
    return sum(entry.stored_bytes for entry in store.facts())


def _peer_files(store: LocalStore, folder: Path) -> None:
    folder.mkdir()
    for entry in store.facts():
        data = store.get_bytes(entry.facts.hash)
        assert data is not None  # noqa: S101 - the store just listed it
        (folder / entry.facts.hash).write_bytes(data)


def _peers(folder: Path, work: Path, rows: list[tuple[str, float]]) -> dict[str, int]:
    stored = {}
    environment = {**os.environ, "RESTIC_PASSWORD": "x", "BORG_PASSPHRASE": "x", "BORG_BASE_DIR": str(work)}
    commands = {
        "restic backup": [
            ["restic", "-q", "init", "-r", f"{work}/restic"],
            ["restic", "-q", "backup", "-r", f"{work}/restic", str(folder)],
        ],
        "borg create": [
            ["borg", "init", "-e", "repokey", f"{work}/borg"],
            ["borg", "create", "-C", "zstd,3", f"{work}/borg::a", str(folder)],
        ],
    }
    for label, (init, run) in commands.items():
        if shutil.which(init[0]) is None:
            print(f"{label}: {init[0]} is not installed, left out")
            continue
        subprocess.run(init, env=environment, check=True)
        _timed(label, rows, lambda command=run: subprocess.run(command, env=environment, check=True))
        place = work / init[0]
        stored[label] = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    return stored


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _run(options.nodes, Path(folder), profile=options.profile)


def _run(nodes: int, work: Path, *, profile: bool) -> None:
    rows: list[tuple[str, float]] = []
    store = MeteredStore(DirectoryStore(work / "bucket"))
    owner = founded(store, work / "ana")
    ana = Laptop(owner, work / "ana")
    ben = Laptop(joined(owner, store, work / "ben"), work / "ben")
    size = _timed("add to the local store", rows, lambda: _fill(ana.local, nodes))
    assert isinstance(size, int)  # noqa: S101 - for the type checker
    before = store.traffic()
    profiler = cProfile.Profile() if profile else None
    if profiler:
        profiler.enable()
    _timed("push", rows, ana.provider.sync)
    if profiler:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(18)
    pushed = store.traffic()
    _timed("push again, nothing new", rows, ana.provider.sync)
    _timed("pull on the other laptop", rows, ben.provider.sync)
    _timed("pull --full", rows, lambda: ben.provider.sync(full=True))
    _timed("verify", rows, lambda: verify(ben.client))
    stored = sum(path.stat().st_size for path in (work / "bucket").rglob("*") if path.is_file())
    files = work / "files"
    _peer_files(ana.local, files)
    peers = _peers(files, work, rows)
    print(f"{nodes} nodes, {size / 1e6:.1f} MB of JSON; push: {pushed.puts - before.puts} PUTs")
    for label, seconds in rows:
        print(f"{label:28} {seconds:8.2f} s {size / seconds / 1e6:9.1f} MB/s")
    push = dict(rows)["push"]
    for label, peer_bytes in peers.items():
        print(
            f"{label}: {dict(rows)[label] / push:.1f} x our push time, our bytes {stored / peer_bytes:.2f} x its"
        )
    print(f"stored {stored / 1e6:.1f} MB ({size / stored:.1f}x smaller), peak RSS "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
