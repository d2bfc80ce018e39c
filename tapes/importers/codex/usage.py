"""`token_count` events -> what one model call used.

`total_token_usage` only grows; Codex writes the event again, with the same totals, whenever rate limits change. So an event whose
totals stand still is no call, whatever its `last_token_usage` repeats.
"""

from datetime import datetime
from typing import Any

from store.nodes import Cost, Usage
from tapes import prices
from tapes.importers.lines import Record
from tapes.importers.tokens import bad_counts, count, from_inclusive

Totals = tuple[int, ...]
_FIELDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
)
_INPUT, _CACHED, _WRITTEN, _OUTPUT, _REASONING = range(len(_FIELDS))


def read_usage(info: Any, before: Totals) -> tuple[Usage | None, Totals]:
    """The usage of the call that the event reports, None for none, and the totals after it. `before`: () at the start.

    The last call's own figures if they are there, else the difference of totals; totals that fell began anew.
    """
    if not isinstance(info, dict):  # null: rate limits only
        return None, before
    total, last = info.get("total_token_usage"), info.get("last_token_usage")
    after = _figures(total) if isinstance(total, dict) else before
    if isinstance(total, dict) and after == before:
        return None, before
    if isinstance(last, dict):
        figures, raw = _figures(last), last
        after = after if isinstance(total, dict) else _sum(before, figures)
    elif isinstance(total, dict):
        figures, raw = _difference(after, before), total
    else:
        return None, before
    return (_usage(figures, raw) if any(figures) else None), after


def usage_problem(info: Any) -> str:
    """What is wrong with the event's counts, or ""."""
    for name in ("last_token_usage", "total_token_usage"):
        usage = info.get(name) if isinstance(info, dict) else None
        if isinstance(usage, dict) and (bad := bad_counts(usage, *_FIELDS)):
            return f"{name}.{bad} is not a count"
    return ""


def cost_of(usage: Usage, model: str, at: datetime | None) -> Cost:
    """The call's list price on its day."""
    return prices.computed(usage, model, "openai", at)


def _usage(figures: Totals, raw: Record) -> Usage:
    return from_inclusive(
        raw,
        whole=figures[_INPUT],
        read=figures[_CACHED],
        write=figures[_WRITTEN],
        output=max(figures[_OUTPUT], figures[_REASONING]),  # reasoning is part of the output
    )


def _figures(usage: Record) -> Totals:
    return tuple(count(usage.get(name)) for name in _FIELDS)


def _difference(after: Totals, before: Totals) -> Totals:
    if not before or any(new < old for new, old in zip(after, before, strict=True)):
        return after
    return tuple(new - old for new, old in zip(after, before, strict=True))


def _sum(before: Totals, figures: Totals) -> Totals:
    return tuple(old + new for old, new in zip(before or (0,) * len(figures), figures, strict=True))
