"""From an import to another laptop's verify: time, requests, bytes and peak memory of each step, each in a process of its own.

    python -m bench.endtoend [--nodes 20000] [--latency-ms 0]

Steps: fill a local store (bench/mix.py, streamed); push; push again with nothing new; a poll; on another laptop the pull of all
manifests, one session, all packs, and verify. The bucket is a folder, `--latency-ms` away. Peak memory is of the whole step's
process, Python and libraries included. The corpus is generated in the first step: its time is not that of the store alone.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.latent import LatentStore
from bench.mix import Mix
from query.source import open_source
from query.transcript import load
from store.directory import DirectoryStore
from store.local import LocalStore
from store.metering import MeteredStore
from sync.verify import verify
from tests.actors import Person, client, founded, joined, person
from tests.laptops import Laptop


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything lies, and who the two people are."""

    folder: Path
    ana: Person
    ben: Person
    latency_seconds: float

    def store(self) -> MeteredStore:
        """The bucket, at its distance."""
        return MeteredStore(LatentStore(DirectoryStore(self.folder / "bucket"), self.latency_seconds))


def _fill(place: Place, nodes: int) -> None:
    with LocalStore.open(place.folder / "ana" / "tapes.db") as local:
        for session in Mix().sessions(nodes):
            local.add(session)


def _sync(place: Place, who: Person, home: str, *, full: bool = False) -> None:
    store = place.store()
    laptop = Laptop(client(who, store, place.folder / home), place.folder / home)
    begun = time.perf_counter()
    report = laptop.provider.sync(full=full)
    said = f"pushed {report.pushed_nodes}, pulled {report.pulled_nodes}, frames {report.fetched_frames}"
    _told(begun, store, said)


def _poll(place: Place) -> None:
    store = place.store()
    made = client(place.ana, store, place.folder / "ana")
    begun = time.perf_counter()
    made.log.catch_up()
    _told(begun, store, "")


def _one_session(place: Place) -> None:
    store = place.store()
    laptop = Laptop(client(place.ben, store, place.folder / "ben"), place.folder / "ben")
    begun = time.perf_counter()
    with open_source(None, laptop.client) as source:
        [(head,)] = source.engine.all("SELECT hex(hash) FROM rows ORDER BY id DESC LIMIT 1")
        turns = len(load(source, head.lower()))
    _told(begun, store, f"{turns} turns")


def _verify(place: Place) -> None:
    store = place.store()
    made = client(place.ben, store, place.folder / "ben")
    begun = time.perf_counter()
    report = verify(made)
    _told(begun, store, f"{report.checked['nodes']} nodes re-hashed, {len(report.findings)} findings")


def _told(begun: float, store: MeteredStore, said: str) -> None:
    seconds, traffic = time.perf_counter() - begun, store.traffic()
    requests = f"{traffic.puts} PUT {traffic.gets} GET {traffic.lists} LIST"
    moved = f"{traffic.up_bytes / 1e6:.1f} MB up {traffic.down_bytes / 1e6:.1f} down"
    print(f"  {seconds:8.2f} s   {requests:28} {moved:28} {said}", flush=True)


def _step(label: str, work: Callable[[], None]) -> None:
    """In a child, so that its memory is its own."""
    print(label, flush=True)
    begun = time.perf_counter()
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    seconds, cpu = time.perf_counter() - begun, usage.ru_utime + usage.ru_stime
    print(f"  {seconds:8.2f} s in all, {cpu:.2f} s of CPU, peak {usage.ru_maxrss / 1024:.0f} MiB", flush=True)
    if status:
        raise SystemExit(f"{label}: failed")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--latency-ms", type=float, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), person("ana"), person("ben"), options.latency_ms / 1000)
        _found(place)
        steps: dict[str, Callable[[], None]] = {
            f"fill a local store with {options.nodes} nodes": lambda: _fill(place, options.nodes),
            "push": lambda: _sync(place, place.ana, "ana"),
            "push again, nothing new": lambda: _sync(place, place.ana, "ana"),
            "poll": lambda: _poll(place),
            "pull the manifests on another laptop": lambda: _sync(place, place.ben, "ben"),
            "one session there": lambda: _one_session(place),
            "pull everything": lambda: _sync(place, place.ben, "ben", full=True),
            "verify": lambda: _verify(place),
        }
        for label, work in steps.items():
            _step(label, work)
        stored = sum(path.stat().st_size for path in (Path(folder) / "bucket").rglob("*") if path.is_file())
        print(f"stored {stored / 1e6:.1f} MB; peak of this process before any step "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB; load {os.getloadavg()[0]:.1f}")  # fmt: skip


def _found(place: Place) -> None:
    """The team, with both in it."""
    near = DirectoryStore(place.folder / "bucket")
    owner = founded(near, place.folder / "ana", place.ana)
    joined(owner, near, place.folder / "ben", place.ben).close()
    owner.close()


if __name__ == "__main__":
    main()
