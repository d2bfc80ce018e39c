"""Prices of model calls: right classes, right day, whole micro-USD, and never $0 for what is unknown."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as Tokens
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from store.nodes import Cost, Usage
from tapes import prices

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
M = 1_000_000
MODELS = (
    "claude-sonnet-4-5-20250929",
    "claude-opus-4-6",
    "claude-haiku-4-5",
    "claude-3-haiku-20240307",
    "gpt-5.4",
)


def _usd_micro(
    usage: Usage, model: str = "claude-opus-4-7", at: datetime = NOON, **context: str
) -> int | None:
    return prices.computed(usage, model, "anthropic", at, tuple(context.items())).usd_micro


@pytest.mark.parametrize(
    ("usage", "usd_micro"),
    [
        (Usage(input_uncached=M), 5_000_000),
        (Usage(cache_read=M), 500_000),
        (Usage(cache_write=M), 6_250_000),
        (Usage(cache_write=M, cache_write_1h=M), 10_000_000),
        (Usage(output=M), 25_000_000),
        (Usage(M, M, M, M, M // 2), 5_000_000 + 500_000 + 3_125_000 + 5_000_000 + 25_000_000),
        (Usage(raw={"server_tool_use": {"web_search_requests": 3}}), 30_000),
        (Usage(), 0),
    ],
)
def test_each_class_has_its_own_price(usage: Usage, usd_micro: int) -> None:
    """Cached input is not charged as input, and a cache write for an hour is dearer than one for five minutes."""
    assert usd_micro == _usd_micro(usage)


def test_the_day_of_the_call_decides() -> None:
    """Opus 4.6 had a dearer long context until March 2026: a call of February keeps February's price."""
    long = Usage(input_uncached=300_000)

    assert _usd_micro(long, "claude-opus-4-6", datetime(2026, 2, 14, tzinfo=UTC)) == 3_000_000
    assert _usd_micro(long, "claude-opus-4-6", datetime(2026, 4, 14, tzinfo=UTC)) == 1_500_000


_counts = st.integers(0, 400_000)


@given(
    st.builds(Usage, _counts, _counts, _counts, _counts),
    st.floats(0, 1),
    st.sampled_from(MODELS),
    st.datetimes(datetime(2025, 6, 1), datetime(2026, 11, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware
)
def test_prices_are_the_librarys(usage: Usage, hour_share: float, model: str, at: datetime) -> None:
    """The rates we keep per bracket give what genai-prices itself answers for the whole call, to the micro-USD."""
    usage = Usage(
        usage.input_uncached,
        usage.cache_read,
        usage.cache_write,
        usage.output,
        int(usage.cache_write * hour_share),
    )
    provider = "openai" if model.startswith("gpt") else "anthropic"
    whole = Tokens(
        input_tokens=usage.input_uncached + usage.cache_read + usage.cache_write,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
    )
    expected = calc_price(whole, model, provider_id=provider, genai_request_timestamp=at).total_price

    found = prices.computed(usage, model, provider, at).usd_micro

    assert found is not None
    assert abs(Decimal(found) - expected * M) <= Decimal("0.5")


@pytest.mark.parametrize("model", ["", "<synthetic>", "glm-nobody-knows", "claude", "🦜"])
def test_an_unknown_model_is_unpriced(model: str) -> None:
    """No price is not a price of nothing."""
    assert prices.computed(Usage(output=5), model, "anthropic", NOON) == Cost(None, "unpriced")


def test_a_call_without_a_time_is_unpriced() -> None:
    """Prices change; without a day there is none to choose."""
    assert prices.computed(Usage(output=5), "claude-opus-4-7", "anthropic", None) == Cost(None, "unpriced")


def test_a_model_behind_a_proxy_is_found_by_its_name() -> None:
    """Claude Code speaks Anthropic's API to other models too; those have prices of their own."""
    assert _usd_micro(Usage(output=M), "gpt-5.4") == 15_000_000


def test_a_faster_or_batched_call_has_another_price() -> None:
    """Circumstances of the request change the price where the list has them."""
    at = datetime(2026, 11, 1, tzinfo=UTC)

    assert _usd_micro(Usage(output=M), at=at, processing="batch") == 12_500_000
    assert _usd_micro(Usage(output=M), at=at, nonsense="x") == 25_000_000


@pytest.mark.parametrize(
    ("usd", "cost"),
    [
        (0.25, Cost(250_000, "recorded")),
        (1, Cost(M, "recorded")),
        (0.0000004, Cost(0, "recorded")),
        (0.1 + 0.2, Cost(300_000, "recorded")),
        (-1, None),
        (True, None),
        ("0.25", None),
        (None, None),
        (float("inf"), None),
        (float("nan"), None),
        (1e300, None),
        (10**400, None),
    ],
)
def test_recorded_costs_are_amounts_or_nothing(usd: object, cost: Cost | None) -> None:
    """What an agent wrote as its cost counts as it is; what is no amount is left out."""
    assert cost == prices.recorded(usd)


def test_a_cost_names_its_table() -> None:
    """A stored cost says by which version of which list it was computed."""
    cost = prices.computed(Usage(output=1), "claude-opus-4-7", "anthropic", NOON)

    assert (cost.source, cost.table) == ("computed", prices.table_name())
    assert prices.table_name().startswith("genai-prices ")


def test_the_library_is_imported_on_the_first_price_only() -> None:
    """Starting the CLI must not pay for a price list."""
    code = "import sys, tapes.prices, tapes.importers.claude.run; sys.exit('genai_prices' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
