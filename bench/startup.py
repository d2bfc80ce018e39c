"""How long `tapes` takes from start to end, against a bare interpreter: `python -m bench.startup [SAMPLES]`.

One warm-up, then SAMPLES processes each (15), on a small home with the sample logs; reading commands once with a resident
process (tapes/answering) and once without. CPU is what the process and its threads used, and is what can be compared on a
machine that others use too. Goals: `--help` in under 150 ms, a reading command in under 500 ms.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from query.answers import Answer
from query.moments import clock_now
from tapes.answering.asking import ask, clock_fields
from tapes.answering.protocol import Question

HOUSE = Path(__file__).parent.parent
TAPES = ("-m", "tapes")
PLAIN = {
    "python -c pass": ("-c", "pass"),
    "import cyclopts": ("-c", "import cyclopts"),
    "tapes --help": (*TAPES, "--help"),
    "tapes config list": (*TAPES, "config", "list"),
}
READING = {
    "tapes search kite": (*TAPES, "search", "kite"),
    "tapes sessions": (*TAPES, "sessions"),
    "tapes stats": (*TAPES, "stats"),
}
GOALS_MS = {"tapes --help": 150, **dict.fromkeys(READING, 500)}


def one(words: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """(wall, CPU) milliseconds of one process from start to end."""
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)
    began = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, *words], environment, file_actions=nowhere)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(words)}: status {status}")
    return wall * 1000, (used.ru_utime + used.ru_stime) * 1000


def measure(
    commands: dict[str, tuple[str, ...]], environment: dict[str, str], samples: int, how: str
) -> None:
    """Print least and median of wall and CPU time per command."""
    for name, words in commands.items():
        one(words, environment)
        walls, cpus = zip(*(one(words, environment) for _ in range(samples)), strict=True)
        figures = (min(walls), statistics.median(walls), min(cpus), statistics.median(cpus))
        goal = GOALS_MS.get(name)
        verdict = "" if goal is None else f"goal {goal} ms {'met' if min(walls) < goal else 'MISSED'}"
        print("{:6.0f} {:6.0f}   {:6.0f} {:6.0f}  ".format(*figures), f"{name} {how}".ljust(38), verdict)


@contextmanager
def resident(home: Path, environment: dict[str, str]) -> Iterator[None]:
    """A resident process that knows the home already."""
    with subprocess.Popen(
        [sys.executable, "-m", "tapes.answering.server"], env=environment, stdin=subprocess.PIPE
    ) as process:
        question = Question(about="search", chosen={"text": "kite"}, **clock_fields(clock_now()))
        path = home / "answering.sock"
        while ask(path, question, Answer) is None:
            time.sleep(0.1)
        try:
            yield
        finally:
            process.communicate()  # closes its standard input, which ends it


def main() -> None:
    """Print a line per command."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory(prefix="t") as folder:  # short: a socket's name is
        home = Path(folder) / "home"
        environment = {**os.environ, "TAPES_HOME": str(home), "HOME": folder}
        for words in (
            ("init", "--yes", "--name", "Ada", "--kit-out", f"{folder}/kit"),
            ("import", "claude", str(HOUSE / "tapes/samples/claude")),
        ):
            subprocess.run([sys.executable, *TAPES, *words], env=environment, capture_output=True, check=True)
        print("  wall milliseconds       CPU\n  least median    least median")
        measure(PLAIN, environment, samples, "")
        measure(READING, environment, samples, "alone")
        with resident(home, environment):
            measure(READING, environment, samples, "with a resident process")


if __name__ == "__main__":
    main()
