"""Published stats: one strict shape, and every number of a size that sums can bear."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import FormatBroken
from crypto.sealing import Kind, open_sealed, seal
from store.canonical import parse_canonical
from store.stats import (
    StatsDay,
    StatsUse,
    check_stats_author,
    encode_stats,
    open_stats,
    parse_stats,
    seal_stats,
    stats_stored_bytes_max,
    use_order,
)
from tests.golden.make_formats import STATS_DAYS
from tests.sealing_keys import DEVICE, TEAM_KEY, digest

GOLDEN = Path(__file__).parents[1] / "golden" / "formats" / "stats.bin"
NOON_MS = 1_771_070_400_000  # 2026-02-14T12:00Z


def test_the_golden_object_opens_to_what_was_sealed() -> None:
    """What was published once is read by every later version."""
    stats = open_stats(TEAM_KEY, GOLDEN.read_bytes(), "golden")

    assert (DEVICE.hex(), "by-project", STATS_DAYS) == (stats.device, stats.level, stats.days)


counts = st.integers(0, 2**53 - 1)
labels = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
uses = st.builds(
    StatsUse,
    model=labels,
    project=labels,
    **dict.fromkeys(
        ("turns", "input_uncached", "cache_read", "cache_write", "output", "cost_usd_micro"), counts
    ),
    **dict.fromkeys(("unpriced_turns", "tool_calls", "tool_errors"), counts),
)
days = st.dictionaries(
    st.dates().map(lambda day: day.isoformat()),
    st.tuples(counts, st.lists(uses, max_size=4, unique_by=use_order)),
    max_size=4,
)


@given(days)
def test_any_numbers_come_back(made: dict[str, tuple[int, list[StatsUse]]]) -> None:
    """Sealed and opened: the same days, whatever labels say."""
    told = [
        StatsDay(day=day, sessions=sessions, uses=sorted(used, key=use_order))
        for day, (sessions, used) in sorted(made.items())
    ]
    stored = seal_stats(TEAM_KEY, encode_stats(DEVICE, "by-project", told))

    assert told == open_stats(TEAM_KEY, stored, "stats").days


def _changed(change: Callable[[Any], object]) -> bytes:
    fields: Any = parse_canonical(open_sealed(TEAM_KEY, Kind.STATS, GOLDEN.read_bytes(), "golden"), "golden")
    change(fields)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _use(**changes: object) -> Callable[[Any], object]:
    return lambda fields: fields["days"][0]["uses"][0].update(changes)


LIES: dict[str, Callable[[Any], object]] = {
    "negative tokens": _use(output=-1),
    "money that overflows a sum": _use(cost_usd_micro=2**53),
    "a fraction": _use(turns=1.5),
    "a number as text": _use(turns="1"),
    "an endless label": _use(model="x" * 513),
    "a hash of a turn": _use(hash="00" * 32),
    "a text": lambda f: f.update(text="what was said"),
    "a newer format": lambda f: f.update(format=1),
    "no such level": lambda f: f.update(level="all"),
    "totals that name a project": lambda f: f.update(level="totals"),
    "off, and telling": lambda f: f.update(level="off"),
    "no day": lambda f: f["days"][0].update(day="2026-02-30"),
    "a day spelled otherwise": lambda f: f["days"][0].update(day="20260214"),
    "days out of order": lambda f: f["days"].reverse(),
    "a day twice": lambda f: f["days"].append(f["days"][-1]),
    "a use twice": lambda f: f["days"][0]["uses"].append(f["days"][0]["uses"][-1]),
    "negative sessions": lambda f: f["days"][0].update(sessions=-1),
    "five thousand days": lambda f: f.update(
        days=[
            {"day": f"{1 + n // 300:04d}-{1 + n // 28 % 12:02d}-01", "sessions": 0, "uses": []}
            for n in range(5000)
        ]
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_cannot_be_is_refused(lie: str) -> None:
    """A member may seal anything: numbers no sum can bear, other shapes, and words never get past the reader."""
    stored = seal(TEAM_KEY, Kind.STATS, _changed(LIES[lie]))

    with pytest.raises(FormatBroken, match="stats/7"):
        open_stats(TEAM_KEY, stored, "stats/7")


def test_a_huge_object_is_refused_before_it_is_opened() -> None:
    """The length alone is enough, sealed or inside the seal."""
    with pytest.raises(FormatBroken, match="over the limit"):
        open_stats(TEAM_KEY, bytes(stats_stored_bytes_max + 1), "stats/7")
    with pytest.raises(FormatBroken, match="over the limit"):
        parse_stats(b"[" * (1024 * 1024 + 1), "stats/7")
    with pytest.raises(ValueError, match="too much"):
        seal_stats(TEAM_KEY, bytes(1024 * 1024 + 1))


def test_only_ones_own_device_and_no_future_day() -> None:
    """Another device's name, or a day far ahead of the commit's own time, is a lie of the commit's author."""
    stats = open_stats(TEAM_KEY, GOLDEN.read_bytes(), "stats/7")
    check_stats_author(stats, DEVICE, NOON_MS, "stats/7")

    with pytest.raises(FormatBroken, match="another device"):
        check_stats_author(stats, digest("somebody else"), NOON_MS, "stats/7")
    with pytest.raises(FormatBroken, match="not begun"):
        check_stats_author(stats, DEVICE, NOON_MS - 3 * 86_400_000, "stats/7")
    with pytest.raises(FormatBroken, match="not begun"):
        check_stats_author(stats, DEVICE, 2**53 - 1, "stats/7")
