"""Agreement with ccusage (npm, pinned, offline) on Codex rollouts: another reader of the same logs, written by other people.

It tells replays by a heuristic on times, so it is an oracle only for rollouts without forks and subagents (agents.md §4.2).
"""

import random
from collections import Counter
from pathlib import Path

import pytest

from store.local import LocalStore
from tapes.importers.codex.run import import_codex
from tests.ccusage_npm import daily, install
from tests.claude_logs import stored_tokens
from tests.codex_logs import ORDERS, Rollout, World

_OURS = {
    "inputTokens": "input_uncached",
    "cacheReadTokens": "cache_read",
    "cacheCreationTokens": "cache_write",
    "outputTokens": "output",
}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its command line, installed."""
    return install(tmp_path_factory.mktemp("ccusage"))


@pytest.mark.parametrize("order", ORDERS)
def test_codex_totals_agree_with_ccusage(script: Path, tmp_path: Path, order: str) -> None:
    """With repeated and partial token counts in any order, both readers count the same tokens of each class per model."""
    world = World(random.Random(11))
    for _ in range(3):
        rollout = Rollout(world, order=order).begin()
        for _ in range(4):
            rollout.turn(3)
        rollout.write(tmp_path)
    with LocalStore.open(tmp_path / "tapes.db") as store:
        import_codex(store, [tmp_path])
        ours = {model: +counts for model, counts in stored_tokens(store).items()}

    theirs: dict[str, Counter[str]] = {}
    for day in daily(script, "codex", {"CODEX_HOME": str(tmp_path)}):
        for model, counts in day["models"].items():
            theirs.setdefault(model, Counter()).update({name: counts[field] for field, name in _OURS.items()})

    assert ours == {model: +counts for model, counts in theirs.items()}
