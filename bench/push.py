"""A first push beside `restic backup` and `borg create` of the same nodes as files, and one PUT per node; several rounds.

    python -m bench.push [--nodes 20000] [--rounds 5] [--each-rounds 1] [--corpus mix|prose] [--out FOLDER]

All write to this disk. Tapes starts from its local store, the others from files in the page cache; all compress, encrypt and
hash. CPU is user + system of all processes. `prose` is bench/corpus.py: random words, so that little repeats and bytes weigh more
than nodes. With --out, the first push is profiled by pyinstrument (`pip install pyinstrument`) into FOLDER/push.speedscope.json,
for speedscope.app.
"""

import argparse
import gc
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import zstandard

from bench.corpus import Corpus
from bench.mix import Mix
from crypto.sealing import Kind, SealKey, seal
from store.directory import DirectoryStore
from store.eras import hash_bucket
from store.limits import zstd_level_push
from store.local import LocalStore
from store.metering import MeteredStore
from store.node_parse import node_from_bytes
from tests.actors import founded
from tests.laptops import Laptop


@dataclass(frozen=True, slots=True)
class Run:
    """One backup of all nodes."""

    seconds: float
    cpu_seconds: float
    stored_bytes: int


def _cpu_seconds() -> float:
    every = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in every)


def _run(work: Callable[[], object], folder: Path) -> Run:
    begun, cpu = time.perf_counter(), _cpu_seconds()
    work()
    seconds, cpu = time.perf_counter() - begun, _cpu_seconds() - cpu
    return Run(seconds, cpu, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


@contextmanager
def _profiled(out: Path | None) -> Iterator[None]:
    if out is None:
        yield
        return
    from pyinstrument import Profiler  # type: ignore[import-not-found]  # noqa: PLC0415 - only for who asks
    from pyinstrument.renderers import SpeedscopeRenderer  # type: ignore[import-not-found]  # noqa: PLC0415

    with Profiler(interval=0.001) as profiler:
        yield
    out.mkdir(exist_ok=True)
    (out / "push.speedscope.json").write_text(profiler.output(SpeedscopeRenderer()))
    (out / "push.txt").write_text(profiler.output_text(unicode=True, show_all=False))


def _tapes(nodes: Path, work: Path, out: Path | None) -> Run:
    store = MeteredStore(DirectoryStore(work / "bucket"))
    owner = founded(store, work / "ana")
    shutil.copy(nodes, work / "ana" / "tapes.db")
    ana = Laptop(owner, work / "ana")
    before = store.traffic()
    with _profiled(out):
        run = _run(ana.provider.sync, work / "bucket")
    print(f"  tapes: {store.traffic().puts - before.puts} PUTs")
    ana.close()
    return run


def _restic(files: Path, work: Path) -> Run:
    environment = {**os.environ, "RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": str(work / "cache")}
    subprocess.run(["restic", "-q", "init", "-r", str(work / "repo")], env=environment, check=True)
    command = ["restic", "-q", "backup", "-r", str(work / "repo"), str(files)]
    return _run(lambda: subprocess.run(command, env=environment, check=True), work / "repo")


def _borg(files: Path, work: Path) -> Run:
    environment = {**os.environ, "BORG_PASSPHRASE": "x", "BORG_BASE_DIR": str(work)}
    init = ["borg", "init", "-e", "repokey", f"{work}/repo"]
    subprocess.run(init, env=environment, check=True, stderr=subprocess.DEVNULL)
    command = ["borg", "create", "-C", f"zstd,{zstd_level_push}", f"{work}/repo::a", str(files)]
    return _run(lambda: subprocess.run(command, env=environment, check=True), work / "repo")


def _put_each(files: Path, work: Path) -> Run:
    """The plain design: each node compressed, sealed, and put under the digest of its bytes."""
    store, key = DirectoryStore(work / "each"), SealKey(bytes(32), bytes(16), 1, os.urandom(32))
    press = zstandard.ZstdCompressor(level=zstd_level_push)

    def put() -> None:
        for file in files.rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                node = node_from_bytes(data, file.name, verify=False)
                if hash_bucket(node.bucket, node.parent_hash) != file.name:
                    raise ValueError(file.name)
                sealed = seal(key, Kind.FRAME, press.compress(data))
                store.put_if_absent(f"nodes/{sha256(sealed).hexdigest()}", sealed)

    return _run(put, work / "each")


def _fill(path: Path, files: Path, count: int, corpus: str) -> int:
    """The nodes as a local store and as files; their bytes."""
    source = Mix().sessions(count) if corpus == "mix" else Corpus().sessions(count)
    size = 0
    with LocalStore.open(path) as local:
        for number, session in enumerate(source):
            local.add(session)
            folder = files / f"{number:05d}"
            folder.mkdir(parents=True)
            for node in session:
                data = local.get_bytes(node.hash) or b""
                (folder / node.hash).write_bytes(data)
                size += len(data)
    return size


def _spread(values: list[float]) -> str:
    return f"{min(values):7.2f} {statistics.median(values):7.2f} {max(values):7.2f}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--corpus", choices=["mix", "prose"], default="mix")
    parser.add_argument(
        "--each-rounds", type=int, default=1, help="rounds with one PUT per node: minutes each"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    gc.set_threshold(10_000)  # as every command does
    with tempfile.TemporaryDirectory() as folder:
        nodes, files = Path(folder) / "nodes.db", Path(folder) / "files"
        size = _fill(nodes, files, options.nodes, options.corpus)
        runs: dict[str, list[Run]] = {}
        for number in range(options.rounds):
            work = Path(folder) / f"round-{number}"
            made = {
                "tapes": lambda place, out=options.out if number == 0 else None: _tapes(nodes, place, out),
                "restic backup": lambda place: _restic(files, place),
                "borg create": lambda place: _borg(files, place),
                "one PUT per node": lambda place: _put_each(files, place),
            }
            if number >= options.each_rounds:
                del made["one PUT per node"]
            for label, run in made.items():
                place = work / label.split(" ", maxsplit=1)[0]
                place.mkdir(parents=True)
                runs.setdefault(label, []).append(run(place))
            shutil.rmtree(work)
        _print(runs, options.nodes, size)


def _print(runs: dict[str, list[Run]], nodes: int, size: int) -> None:
    ours = [(run.seconds, run.cpu_seconds, run.stored_bytes) for run in runs["tapes"]]
    print(
        f"{nodes} nodes, {size / 1e6:.1f} MB of JSON, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    heads = ("seconds: min  median    max", "CPU: min  median     max", "stored")
    print(f"{'':18}{heads[0]:>26}{heads[1]:>26}{heads[2]:>10}    of ours: time, CPU; ours of its bytes")
    for label, rounds in runs.items():
        times = [run.seconds / our[0] for run, our in zip(rounds, ours, strict=False)]
        cpus = [run.cpu_seconds / our[1] for run, our in zip(rounds, ours, strict=False)]
        stored = rounds[-1].stored_bytes
        walls, busy = _spread([run.seconds for run in rounds]), _spread([run.cpu_seconds for run in rounds])
        ratios = (
            f"{statistics.median(times):5.2f}x {statistics.median(cpus):5.2f}x   {ours[-1][2] / stored:.2f}"
        )
        print(f"{label:18}{walls}   {busy}  {stored / 1e6:7.1f} MB   {ratios}")
    cpu = statistics.median([our[1] for our in ours])
    print(f"push: {size / 1e6 / cpu:.0f} MB/s of node JSON a core, {cpu / nodes * 1e6:.0f} us of CPU a node")


if __name__ == "__main__":
    main()
