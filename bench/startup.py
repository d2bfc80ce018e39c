"""How long `tapes` takes to start, against a bare interpreter: `python bench/startup.py`.

One warm-up, then the median of 15 processes each. The goal is `--help` in under 150 ms.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

runs = 15
goal_ms = 150
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import cyclopts": ["-c", "import cyclopts"],
    "tapes --help": ["-m", "tapes", "--help"],
    "tapes config list": ["-m", "tapes", "config", "list"],
    "tapes sessions": ["-m", "tapes", "sessions"],
}


def milliseconds(words: list[str], environment: dict[str, str]) -> float:
    """One process from start to end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment, capture_output=True, check=True)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print a median per command."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "TAPES_HOME": home}
        medians = {}
        for name, words in COMMANDS.items():
            milliseconds(words, environment)
            medians[name] = statistics.median(milliseconds(words, environment) for _ in range(runs))
            print(f"{medians[name]:7.0f} ms  {name}")
    verdict = "met" if medians["tapes --help"] < goal_ms else "MISSED"
    print(f"goal for --help, {goal_ms} ms: {verdict}")


if __name__ == "__main__":
    main()
