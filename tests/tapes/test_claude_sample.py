"""The sample logs that ship with the house, and the nodes they must become in every version."""

import json
from collections import Counter
from pathlib import Path

from store.local import LocalStore
from store.node_parse import node_from_bytes
from store.nodes import node_to_dict
from tapes.importers.claude.run import import_claude
from tapes.importers.report import ImportReport
from tests.claude_logs import stored

SAMPLE = Path(__file__).parents[2] / "tapes" / "samples" / "claude" / "projects"
GOLDEN = Path(__file__).parents[1] / "golden" / "claude" / "sample.ndjson"


def _import(folder: Path) -> tuple[ImportReport, list[str]]:
    """The report, and every node as one line of JSON; the price table's version is left open."""
    with LocalStore.open(folder / "tapes.db") as store:
        report = import_claude(store, [SAMPLE])
        rows = []
        for row in store.facts():
            node = store.get(row.facts.hash)
            assert node is not None
            shown = node_to_dict(node)
            if "table" in shown.get("cost", {}):
                shown["cost"]["table"] = "genai-prices"
            rows.append(json.dumps(shown, ensure_ascii=False, sort_keys=True))
        return report, rows


def test_the_sample_becomes_the_nodes_it_always_became(tmp_path: Path) -> None:
    """Stored hashes outlive code: a changed mapping would double every conversation that is imported again."""
    _, rows = _import(tmp_path)

    assert GOLDEN.read_text(encoding="utf-8").splitlines() == rows


def test_the_sample_has_one_of_everything(tmp_path: Path) -> None:
    """The demo shows three projects, a fork, a subagent, thinking, images, failed tools, an unpriced model, a torn tail."""
    report, rows = _import(tmp_path)
    nodes = [json.loads(row) for row in rows]
    blocks = Counter(block["type"] for node in nodes for block in node["bucket"]["content"])
    costs = {node["cost"]["source"] for node in nodes if "cost" in node}

    assert (report.conversations, report.files, report.skipped_lines, report.errors) == (5, 7, 0, ())
    assert {node["project"] for node in nodes} == {"lighthouse", "kite", "kochbuch (Bäckerei)"}
    assert {"text", "thinking", "tool_use", "tool_result", "image", "redacted_thinking"} <= blocks.keys()
    assert costs == {"computed", "unpriced"}
    assert any(block.get("is_error") for node in nodes for block in node["bucket"]["content"])


def test_every_stored_node_of_the_sample_hashes_to_its_name(tmp_path: Path) -> None:
    """What was stored reads back as the same turn: nothing in the mapping lies outside what era E3 hashes."""
    with LocalStore.open(tmp_path / "tapes.db") as store:
        import_claude(store, [SAMPLE])
        data = [(facts.hash, store.get_bytes(facts.hash)) for facts in stored(store)]
        leaves = len(list(store.leaves()))

    assert all(found and node_from_bytes(found, name).hash_version == "E3" for name, found in data)
    assert leaves == 8
