"""Agreement with ccusage (npm, pinned, offline): another reader of the same logs, written by other people.

It is an oracle only where every call has a requestId: without one ccusage counts a call once per line (agents.md §4.1).
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.local import LocalStore
from tapes.importers.claude.run import import_claude
from tests.ccusage_npm import daily, install
from tests.claude_logs import stored_tokens, write_world

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
    script = install(tmp_path_factory.mktemp("ccusage"))

    def totals(config: Path) -> Totals:
        return _totals(daily(script, "claude", {"CLAUDE_CONFIG_DIR": str(config)}))

    return totals


def _totals(days: list[dict[str, Any]]) -> Totals:
    found: Totals = {}
    for day in days:
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
