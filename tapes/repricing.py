"""Computing costs again: every model call whose cost was computed, by today's price table or by one of somebody's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from query.costs import NewCost
from query.source import Source
from store.nodes import Cost, Usage
from tapes import prices
from tapes.importers.claude.usage import context_of
from tapes.price_table import PriceTable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CALLS: Final = """
SELECT hash, harness, coalesce(provider, ''), coalesce(model, ''), epoch_us(created_us), input_uncached, cache_read, cache_write,
    output, cache_write_1h, cost_usd_micro, cost_source, cost_table, counted
FROM rows WHERE cost_source IN ('computed', 'unpriced', 'override') ORDER BY id
"""
Tell = Callable[[str, int, int], None]


@dataclass(slots=True)
class Repricing:
    """What came out. Sums are over turns that count, in micro-USD."""

    calls: int = 0
    costs: list[NewCost] = field(default_factory=list)  # of those whose amount is another
    before_usd_micro: int = 0
    after_usd_micro: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0
    by_tokens_alone: int = 0  # others' calls: whether they searched the web or ran in a batch is not in a row
    tables: set[str] = field(default_factory=set)  # of the new costs


def reprice(source: Source, table: PriceTable | None, tell: Tell) -> Repricing:
    """New costs for a source that was opened without former ones."""
    found = Repricing()
    total = source.engine.all(f"SELECT count(*) FROM ({_CALLS})")[0][0]  # noqa: S608 - a constant
    for call in _calls(source):
        new = _cost(call, table)
        found.calls += 1
        found.by_tokens_alone += call.usage.raw is None
        if call.counted:
            found.before_usd_micro += call.cost.usd_micro or 0
            found.after_usd_micro += new.usd_micro or 0
            found.unpriced_before += call.cost.usd_micro is None
            found.unpriced_after += new.usd_micro is None
        if new.usd_micro != call.cost.usd_micro and new.table is not None:
            found.tables.add(new.table)
            found.costs.append(NewCost(call.hash, new.usd_micro, new.source, new.table))
        tell("pricing", found.calls, total)
    return found


@dataclass(frozen=True, slots=True)
class _Call:
    """A model call as its row and, where the node is here, its own usage tell."""

    hash: bytes
    harness: str | None
    provider: str
    model: str
    at: datetime | None
    usage: Usage
    cost: Cost
    counted: bool


def _calls(source: Source) -> Iterator[_Call]:
    rows = source.engine.all(_CALLS)  # all at once: reading a node asks the local store in between
    for digest, harness, provider, model, at_us, *rest in rows:
        counts, (usd_micro, origin, table, counted) = rest[:5], rest[5:]
        fresh, read, written, output, written_1h = (count or 0 for count in counts)
        usage = Usage(fresh, read, written, output, min(written_1h, written), _raw(source, digest))
        at = None if at_us is None else _EPOCH + timedelta(microseconds=at_us)
        yield _Call(digest, harness, provider, model, at, usage, Cost(usd_micro, origin, table), counted)


def _raw(source: Source, digest: bytes) -> dict[str, Any] | None:
    """What the provider said besides the counts; None where the node is not in the local store."""
    node = source.local.get(digest.hex()) if source.local is not None else None
    return (node.usage.raw or {}) if node is not None and node.usage is not None else None


def _cost(call: _Call, table: PriceTable | None) -> Cost:
    """By somebody's own table, else by today's; as it was where neither knows the model: a known price is never lost."""
    own = (
        table.cost(call.usage, call.model, call.provider, call.at) if table is not None and call.at else None
    )
    if own is not None:
        return own
    context = context_of(call.usage.raw or {}) if call.harness == "claude" else ()
    listed = prices.computed(call.usage, call.model, call.provider, call.at, context)
    return listed if listed.usd_micro is not None else call.cost
