"""How everything grows: import, push, a new member's pull, its first session, all bytes, verify, and syncs with nothing to do.

    python -m bench.scale [--nodes 20000 100000] [--s3] [--rounds 5] [--work FOLDER] [--cloud] [--logs FOLDER]
    python -m bench.scale --table                      of the newest run of each size in bench/out/scale.jsonl

With --cloud the phases are those of one device that keeps nothing. --logs has one folder of bench/claude_mix.py for each size.
Each phase is the real command in a process of its own (bench/measured.py), over bench/mix.py written as Claude Code logs. The
bucket is a folder, or LocalStack's S3. Short phases run several rounds: the median counts, least and most are kept. The last
column is the log-log slope from the smallest size to the largest: 1 is linear, 0 is not growing.
"""

import argparse
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.mix import SEED
from store.local import LocalStore
from tests.services.shared import running

HOUSE: Final = Path(__file__).parents[1]
OUT: Final = HOUSE / "bench" / "out" / "scale.jsonl"
_mib = 1 << 20
_turns_of_a_day: Final = 1000
Measure = dict[str, Any]


@dataclass(slots=True)
class Bench:
    """One size: two homes, one bucket, and what was measured."""

    work: Path
    bucket: str
    environment: Mapping[str, str]
    rounds: int
    common: Measure
    measures: list[Measure] = field(default_factory=list)

    def home(self, name: str) -> dict[str, str]:
        """A person's environment; nothing of the user's own leaks in."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TAPES_")}
        return {**kept, **self.environment, "TAPES_HOME": str(self.work / name), "PYTHONPATH": str(HOUSE)}

    def tapes(self, who: str, *words: str) -> str:
        """A command that is not measured."""
        done = subprocess.run(
            [sys.executable, "-m", "tapes", *words], env=self.home(who), check=True, capture_output=True
        )
        return done.stdout.decode()

    def phase(self, phase: str, who: str, *words: str, rounds: int = 1) -> None:
        """Run a command and keep what it cost: the round of median time, with the least and the most."""
        costs = sorted((self._once(who, words) for _ in range(rounds)), key=lambda cost: cost["seconds"])
        spread = {"least_seconds": costs[0]["seconds"], "most_seconds": costs[-1]["seconds"]}
        self.keep(phase, {**costs[rounds // 2], **spread})

    def keep(self, phase: str, measure: Measure) -> None:
        """Append a line to the file of all runs."""
        line = {**self.common, "phase": phase, "load": round(os.getloadavg()[0], 1), **measure}
        self.measures.append(line)
        OUT.parent.mkdir(exist_ok=True)
        with OUT.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(
            f"{line['nodes']:>8} {phase:22}{line.get('seconds', 0):9.2f} s  {line.get('peak_mib', 0):6.0f} MiB",
            flush=True,
        )

    def begin(self, who: str, *words: str) -> "tuple[subprocess.Popen[bytes], Path, float]":
        """Start a measured command."""
        cost = self.work / f"cost-{who}-{'-'.join(words).strip('-')[:20].replace('/', '_')}.json"
        command = [sys.executable, "-m", "bench.measured", str(cost), *words]
        began = time.perf_counter()
        return (
            subprocess.Popen(command, env=self.home(who), stdout=subprocess.DEVNULL, cwd=HOUSE),
            cost,
            began,
        )

    def end(self, begun: "tuple[subprocess.Popen[bytes], Path, float]") -> Measure:
        """Its cost; seconds are those of the whole process, the interpreter's start included."""
        process, cost, began = begun
        code = process.wait()
        seconds = time.perf_counter() - began
        if code:
            raise SystemExit(f"{process.args!r} ended with {code}")
        measure: Measure = json.loads(cost.read_text())
        return {**measure, "inside_seconds": measure["seconds"], "seconds": seconds}

    def _once(self, who: str, words: tuple[str, ...]) -> Measure:
        return self.end(self.begin(who, *words))


def _found(bench: Bench, who: str) -> None:
    bench.tapes(who, "init", "--yes", "--name", who, "--kit-out", str(bench.work / f"{who}.kit"))


def _owner(bench: Bench, logs: Path) -> None:
    _found(bench, "ana")
    bench.phase("import claude", "ana", "import", "claude", str(logs))
    bench.common |= _local_figures(bench.work / "ana" / "tapes.db")
    bench.tapes("ana", "storage", "configure", "--bucket", bench.bucket)
    bench.tapes("ana", "config", "set", "default-visibility", "team")
    bench.tapes("ana", "team", "create", "Scale")
    bench.phase("push", "ana", "storage", "sync")
    bench.phase("sync, nothing new", "ana", "storage", "sync", rounds=bench.rounds)
    bench.phase("idle look", "ana", "idle", rounds=bench.rounds)
    bench.phase("storage status", "ana", "storage", "status", rounds=bench.rounds)
    bench.phase("show, the author's", "ana", "show", _some_session(bench), rounds=bench.rounds)
    _go_on(bench)
    _join(bench, "ben", measured=True)
    _join(bench, "cleo")


def _keeper_of_nothing(bench: Bench, logs: Path) -> None:
    _found(bench, "ana")
    bench.tapes("ana", "storage", "configure", "--bucket", bench.bucket)
    bench.tapes("ana", "config", "set", "default-visibility", "team")
    bench.tapes("ana", "team", "create", "Scale")
    bench.tapes("ana", "storage", "set-provider", "cloud")
    bench.phase("import claude", "ana", "import", "claude", str(logs))
    bench.keep("home after import", _sizes(bench.work / "ana"))
    bench.phase("import, nothing new", "ana", "import", "claude", str(logs))
    bench.phase("sessions", "ana", "sessions", rounds=bench.rounds)
    shown = json.loads(bench.tapes("ana", "sessions", "--json"))["sessions"]
    bench.phase("show", "ana", "show", shown[0]["id"], rounds=bench.rounds)


def _write_logs(folder: Path, nodes: int, seed: int) -> None:
    # A process of its own: what this one holds would count as the least memory of all that it starts.
    command = [sys.executable, "-m", "bench.claude_mix", str(folder), str(nodes), str(seed)]
    subprocess.run(command, check=True, cwd=HOUSE)


def _some_session(bench: Bench) -> str:
    with LocalStore.open(bench.work / "ana" / "tapes.db") as local:
        return next(local.leaves())


def _go_on(bench: Bench) -> None:
    """The author's day after: a few sessions more."""
    more = bench.work / "more"
    _write_logs(more, _turns_of_a_day, SEED + 1)
    bench.phase("import 1,000 more", "ana", "import", "claude", str(more))
    bench.phase("sync 1,000 more", "ana", "storage", "sync")


def _join(bench: Bench, who: str, *, measured: bool = False) -> None:
    """The log is verified once a join ends."""
    _found(bench, who)
    link = bench.work / f"{who}.link"
    link.write_text(bench.tapes("ana", "team", "invite"))
    words = ("team", "join", "--link-file", str(link))
    if measured:
        bench.phase("join", who, *words)
    else:
        bench.tapes(who, *words)


def _reader(bench: Bench) -> None:
    bench.phase("pull", "ben", "storage", "sync")
    bench.keep("home after pull", _sizes(bench.work / "ben"))
    pulling, first = bench.begin("cleo", "storage", "sync"), bench.begin("cleo", "first")
    bench.keep("first session", bench.end(first))
    bench.end(pulling)
    shown = json.loads(bench.tapes("ben", "sessions", "--json"))["sessions"]
    bench.phase("show, not here yet", "ben", "show", shown[0]["id"])
    bench.phase("show, again", "ben", "show", shown[0]["id"], rounds=bench.rounds)
    bench.phase("sync --full", "ben", "storage", "sync", "--full")
    bench.keep("home after --full", _sizes(bench.work / "ben"))
    bench.phase("sync, nothing, reader", "ben", "storage", "sync", rounds=bench.rounds)
    bench.phase("verify", "ben", "verify")


def _local_figures(path: Path) -> Measure:
    with sqlite3.connect(path) as database:
        nodes, size, conversations = database.execute(
            "SELECT count(*), sum(stored_bytes), count(DISTINCT conversation) FROM nodes"
        ).fetchone()
    return {"stored_nodes": nodes, "json_bytes": size, "conversations": conversations}


def _sizes(folder: Path) -> Measure:
    """Bytes and files by the folder's first level."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    by_name: dict[str, int] = {}
    for path in files:
        name = path.relative_to(folder).parts[0]
        by_name[name] = by_name.get(name, 0) + path.stat().st_size
    return {"bytes": by_name, "files": len(files)}


@contextmanager
def _bucket(work: Path, *, s3: bool) -> Iterator[tuple[str, Mapping[str, str]]]:
    if not s3:
        yield (work / "bucket").as_uri(), {}
        return
    with running(HOUSE / "localstack", work) as service:
        yield f"s3://{service.make_bucket()}/tapes", service.environment


def _run(nodes: int, work: Path, options: argparse.Namespace) -> None:
    logs = options.logs / str(nodes) if options.logs else work / "logs"
    if not logs.exists():
        _write_logs(logs, nodes, SEED)
    common = {
        "nodes": nodes,
        "store": _store_name(options),
        "at": int(time.time()),
        "cores": os.cpu_count(),
    }
    with _bucket(work, s3=options.s3) as (bucket, environment):
        bench = Bench(work, bucket, environment, options.rounds, common)
        (_keeper_of_nothing if options.cloud else _owner)(bench, logs)
        if not options.s3:
            bench.keep("bucket", _sizes(work / "bucket"))
        if not options.logs:
            shutil.rmtree(logs)
        if not options.cloud:
            _reader(bench)


def _store_name(options: argparse.Namespace) -> str:
    return ("s3" if options.s3 else "folder") + (", cloud" if options.cloud else "")


def _table(store: str) -> None:
    newest: dict[tuple[str, int], Measure] = {}
    for line in OUT.read_text().splitlines():
        measure = json.loads(line)
        if measure["store"] == store and "seconds" in measure:
            newest[measure["phase"], measure["nodes"]] = measure
    sizes = sorted({nodes for _, nodes in newest})
    print(f"{'':24}" + "".join(f"{nodes:>36,}" for nodes in sizes) + "   slope")
    print(f"{'':24}" + f"{'seconds   CPU s  MiB  PUT/GET/LIST':>36}" * len(sizes) + "   of CPU")
    for phase in dict.fromkeys(phase for phase, _ in newest):
        row = [newest.get((phase, nodes)) for nodes in sizes]
        print(f"{phase:24}" + "".join(map(_cell, row)) + f"{_slope(sizes, row):>9}")


def _cell(measure: Measure | None) -> str:
    if measure is None:
        return f"{'-':>36}"
    asked = f"{measure['puts']}/{measure['gets']}/{measure['lists']}"
    return f"{measure['seconds']:12.2f}{measure['cpu_seconds']:8.2f}{measure['peak_mib']:5.0f}{asked:>11}"


def _slope(sizes: list[int], row: list[Measure | None]) -> str:
    known = [(nodes, cell["cpu_seconds"]) for nodes, cell in zip(sizes, row, strict=True) if cell]
    if len(known) < 2:
        return "-"
    (few, low), (many, high) = known[0], known[-1]
    return f"{math.log(high / low) / math.log(many / few):.2f}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--cloud", action="store_true", help="one device with the provider cloud")
    parser.add_argument("--logs", type=Path, help="a folder with the logs of each size, kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, help="a folder to work in, kept; else a temporary one")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        for nodes in options.nodes:
            with tempfile.TemporaryDirectory(prefix="tapes-scale-") as folder:
                work = (options.work or Path(folder)) / str(nodes)
                work.mkdir(parents=True)
                _run(nodes, work, options)
    _table(_store_name(options))


if __name__ == "__main__":
    main()
