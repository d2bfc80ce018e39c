"""`tapes reprice`: new costs everywhere they are shown, old ones kept, nothing pushed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crypto.errors import UsageError
from store.local_path import local_store_path
from store.nodes import Usage
from tapes.price_table import read_price_table
from tests.command_line import SAMPLE, Person

TABLE = """
name = "Acme"
[[price]]
model = "GLM*"
input = 1
output = 2.5
[[price]]
model = "claude-sonnet-*"
provider = "anthropic"
from = 2026-03-01
input = 1000
cache_read = 0
cache_write = 10
cache_write_1h = 20
output = 0.000001
"""
M = 1_000_000
CALLS = """
SELECT hash, model, created_at, cost_usd_micro, cost_source, cost_table FROM nodes WHERE cost_source IS NOT NULL ORDER BY 1
"""
USED = "SELECT hash, input_uncached, cache_read, cache_write, cache_write_1h, output FROM nodes"


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Ada with the sample, and a table of her own."""
    person = Person(tmp_path / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    (tmp_path / "acme.toml").write_text(TABLE)
    return person


def calls(person: Person) -> list[list[Any]]:
    """Every model call with its cost."""
    rows: list[list[Any]] = person.json("sql", CALLS)["rows"]
    return rows


def test_todays_list_changes_nothing_of_today(ada: Person) -> None:
    """The sample was priced by this very list a moment ago: nothing changes, and what is unknown stays unpriced."""
    before = calls(ada)
    answer = ada.json("reprice")

    assert (answer["changed"], answer["before"]) == (0, answer["after"])
    assert answer["calls"] == len([row for row in before if row[4] != "recorded"]) > 0
    assert answer["before"]["unpriced_turns"] > 0
    assert calls(ada) == before


def test_a_table_of_ones_own_holds_where_it_fits(ada: Person, tmp_path: Path) -> None:
    """Model, provider and day decide; sums, turns and exports say the same; recorded costs and the stored nodes stay."""
    store, before = local_store_path(ada.home), calls(ada)
    stored = store.read_bytes()
    answer = ada.json("reprice", "--table", tmp_path / "acme.toml")
    after = calls(ada)
    used = {row[0]: row[1:] for row in ada.json("sql", USED)["rows"]}
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    for old, new in changed:
        fresh, read, written, hour, output = used[new[0]]
        dear = round(1000 * fresh + 10 * (written - hour) + 20 * hour + output / M)
        cheap = round(fresh + read + written + 2.5 * output)
        assert new[3] == (cheap if new[1].startswith("glm") else dear)
        assert (old[4] != "recorded", new[4], new[5][:5]) == (True, "override", "Acme ")
        assert new[1].startswith("glm") or (new[1].startswith("claude-sonnet") and new[2] >= "2026-03-01")
    totals = ada.json("sessions")["totals"]
    exported = ada.json("sql", "SELECT sum(cost_usd_micro)::BIGINT FROM nodes WHERE counted")["rows"]
    [session] = ada.json("search", "frobnicate")["sessions"]
    shown = ada.json("show", session["id"])["nodes"]

    period = ["stats", "--period", "999d"]
    assert ada.json(*period)["current"]["use"]["cost_usd_micro"] == totals["cost_usd_micro"]
    assert {new[1] for _, new in changed} >= {"glm-4.6-local"}
    assert len(changed) == answer["changed"] > 2
    assert totals["cost_usd_micro"] == exported[0][0]
    assert (
        sum(node["cost"]["usd_micro"] for node in shown if node.get("cost")) == session["cost_usd_micro"] > 0
    )
    assert store.read_bytes() == stored


def test_a_dry_run_keeps_nothing_and_a_reset_brings_the_first_back(ada: Person, tmp_path: Path) -> None:
    """Both say the same sums; afterwards the costs are as they were."""
    before = calls(ada)
    dry = ada.json("reprice", "--table", tmp_path / "acme.toml", "--dry-run")
    kept = calls(ada)
    wet = ada.json("reprice", "--table", tmp_path / "acme.toml")
    moved = calls(ada)
    ada.ok("reprice", "--reset")

    assert {**dry, "dry_run": False} == wet
    assert kept == before == calls(ada) != moved


def test_what_is_kept_is_sealed_and_may_break(ada: Person, tmp_path: Path) -> None:
    """No hash stands in the file in plain; a damaged one is said, and the first costs are shown."""
    before = calls(ada)
    ada.ok("reprice", "--table", tmp_path / "acme.toml")
    kept = ada.home / "index" / "costs.sealed"
    data = kept.read_bytes()
    assert not any(bytes.fromhex(row[0]) in data or row[0].encode() in data for row in before)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir() if path.name.startswith(".")] == []
    kept.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    assert calls(ada) == before
    assert "tapes reprice" in ada.ok("sessions").err


def test_the_first_price_that_fits_holds() -> None:
    """Days are inclusive, case does not matter, and a name carries the digest of its file."""
    table = read_price_table(TABLE.encode(), "t")
    other = read_price_table(TABLE.replace("2.5", "2.6").encode(), "t")
    at = datetime(2026, 3, 1, tzinfo=UTC)

    assert table.cost(Usage(input_uncached=M), "Claude-Sonnet-4", "Anthropic", at) is not None
    assert table.cost(Usage(input_uncached=M), "claude-sonnet-4", "bedrock", at) is None
    assert (
        table.cost(Usage(), "claude-sonnet-4", "anthropic", datetime(2026, 2, 28, 23, 59, tzinfo=UTC)) is None
    )
    assert table.name.startswith("Acme ")
    assert table.name != other.name


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "name = 'x'",
        "name = 'x'\nprice = []",
        "name = 'x'\n[[price]]\nmodel = 'm'\ninput = 1",
        "name = 'x'\n[[price]]\nmodel = 'm'\ninput = -1\noutput = 1",
        "name = 'x'\n[[price]]\nmodel = 'm'\ninput = nan\noutput = 1",
        "name = 'x'\n[[price]]\nmodel = 'm'\ninput = 1\noutput = 1\ncahce_read = 1",
        "name = 'x'\n[[price]]\nmodel = 'm'\nfrom = 'soon'\ninput = 1\noutput = 1",
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(text: str) -> None:
    """A missing, negative, misspelt or endless price is a usage error that names the file; no cost is computed by guesses."""
    with pytest.raises(UsageError, match="my prices"):
        read_price_table(text.encode(), "my prices")
