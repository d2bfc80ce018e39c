"""Makes the golden files of the data formats, once. Run it only for a new format version: it refuses to overwrite.

    python -m tests.golden.make_formats

Sealing draws random salts, so goldens cannot be made again; they are only read, by the tests of every later version.
"""

import json
from pathlib import Path
from typing import Any

from store.frames import seal_frame
from store.manifest_schema import rows_table
from store.manifests import open_manifest, seal_manifest
from store.nodes import node_to_bytes
from store.stats import StatsDay, StatsUse, encode_stats, seal_stats
from store.texts import searchable_text
from tests.sealing_keys import (
    DEVICE,
    MEMBER,
    TEAM_KEY,
    digest,
    leaf_openings,
    make_turn,
    pack_turns,
    pushed_rows,
)

FOLDER = Path(__file__).parent / "formats"
TALKS = {
    "talk": [make_turn(number) for number in range(3)],
    "other": [make_turn(0, "other", "snowman \u2603, face \U0001f600")],
}
STATS_DAYS = [
    StatsDay(
        day="2026-02-14",
        sessions=2,
        uses=[
            StatsUse(
                model=model,
                project=project,
                turns=4,
                input_uncached=10,
                cache_read=20,
                cache_write=30,
                output=40,
                cost_usd_micro=1_500_000,
                unpriced_turns=1,
                tool_calls=3,
                tool_errors=1,
            )
            for project, model in ((None, None), ("alpha", "claude-x"), ("snowman \u2603", None))
        ],
    ),
    StatsDay(day="2026-02-16", sessions=0, uses=[]),
]
TINY_NODES = [b'{"hash":"00"}', b'{"hash":"01"}']


def in_json(value: Any) -> Any:
    """Digests as hex, times as text: a table row that JSON can hold."""
    return (
        value.hex()
        if isinstance(value, bytes)
        else value
        if isinstance(value, str | int | None)
        else str(value)
    )


def plain_rows(table: Any) -> list[dict[str, Any]]:
    """A table as JSON rows."""
    return [{name: in_json(value) for name, value in row.items()} for row in table.to_pylist()]


def make() -> None:
    """Write every golden file and what each must open to."""
    FOLDER.mkdir(exist_ok=True)
    pack = pack_turns(TALKS)
    manifest = seal_manifest(
        TEAM_KEY, rows_table(pushed_rows(pack, TALKS), MEMBER, DEVICE), leaf_openings(TALKS)
    )
    turns = [turn for talk in TALKS.values() for turn in talk]
    texts = [(turn.hash, searchable_text(turn)) for turn in turns]
    expected = {
        "frame": {"conversation": digest("talk").hex(), "nodes": [node.decode() for node in TINY_NODES]},
        "pack": {
            "sha256": pack.sha256,
            "nodes": {
                talk: [node_to_bytes(turn).decode() for turn in turns] for talk, turns in TALKS.items()
            },
        },
        "manifest": plain_rows(open_manifest(TEAM_KEY, manifest, "golden").table),
        "text": texts,
    }
    write("stats.bin", seal_stats(TEAM_KEY, encode_stats(DEVICE, "by-project", STATS_DAYS)))
    write("frame.bin", seal_frame(TEAM_KEY, digest("talk"), TINY_NODES))
    write("pack.bin", pack.data)
    write("manifest.bin", manifest)
    write("expected.json", (json.dumps(expected, indent=1, sort_keys=True) + "\n").encode())


def write(name: str, data: bytes) -> None:
    """Create a file; one that exists stays as it is, and stops the script."""
    with (FOLDER / name).open("xb") as file:
        file.write(data)


if __name__ == "__main__":
    make()
