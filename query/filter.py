"""The one filter over sessions: behind flags, the one-line grammar, URLs, saved filters and export manifests.

Values stay as people wrote them (`since: 7d` in a saved filter means seven days before it is used); they are checked when the
filter is made, and meant when query/condition.py turns them into SQL. Within a field any value may match; all fields must.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from crypto.errors import UsageError
from query import answers
from query.moments import Clock, span

value_chars_max = 512  # of one value: labels are never longer
values_max = 64  # of one field
Status = answers.Status
Space = Literal["team", "private", "local"]
Feature = Literal["error", "tool", "git", "unpriced", "unsynced"]
_COMPARISON: Final = re.compile(r"(>=|<=|>|<)\s*(\S+)")
_ANY_CLOCK: Final = Clock(datetime(2026, 1, 1, tzinfo=UTC))
_LABELLED: Final = ("project", "agent", "provider", "model", "member", "tool", "space", "has")
_MEASURED: Final = ("cost", "tokens", "duration", "turns")


class SessionFilter(BaseModel):
    """Which sessions are meant; an empty filter means all. Made by `filter_of`, `filter_from_json` or `filter_from_url`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str | None = None  # words in the search grammar (query/grammar.py)
    project: tuple[str, ...] = ()  # these five: whole names, * and ? stand for anything, case does not matter
    agent: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    member: tuple[str, ...] = ()  # a name, or the beginning of an id
    tool: tuple[str, ...] = ()  # some turn calls one of these tools
    space: tuple[Space, ...] = ()
    status: tuple[Status, ...] = ()
    has: tuple[Feature, ...] = ()  # all of these
    since: str | None = None  # was still going on at or after
    until: str | None = None  # had begun by the end of
    date: str | None = None  # went on during that day
    cost: tuple[str, ...] = ()  # ">0.5" US dollars, as far as priced; all of these four's bounds hold
    tokens: tuple[str, ...] = ()  # ">10k", all classes together
    duration: tuple[str, ...] = ()  # "<1h30m", first turn to last
    turns: tuple[str, ...] = ()

    @field_validator(*_LABELLED, mode="before")
    @classmethod
    def _listed(cls, value: Any) -> tuple[Any, ...]:
        return _several(value)

    @field_validator("status", mode="before")
    @classmethod
    def _error_is_failed(cls, value: Any) -> tuple[Any, ...]:
        return tuple("failed" if one == "error" else one for one in _several(value))

    @field_validator(*_MEASURED, mode="before")
    @classmethod
    def _compared(cls, value: Any, info: ValidationInfo) -> tuple[Any, ...]:
        values = _several(value)
        for one in values:
            bound(str(info.field_name), one)
        return values

    @field_validator("since", "until", "date")
    @classmethod
    def _timed(cls, value: str | None) -> str | None:
        if value is not None:
            span(value, _ANY_CLOCK)
        return value

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        values = value if isinstance(value, tuple) else ()
        if len(values) > values_max:
            raise ValueError(f"at most {values_max} values")
        if any(not one or len(one) > value_chars_max for one in values):
            raise ValueError(f"a value has 1 to {value_chars_max} characters")
        return value

    def merged(self, other: Self) -> "SessionFilter":
        """Both together. UsageError where both set a field that has one value."""
        fields = self.model_dump(exclude_defaults=True)
        for name, value in other.model_dump(exclude_defaults=True).items():
            if name in fields and not isinstance(value, tuple):
                raise UsageError(f"{name} is given twice: {fields[name]!r} and {value!r}")
            fields[name] = fields[name] + value if name in fields else value
        return filter_of(fields)

    @property
    def means_all(self) -> bool:
        """Whether it is empty: every session passes."""
        return self == SessionFilter()

    @property
    def timed(self) -> bool:
        """Whether a time zone took part in choosing."""
        return bool(self.since or self.until or self.date)

    def to_json(self) -> str:
        """The fields that are set, as one line of JSON; equal filters give equal lines."""
        return json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True)

    def to_url(self) -> str:
        """The fields that are set, as a URL's query string."""
        return urlencode(self.model_dump(exclude_defaults=True), doseq=True)


FIELDS: Final = tuple(SessionFilter.model_fields)
_LISTS: Final = frozenset(name for name, field in SessionFilter.model_fields.items() if field.default == ())


def filter_of(fields: Mapping[str, Any]) -> SessionFilter:
    """A filter of these fields. UsageError that names the field: unknown ones with what may have been meant."""
    for name in fields:
        check_field(name)
    try:
        return SessionFilter.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"{first['loc'][0]}: {str(first['msg']).removeprefix('Value error, ')}",
            hint="docs/search.md lists the filters",
        ) from error


def _several(value: Any) -> tuple[Any, ...]:
    """One text, or a list of values, as values."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError("is a text or a list of them")


def check_field(name: str) -> None:
    """UsageError for a field that no filter has, with its nearest neighbour."""
    if name not in FIELDS:
        near = difflib.get_close_matches(name.lower(), FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"filters are {', '.join(FIELDS)}"
        raise UsageError(f"there is no filter {name!r}", hint=hint)


def filter_from_json(text: str | bytes) -> SessionFilter:
    """What `to_json` wrote; UsageError for anything else."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("the filter is no JSON") from error
    if not isinstance(fields, dict):
        raise UsageError("the filter is no JSON object")
    return filter_of(fields)


def filter_from_url(query: str) -> SessionFilter:
    """What `to_url` wrote; UsageError for anything else."""
    return filter_of(gathered(parse_qsl(query, keep_blank_values=True)))


def gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Field and value pairs as the fields of one filter. UsageError for unknown fields, and for two values where one may be."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        check_field(name)
        if name in _LISTS:
            fields[name] = (*fields.get(name, ()), value)
        elif name in fields:
            raise UsageError(f"{name} is given twice: {fields[name]!r} and {value!r}")
        else:
            fields[name] = value
    return fields


_MULTIPLES: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_DURATION: Final = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s?)?")


def bound(field: str, text: object) -> tuple[str, int]:
    """(sign, amount) of `>0.5`, in micro-USD, tokens, microseconds or turns. ValueError for anything else."""
    match = _COMPARISON.fullmatch(text.strip()) if isinstance(text, str) else None
    amount = _amount(field, match[2].lower().removeprefix("$")) if match else None
    if match is None or amount is None:
        raise ValueError(f"{text!r} is no comparison; one is {_EXAMPLES[field]}")
    return match[1], amount


_EXAMPLES: Final = {"cost": ">0.5", "tokens": ">=10k", "duration": "<1h30m", "turns": ">20"}


def _amount(field: str, text: str) -> int | None:
    if field == "duration":
        parts = _DURATION.fullmatch(text)
        if parts is None or not any(parts.groups()):
            return None
        counts = [int(part or 0) for part in parts.groups()]
        return (
            sum(count * unit for count, unit in zip(counts, (86_400, 3600, 60, 1), strict=True)) * 1_000_000
        )
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([kmg]?)", text)
    if match is None:
        return None
    return int(Decimal(match[1]) * _MULTIPLES[match[2]] * (1_000_000 if field == "cost" else 1))
