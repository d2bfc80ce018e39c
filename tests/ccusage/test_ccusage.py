"""Agreement with ccusage (npm, pinned, offline): another reader of the same logs, written by other people.

It is an oracle only where every call has a requestId: without one ccusage counts a call once per line (agents.md §4.1).
"""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.local import LocalStore
from tapes.importers.claude.run import import_claude
from tests.claude_logs import stored_tokens, write_world

HERE = Path(__file__).parent
install_seconds_max = 120
Totals = dict[str, Counter[str]]
_OURS = {
    "inputTokens": "input_uncached",
    "cacheReadTokens": "cache_read",
    "cacheCreationTokens": "cache_write",
    "outputTokens": "output",
}


@pytest.fixture(scope="module")
def ccusage(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Totals]:
    """Its totals for a Claude config folder; skips, saying why, where it cannot be installed."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        pytest.skip("ccusage left out: there is no npm here")
    folder = tmp_path_factory.mktemp("ccusage")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    command = [
        npm,
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--fetch-retries=0",
    ]
    # Not `npm ci`: it wants every platform's binary in the lock, and those of other platforms may be unpublished.
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=install_seconds_max
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as problem:
        told = problem.stderr or ""
        pytest.skip(f"ccusage left out: npm could not install it: {str(told)[-300:]}")

    def totals(config: Path) -> Totals:
        script = folder / "node_modules" / "ccusage" / "src" / "cli.js"
        command = [node, str(script), "claude", "daily", "--json", "--offline", "--breakdown"]
        environment = {**os.environ, "CLAUDE_CONFIG_DIR": str(config), "HOME": str(folder)}
        done = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=60
        )
        return _totals(json.loads(done.stdout))

    return totals


def _totals(report: dict[str, Any]) -> Totals:
    found: Totals = {}
    for day in report["daily"]:
        for model in day["modelBreakdowns"]:
            counts = {ours: model[theirs] for theirs, ours in _OURS.items()}
            found.setdefault(model["modelName"], Counter()).update(counts)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_totals_agree_with_ccusage(ccusage: Callable[[Path], Totals], tmp_path: Path, seed: int) -> None:
    """On adversarial logs with requestIds, both readers count the same tokens of each class for each model."""
    write_world(tmp_path / "projects", seed, request_ids=1.0)
    with LocalStore.open(tmp_path / "tapes.db") as store:
        import_claude(store, [tmp_path / "projects"])
        ours = stored_tokens(store)

    theirs = ccusage(tmp_path)

    assert theirs == {
        model: Counter({name: counts[name] for name in _OURS.values()}) for model, counts in ours.items()
    }
