"""How long `tapes` takes from start to end, against other programs: `python -m bench.startup [SAMPLES]`.

One warm-up, then SAMPLES processes each (15), on a small home with the sample logs that is in a team whose bucket is a folder;
the questions once more with a resident process (tapes/answering). CPU is what a process, its threads and its children used,
and is what can be compared on a machine that others use too. Goals: `--help` in under 150 ms, any command in under 500 ms, an
answered question in under 200 ms.
"""

import os
import shutil
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
LOGS = str(HOUSE / "tapes/samples/claude")
TAPES = (sys.executable, "-m", "tapes")
PEERS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "python -c 'import cyclopts, rich.console'": (sys.executable, "-c", "import cyclopts, rich.console"),
    "python -c 'import duckdb, pyarrow'": (sys.executable, "-c", "import duckdb, pyarrow"),
    "git --version": ("git", "--version"),
    "restic version": ("restic", "version"),
    "rclone version": ("rclone", "version"),
}
PLAIN_GOAL_MS, ALONE_GOAL_MS, ANSWERED_GOAL_MS = 150, 500, 200
PLAIN = {"tapes --help": ("--help",), "tapes config list": ("config", "list")}
QUESTIONS = {
    "tapes sessions": ("sessions",),
    "tapes search kite": ("search", "kite"),
    "tapes stats": ("stats",),
}
WORKING = {
    "tapes sql 'select 1'": ("sql", "select 1"),
    "tapes storage status": ("storage", "status"),
    "tapes storage sync (nothing new)": ("storage", "sync"),
    "tapes import claude (nothing new)": ("import", "claude", LOGS),
}


def one(words: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """(wall, CPU) milliseconds of one process from start to end."""
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)
    began = time.perf_counter()
    child = os.posix_spawnp(words[0], words, environment, file_actions=nowhere)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(words)}: status {status}")
    return wall * 1000, (used.ru_utime + used.ru_stime) * 1000


def measure(
    commands: dict[str, tuple[str, ...]],
    environment: dict[str, str],
    samples: int,
    goal_ms: int | None = None,
) -> None:
    """Print least and median of wall and CPU time per command."""
    for name, words in commands.items():
        one(words, environment)
        walls, cpus = zip(*(one(words, environment) for _ in range(samples)), strict=True)
        figures = (min(walls), statistics.median(walls), min(cpus), statistics.median(cpus))
        verdict = (
            "" if goal_ms is None else f"goal {goal_ms} ms {'met' if min(walls) < goal_ms else 'MISSED'}"
        )
        print("{:6.0f} {:6.0f}   {:6.0f} {:6.0f}  ".format(*figures), name.ljust(42), verdict)


def of_tapes(commands: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The same, as whole command lines."""
    return {name: (*TAPES, *words) for name, words in commands.items()}


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


def settle(folder: Path, environment: dict[str, str]) -> str:
    """Make the home, import, found a team of one, sync; the newest session's id."""

    def tapes(*words: str) -> str:
        return subprocess.run(
            [*TAPES, *words], env=environment, capture_output=True, check=True, text=True
        ).stdout

    (folder / "bucket").mkdir()
    tapes("init", "--yes", "--name", "Ada", "--kit-out", f"{folder}/kit")
    tapes("import", "claude", LOGS)
    tapes("storage", "configure", "--bucket", f"file://{folder}/bucket")
    tapes("storage", "sync")
    return tapes("sessions", "--limit", "1").split()[0]


def main() -> None:
    """Print a line per command."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory(prefix="t") as name:  # short: a socket's name is
        folder, home = Path(name), Path(name) / "home"
        environment = {**os.environ, "TAPES_HOME": str(home), "HOME": name}
        # As installed: who installs a program compiles it once, and no start does so again.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = f"{name}/compiled"
        environment["OPENBLAS_NUM_THREADS"] = (
            "1"  # as tapes sets it: the peers have to wait for no threads either
        )
        newest = settle(folder, environment)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print("  wall milliseconds       CPU\n  least median    least median")
        measure(
            {name: words for name, words in PEERS.items() if shutil.which(words[0])}, environment, samples
        )
        measure(of_tapes(PLAIN), environment, samples, PLAIN_GOAL_MS)
        measure(of_tapes(QUESTIONS), environment, samples, ALONE_GOAL_MS)
        measure(of_tapes({"tapes show ID": ("show", newest), **WORKING}), environment, samples, ALONE_GOAL_MS)
        print("with a resident process")
        with resident(home, environment):
            measure(of_tapes(QUESTIONS), environment, samples, ANSWERED_GOAL_MS)


if __name__ == "__main__":
    main()
