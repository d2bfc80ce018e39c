"""How long importing Claude Code logs takes, as a ratio to one json.loads pass over the same lines in the same run.

    .venv/bin/python bench/claude_import.py [--sessions N] [--turns N] [--words N] [--rounds N] [--profile]

The logs are made up by tests/claude_logs.py with texts of up to --words words. Goal: 4 times the parse, or less. Seconds are of
the processor: how long the disk or other programs keep the import waiting is another question.
"""

import argparse
import cProfile
import json
import pstats
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from store.local import LocalStore
from tapes.importers.claude.run import import_claude
from tests import claude_logs

TEXT_WORDS_MAX = (
    600  # a tool result or answer of a few KB; sessions that read whole files have ten times that
)


@dataclass
class LongWorld(claude_logs.World):
    """A world whose texts are as long as real ones."""

    words_max: int = TEXT_WORDS_MAX

    def words(self) -> str:
        """Some text."""
        return " ".join(self.rng.choices(claude_logs.WORDS, k=self.rng.randint(5, self.words_max)))


def write_logs(root: Path, sessions: int, turns: int, words_max: int = TEXT_WORDS_MAX) -> None:
    """Sessions without broken lines: they would cost the parse less than the import."""
    world = LongWorld(random.Random(1), words_max=words_max)
    for _ in range(sessions):
        log = claude_logs.Log(world, world.uuid(), "/home/kim/bench")
        log.turns(turns)
        log.lines = [line for line in log.lines if isinstance(line, dict)]
        path = root / "-home-kim-bench" / f"{log.session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(log.data())


def parse_seconds(root: Path) -> tuple[float, int, int]:
    """Seconds of one json.loads pass, lines and bytes."""
    lines = [line for path in root.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    begin = time.process_time()
    for line in lines:
        json.loads(line)
    return time.process_time() - begin, len(lines), sum(map(len, lines))


def import_seconds(root: Path, folder: Path) -> float:
    """Seconds of one import into a fresh store."""
    with LocalStore.open(folder / "tapes.db") as store:
        begin = time.process_time()
        report = import_claude(store, [root])
        seconds = time.process_time() - begin
    if report.errors:
        raise SystemExit(f"the logs were to be whole: {report.errors[0]}")
    return seconds


def again_seconds(root: Path, folder: Path) -> float:
    """Seconds of an import that finds nothing new."""
    with LocalStore.open(folder / "tapes.db") as store:
        begin = time.process_time()
        import_claude(store, [root])
        return time.process_time() - begin


def main() -> None:
    """Measure, print, and with --profile say where the time goes."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--sessions", type=int, default=20)
    options.add_argument("--turns", type=int, default=50)
    options.add_argument("--words", type=int, default=TEXT_WORDS_MAX)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--profile", action="store_true")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "projects")
        write_logs(root, chosen.sessions, chosen.turns, chosen.words)
        parses, imports, agains = [], [], []
        profile = cProfile.Profile()
        for number in range(chosen.rounds):
            folder = Path(scratch, f"home{number}")
            folder.mkdir()
            seconds, lines, size = parse_seconds(root)
            parses.append(seconds)
            imports.append(import_seconds(root, folder))
            agains.append(again_seconds(root, folder))
        print(
            f"{lines} lines, {size / 1e6:.1f} MB; {chosen.rounds} rounds; times the parse of the same round"
        )
        for name, taken in (("parse", parses), ("import", imports), ("again", agains)):
            ratios = [seconds / parse for seconds, parse in zip(taken, parses, strict=True)]
            print(
                f"{name:7} {min(taken):8.3f} s  {size / 1e6 / min(taken):7.1f} MB/s"
                f"   min {min(ratios):.2f}  median {median(ratios):.2f}  max {max(ratios):.2f} x"
            )
        if chosen.profile:
            folder = Path(scratch, "profiled")
            folder.mkdir()
            profile.runcall(import_seconds, root, folder)
            pstats.Stats(profile).sort_stats("cumtime").print_stats(45)


if __name__ == "__main__":
    main()
