"""How long importing Claude Code logs takes, as a ratio to one json.loads pass over the same lines in the same run.

    .venv/bin/python bench/claude_import.py [--sessions N] [--turns N] [--profile]

The logs are made up by tests/claude_logs.py with texts of realistic length. Goal: 4 times the parse, or less.
"""

import argparse
import cProfile
import json
import pstats
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from store.local import LocalStore
from tapes.importers.claude.run import import_claude
from tests import claude_logs

ROUNDS = 3
TEXT_WORDS_MAX = 600  # a tool result or answer of a few KB, as in real logs


class LongWorld(claude_logs.World):
    """A world whose texts are as long as real ones."""

    def words(self) -> str:
        """Some text."""
        return " ".join(self.rng.choices(claude_logs.WORDS, k=self.rng.randint(5, TEXT_WORDS_MAX)))


def write_logs(root: Path, sessions: int, turns: int) -> None:
    """Sessions without broken lines: they would cost the parse less than the import."""
    world = LongWorld(random.Random(1))
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
    begin = time.perf_counter()
    for line in lines:
        json.loads(line)
    return time.perf_counter() - begin, len(lines), sum(map(len, lines))


def import_seconds(root: Path, folder: Path) -> float:
    """Seconds of one import into a fresh store."""
    with LocalStore.open(folder / "tapes.db") as store:
        begin = time.perf_counter()
        report = import_claude(store, [root])
        seconds = time.perf_counter() - begin
    if report.errors:
        raise SystemExit(f"the logs were to be whole: {report.errors[0]}")
    return seconds


def again_seconds(root: Path, folder: Path) -> float:
    """Seconds of an import that finds nothing new."""
    with LocalStore.open(folder / "tapes.db") as store:
        begin = time.perf_counter()
        import_claude(store, [root])
        return time.perf_counter() - begin


def main() -> None:
    """Measure, print, and with --profile say where the time goes."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--sessions", type=int, default=20)
    options.add_argument("--turns", type=int, default=50)
    options.add_argument("--profile", action="store_true")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "projects")
        write_logs(root, chosen.sessions, chosen.turns)
        parses, imports, agains = [], [], []
        profile = cProfile.Profile()
        for number in range(ROUNDS):
            folder = Path(scratch, f"home{number}")
            folder.mkdir()
            seconds, lines, size = parse_seconds(root)
            parses.append(seconds)
            imports.append(import_seconds(root, folder))
            agains.append(again_seconds(root, folder))
        print(f"{lines} lines, {size / 1e6:.1f} MB; the best of {ROUNDS} rounds")
        print(f"parse   {min(parses):8.3f} s")
        print(f"import  {min(imports):8.3f} s   {min(imports) / min(parses):.1f} x parse")
        print(f"again   {min(agains):8.3f} s   {min(agains) / min(parses):.2f} x parse")
        if chosen.profile:
            folder = Path(scratch, "profiled")
            folder.mkdir()
            profile.runcall(import_seconds, root, folder)
            pstats.Stats(profile).sort_stats("cumtime").print_stats(45)


if __name__ == "__main__":
    main()
