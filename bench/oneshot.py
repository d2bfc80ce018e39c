"""What one command costs in a home without `tapes watch`: when it makes the kept catalog, and when it goes on from it.

    python -m bench.scale --nodes 1000000 --work FOLDER        a home: FOLDER/1000000/ben
    python -m bench.oneshot FOLDER/1000000/ben [ROUNDS]

Each command is a process of its own (bench/measured.py), Python's start included; the word index is brought up to date before.
The ratio is of CPU seconds, the catalog deleted before each run of the first kind: the machine may be busy.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from query.catalog_keeper import forget

commands = (
    ("sessions", "--limit", "20"),
    ("sessions", "--limit", "20", "--has", "error"),
    ("search", "return"),
    ("search", "qqzz"),
    ("stats", "--json"),
    ("sql", "select count(*) from nodes"),
)


def cost_of(home: Path, words: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """One run."""
    file = folder / "cost.json"
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench.measured", str(file), *words],
        env={**os.environ, "TAPES_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    return {**json.loads(file.read_text()), "whole_seconds": time.perf_counter() - began}


def told(costs: list[dict[str, Any]]) -> tuple[str, float]:
    """The medians, and that of CPU."""
    wall, cpu, peak = (
        statistics.median(cost[name] for cost in costs)
        for name in ("whole_seconds", "cpu_seconds", "peak_mib")
    )
    return f"{wall:6.2f} s wall {cpu:6.2f} s CPU {peak:6.0f} MiB", cpu


def main() -> None:
    """Run and print."""
    home, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with TemporaryDirectory() as folder:
        cost_of(home, ("search", "return"), Path(folder))
        for words in commands:
            anew = []
            for _ in range(rounds):
                forget(home / "index")
                anew.append(cost_of(home, words, Path(folder)))
            kept = [cost_of(home, words, Path(folder)) for _ in range(rounds)]
            (first, slow), (second, quick) = told(anew), told(kept)
            print(f"{' '.join(words):32} anew {first}   kept {second}   {slow / quick:5.1f}", flush=True)
        stored = sum(file.stat().st_size for file in (home / "index").glob("catalog*"))
        print(f"catalog {stored / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
