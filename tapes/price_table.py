"""A price table of somebody's own: what a contract says, by model and day.

name = "Acme contract 2026"

[[price]]                     # the first that fits a call is its price
model = "claude-*"            # * and ? stand for anything, case does not matter
provider = "anthropic"        # may be left out
from = 2026-01-01             # first UTC day, may be left out
until = 2026-12-31            # last UTC day, may be left out
input = 2.40                  # US dollars per million tokens
cache_read = 0.24             # left out: as input
cache_write = 3.00            # left out: as input
cache_write_1h = 4.80         # left out: as cache_write
output = 12.00
web_search = 0.01             # US dollars each; left out: nothing
"""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crypto.errors import UsageError
from store.nodes import Cost, Usage
from tapes.prices import Rates, web_searches

digest_chars: Final = 12  # of the file's SHA-256 in the table's name: two versions of one name are told apart
_Dollars = Annotated[Decimal, Field(ge=0, le=10**6)]
_Pattern = Annotated[str, Field(min_length=1, max_length=256)]


class _Price(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: _Pattern
    provider: _Pattern = "*"
    from_: Annotated[date, Field(alias="from")] = date.min
    until: date = date.max
    input: _Dollars
    cache_read: _Dollars | None = None
    cache_write: _Dollars | None = None
    cache_write_1h: _Dollars | None = None
    output: _Dollars
    web_search: _Dollars = Decimal(0)

    def rates(self) -> Rates:
        written = self.input if self.cache_write is None else self.cache_write
        return Rates(
            input_uncached=self.input,
            cache_read=self.input if self.cache_read is None else self.cache_read,
            cache_write_5m=written,
            cache_write_1h=written if self.cache_write_1h is None else self.cache_write_1h,
            output=self.output,
            web_search=self.web_search * 1_000_000,
        )

    def fits(self, model: str, provider: str, day: date) -> bool:
        named = fnmatchcase(model.lower(), self.model.lower()) and fnmatchcase(
            provider.lower(), self.provider.lower()
        )
        return named and self.from_ <= day <= self.until


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    price: Annotated[list[_Price], Field(min_length=1, max_length=10_000)]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """A table that was read. `name` carries its version."""

    name: str
    prices: tuple[_Price, ...]

    def cost(self, usage: Usage, model: str, provider: str, at: datetime) -> Cost | None:
        """What a call costs by this table; None where no price fits."""
        for price in self.prices:
            if price.fits(model, provider, at.date()):
                return Cost(price.rates().usd_micro(usage, web_searches(usage)), "override", self.name)
        return None


def read_price_table(data: bytes, where: str) -> PriceTable:
    """The table in a file that an error will call `where`. UsageError that names the entry."""
    try:
        fields: dict[str, Any] = tomllib.loads(data.decode(), parse_float=Decimal)
        file = _File.model_validate(fields)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{where} is not TOML: {error}", hint="docs/analysts.md shows a price table"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{where}: {place}: {first['msg']}", hint="docs/analysts.md shows a price table"
        ) from None
    return PriceTable(f"{file.name} {sha256(data).hexdigest()[:digest_chars]}", tuple(file.price))
