"""The usage object of a model call -> tokens by class and their price.

The API's four counts do not overlap: `input_tokens` is uncached input only (agents.md §4.1). The object itself is kept verbatim.
"""

from datetime import datetime
from typing import Any

from store.nodes import Cost, Usage
from tapes import prices
from tapes.importers.lines import Record

count_max = 2**40  # no call has a trillion tokens; what it costs stays far below 63 bits
SYNTHETIC = "<synthetic>"  # the model name of lines that Claude Code writes itself, such as an API error


def output_tokens(raw: Any) -> int:
    """The count by which the most complete of several usage objects is chosen; -1 when there is no usage object."""
    return _count(raw, "output_tokens") if isinstance(raw, dict) else -1


def usage_of(raw: Record) -> Usage:
    """Normalise a usage object. What is no count is 0, and `usage_problem` says so."""
    split = raw.get("cache_creation")
    split = split if isinstance(split, dict) else {}
    hour = _count(split, "ephemeral_1h_input_tokens")
    write = _count(raw, "cache_creation_input_tokens") or _count(split, "ephemeral_5m_input_tokens") + hour
    return Usage(
        input_uncached=_count(raw, "input_tokens"),
        cache_read=_count(raw, "cache_read_input_tokens"),
        cache_write=write,
        cache_write_1h=min(hour, write),
        output=_count(raw, "output_tokens"),
        raw=raw,
    )


def usage_problem(raw: Any) -> str:
    """What is wrong with a usage value, or ""."""
    if raw is None:
        return ""
    if not isinstance(raw, dict):
        return "usage is not an object"
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    bad = [name for name in names if raw.get(name) is not None and not _is_count(raw[name])]
    return f"usage.{bad[0]} is not a count" if bad else ""


def cost_of(usage: Usage, model: str, record: Record, at: datetime | None) -> Cost | None:
    """What the call cost: as the log recorded it (old versions did), else computed; None for what was no call."""
    if model == SYNTHETIC and not usage.output + usage.input_uncached + usage.cache_read + usage.cache_write:
        return None
    return prices.recorded(record.get("costUSD")) or prices.computed(
        usage, model, "anthropic", at, context_of(usage.raw or {})
    )


def context_of(raw: Record) -> prices.Context:
    """Request circumstances that change the price list."""
    fast = (("speed", "fast"),) if raw.get("speed") == "fast" else ()
    batch = (("processing", "batch"),) if raw.get("service_tier") == "batch" else ()
    return fast + batch


def _is_count(value: Any) -> bool:
    if type(value) is int:
        return 0 <= value <= count_max
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= count_max and value == int(value)


def _count(raw: Record, name: str) -> int:
    value = raw.get(name)
    return int(value) if _is_count(value) else 0  # type: ignore[arg-type]  # _is_count has just told its type
