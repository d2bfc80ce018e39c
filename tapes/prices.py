"""What a model call cost: genai-prices, offline, at the prices of the call's own day, in whole micro-USD.

genai-prices counts input inclusively (cached tokens are part of `input_tokens`); our classes do not overlap, so they are added
up on the way in. An unknown model is "unpriced", never $0 (product.md §1.5). The library is imported on the first call only:
it costs a quarter of a second, which a command that prices nothing must not pay.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from store.nodes import Cost, Usage

if TYPE_CHECKING:  # the types only: importing the library is what must wait
    from genai_prices.types import ModelInfo, ModelPrice

UNPRICED = "unpriced"
_PROBE_TOKENS = 1_000_000  # USD per million tokens are micro-USD per token
_PROBE_SEARCHES = 1_000_000
_ONE = Decimal(1)
recorded_usd_max = 10**9  # more for one call is a broken log, not a price
models_max = 1_024  # looked-up models kept: a log may invent a new name on every line

Context = tuple[tuple[str, str], ...]  # what genai-prices calls a price context, hashable


@dataclass(frozen=True, slots=True)
class Rates:
    """Micro-USD per token of each class, and per web search, inside one price bracket."""

    input_uncached: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    output: Decimal
    web_search: Decimal

    def usd_micro(self, usage: Usage, web_searches: int) -> int:
        """The price of a call, rounded half to even once, at the end."""
        total = (
            self.input_uncached * usage.input_uncached
            + self.cache_read * usage.cache_read
            + self.cache_write_5m * (usage.cache_write - usage.cache_write_1h)
            + self.cache_write_1h * usage.cache_write_1h
            + self.output * usage.output
            + self.web_search * web_searches
        )
        return int(total.quantize(_ONE, ROUND_HALF_EVEN))


@dataclass(frozen=True, slots=True)
class PriceList:
    """One model's prices on one day. `starts[i]` is the input size above which `rates[i + 1]` holds for every token."""

    starts: tuple[int, ...]
    rates: tuple[Rates, ...]

    def at(self, input_tokens: int) -> Rates:
        """The rates for a call with this much input, cached tokens included."""
        return self.rates[bisect_left(self.starts, input_tokens)]


def recorded(usd: object) -> Cost | None:
    """The cost an agent wrote into its own log, in USD; None when that is no amount."""
    if isinstance(usd, bool) or not isinstance(usd, int | float) or not 0 <= usd <= recorded_usd_max:
        return None
    return Cost(int((Decimal(repr(usd)) * 1_000_000).quantize(_ONE, ROUND_HALF_EVEN)), "recorded")


def computed(usage: Usage, model: str, provider: str, at: datetime | None, context: Context = ()) -> Cost:
    """The list price of a call by `model` at `at` (aware); unpriced when the model or the time is unknown.

    `context` are request circumstances that change prices, as `(("speed", "fast"),)`. The provider is a hint: agents speak one
    provider's API to many (a proxy in front of another model), so a model unknown there is looked up by its own name.
    """
    prices = None if at is None else _price_list(model, provider, at, context)
    if prices is None:
        return Cost(None, UNPRICED)
    rates = prices.at(usage.input_uncached + usage.cache_read + usage.cache_write)
    return Cost(rates.usd_micro(usage, web_searches(usage)), "computed", table_name())


def web_searches(usage: Usage) -> int:
    """Searches the provider ran for this call and bills one by one."""
    server = (usage.raw or {}).get("server_tool_use")
    count = server.get("web_search_requests") if isinstance(server, dict) else None
    if isinstance(count, bool) or not isinstance(count, int):
        return 0
    return count if 0 <= count <= _PROBE_SEARCHES else 0


@cache
def table_name() -> str:
    """The price table and its version, as stored beside each computed cost."""
    import genai_prices  # noqa: PLC0415 - slow, see above

    return f"genai-prices {genai_prices.__version__}"


def _price_list(model: str, provider: str, at: datetime, context: Context) -> PriceList | None:
    info = _model(model, provider)
    if info is None:
        return None
    if not context:
        price = info.get_prices(at)
        return _brackets(_Priced(id(price), price))
    price = info.get_prices(at, dict(context))  # a fresh copy on every call: only its contents can be the key
    return _brackets(_Priced(repr(price), price))


@lru_cache(maxsize=models_max)
def _model(model: str, provider: str) -> "ModelInfo | None":
    from genai_prices import Usage as Tokens  # noqa: PLC0415 - slow, see above
    from genai_prices import calc_price  # noqa: PLC0415

    for provider_id in (provider, None):
        try:
            return calc_price(Tokens(), model, provider_id=provider_id).model
        except (LookupError, ValueError):  # unknown there; ValueError: a price that needs more than tokens
            continue
    return None


@dataclass(frozen=True, slots=True)
class _Priced:
    """A price under a key that hashes: the library's own objects are mutable, so they do not."""

    key: int | str
    price: "ModelPrice" = field(compare=False)


@lru_cache(maxsize=models_max)
def _brackets(priced: _Priced) -> PriceList | None:
    """All brackets of a price, each probed through the library itself, so that its fall-backs between classes are kept."""
    from genai_prices.types import TieredPrices  # noqa: PLC0415 - slow, see above

    tiered = [value for value in vars(priced.price).values() if isinstance(value, TieredPrices)]
    starts = sorted({tier.start for value in tiered for tier in value.tiers})
    try:
        rates = tuple(_probe(_flat(priced.price, floor)) for floor in (0, *(start + 1 for start in starts)))
    except ValueError:  # the library cannot price this model by tokens
        return None
    return PriceList(tuple(starts), rates)


def _flat(price: "ModelPrice", input_tokens: int) -> "ModelPrice":
    """The price with its brackets resolved for a call of this size: the highest one begun applies to all tokens."""
    from genai_prices.types import ModelPrice, TieredPrices  # noqa: PLC0415 - slow, see above

    def resolve(value: "Decimal | TieredPrices | None") -> Decimal | None:
        if not isinstance(value, TieredPrices):
            return value
        begun = [tier.price for tier in value.tiers if tier.start < input_tokens]
        return begun[-1] if begun else value.base

    return ModelPrice(**{name: resolve(value) for name, value in vars(price).items()})


def _probe(flat: "ModelPrice") -> Rates:
    from genai_prices import Usage as Tokens  # noqa: PLC0415 - slow, see above

    def of(**tokens: int) -> Decimal:
        return flat.calc_price(Tokens(**tokens))["total_price"]

    n = _PROBE_TOKENS
    return Rates(
        input_uncached=of(input_tokens=n),
        cache_read=of(input_tokens=n, cache_read_tokens=n),
        cache_write_5m=of(input_tokens=n, cache_write_tokens=n),
        cache_write_1h=of(input_tokens=n, cache_write_tokens=n, cache_write_1h_tokens=n),
        output=of(output_tokens=n),
        web_search=of(web_searches=_PROBE_SEARCHES),
    )
