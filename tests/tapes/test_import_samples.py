"""The sample logs of every agent, and the nodes they must become in every version."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from store.local import LocalStore
from store.nodes import node_to_dict
from tapes.importers.codex.run import import_codex
from tapes.importers.gemini.run import import_gemini
from tapes.importers.opencode.run import import_opencode
from tapes.importers.report import ImportReport
from tapes.importers.tapes_db.run import import_tapes_db
from tests.tapes_db import GoDatabase

SAMPLES = Path(__file__).parents[2] / "tapes" / "samples"
GOLDEN = Path(__file__).parents[1] / "golden"
IMPORTERS: dict[str, Callable[..., ImportReport]] = {
    "codex": import_codex,
    "gemini": import_gemini,
    "opencode": import_opencode,
    "tapes_db": import_tapes_db,
}


def imported(agent: str, folder: Path) -> list[str]:
    """Every node of an agent's sample as one line of JSON; the price table's version is left open."""
    sample = SAMPLES / agent
    if (
        agent == "tapes_db"
    ):  # a binary sample would be unreadable in review: it is made from readable calls instead
        go = GoDatabase(folder / "tapes.sqlite")
        go.conversation(3)
        sample = go.path
    with LocalStore.open(folder / "ours.db") as store:
        report = IMPORTERS[agent](store, [sample])
        assert (0, ()) == (report.skipped_lines, report.errors)
        nodes = (store.get(row.facts.hash) for row in store.facts())
        shown = [node_to_dict(node) for node in nodes if node is not None]
    for node in shown:
        if "table" in node.get("cost", {}):
            node["cost"]["table"] = "genai-prices"
    return [json.dumps(node, ensure_ascii=False, sort_keys=True) for node in shown]


@pytest.mark.parametrize("agent", IMPORTERS)
def test_the_samples_become_the_nodes_they_always_became(agent: str, tmp_path: Path) -> None:
    """Stored hashes outlive code: a changed mapping would double every conversation that is imported again."""
    golden = (GOLDEN / agent / "sample.ndjson").read_text(encoding="utf-8")

    assert golden.split("\n")[:-1] == imported(agent, tmp_path)
