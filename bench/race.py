"""How many commits one log bears: writers in threads who each push again and again, over a folder some milliseconds away.

python -m bench.race [--writers 1 4 16] [--pushes 6] [--latency-ms 30]
"""

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench.latent import LatentStore
from store.directory import DirectoryStore
from store.metering import MeteredStore
from sync.identity import Identity
from tests.actors import Person, client, founded, joined
from tests.laptops import Laptop, conversation


@dataclass(slots=True)
class Done:
    """What one writer did."""

    commits: int = 0
    lost: int = 0
    puts: int = 0


def _write(bucket: Path, home: Path, who: Identity, done: Done, options: argparse.Namespace) -> None:
    store = MeteredStore(LatentStore(DirectoryStore(bucket), options.latency_ms / 1000))
    laptop = Laptop(client(Person(None, who), store, home), home)  # type: ignore[arg-type]
    for number in range(options.pushes):
        laptop.local.add(conversation(f"{home.name} {number}", 4))
        report = laptop.provider.sync()
        done.commits += report.pushed_commits
        done.lost += report.lost_races
    done.puts = store.traffic().puts
    laptop.close()


def _race(writers: int, work: Path, options: argparse.Namespace) -> None:
    bucket = work / "bucket"
    owner = founded(DirectoryStore(bucket), work / "owner")
    threads, every = [], [Done() for _ in range(writers)]
    for number, done in enumerate(every):
        home = work / f"writer-{number}"
        member = joined(owner, DirectoryStore(bucket), home, home.name)
        member.close()
        threads.append(threading.Thread(target=_write, args=(bucket, home, member.identity, done, options)))
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    commits = sum(done.commits for done in every)
    lost, puts = sum(done.lost for done in every) / commits, sum(done.puts for done in every) / commits
    rate = f"{commits} commits, {commits / seconds:.2f}/s"
    print(f"{writers:4} writers: {rate}, lost races {lost:.1f} and PUTs {puts:.1f} a commit")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--pushes", type=int, default=6)
    parser.add_argument("--latency-ms", type=float, default=30)
    options = parser.parse_args()
    for writers in options.writers:
        with tempfile.TemporaryDirectory() as folder:
            _race(writers, Path(folder), options)


if __name__ == "__main__":
    main()
