"""A process of its own that syncs once and stops itself (SIGSTOP) on the way; woken, it finds its clock an hour on.

python -m tests.faults.one_stopped_sync '{"home": …, "bucket": …, "prefix": "log/", "after": false}'
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from store.directory import DirectoryStore
from sync.committer import Committer
from tests.actors import client
from tests.faults.one_sync import HOUSE, read_person
from tests.faults.worlds import PRIVATE, CuttingStore
from tests.laptops import Laptop

_HOUR_MS = 3_600_000


@dataclass
class Sleeper:
    """Falls asleep when told to, and its clock shows an hour later from then on."""

    moved_ms: int = field(default=0)

    def sleep(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        self.moved_ms = _HOUR_MS

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.moved_ms


def start(home: Path, bucket: Path, prefix: str, *, after: bool) -> "subprocess.Popen[str]":
    """Start it, and return when it has stopped itself."""
    told = json.dumps({"home": str(home), "bucket": str(bucket), "prefix": prefix, "after": after})
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.one_stopped_sync", told],
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, status = os.waitpid(running.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), running.communicate()
    return running


def main() -> None:
    told = json.loads(sys.argv[1])
    sleeper, home = Sleeper(), Path(told["home"])
    store = CuttingStore(
        DirectoryStore(Path(told["bucket"])), 0, told["after"], told["prefix"], sleeper.sleep
    )
    made = client(read_person(home), store, home)
    made.committer = Committer(made.store, made.replica, made.log, made.identity, clock_ms=sleeper.now_ms)
    laptop = Laptop(made, home, PRIVATE)
    report = laptop.provider.sync()
    laptop.close()
    sys.stdout.write(json.dumps({"nodes": report.pushed_nodes, "races": report.lost_races}))


if __name__ == "__main__":
    main()
