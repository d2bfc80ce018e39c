"""Published stats: what sessions that the team cannot read used, day by day, by one device. No text, no hash, no session id.

    stats = sealed (Kind.STATS) canonical JSON {days: [{day, sessions, uses: [{…}]}], device, format, level}

`level` says how much its device tells from here on: totals (no project is named), by-project, or off (all days are empty). A day
here replaces that device's same day of earlier objects: a conversation that is shared later is taken out by saying the day again.
All numbers are their author's word; what is checked is that they are numbers, and of a size that sums can bear.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from crypto.errors import FormatBroken
from crypto.sealing import Kind, SealKey, open_sealed, seal
from store.canonical import canonical, parse_canonical
from store.fields import Count, Hex32, Stored
from store.limits import MIB, label_bytes_max

stats_plain_bytes_max = 1 * MIB
stats_stored_bytes_max = 2 * stats_plain_bytes_max
days_max: Final = 4096  # of one object: eleven years
uses_max: Final = 1024  # of one day: models times projects
_day_ms: Final = 86_400_000
_ahead_ms: Final = 2 * _day_ms  # the author's clock may be wrong by a day, and its day may begin before UTC's

Level = Literal["off", "totals", "by-project"]


def _a_day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError("not a day as 2026-02-14")
    return text


def _a_label(text: str) -> str:
    if len(text.encode()) > label_bytes_max:
        raise ValueError("longer than a label")
    return text


Day = Annotated[str, AfterValidator(_a_day)]
Label = Annotated[str, AfterValidator(_a_label)]


class StatsUse(Stored):
    """What some turns of a day used: one model, one project (null: none, or not told). Money in micro-USD."""

    model: Label | None
    project: Label | None
    turns: Count
    input_uncached: Count
    cache_read: Count
    cache_write: Count
    output: Count
    cost_usd_micro: Count
    unpriced_turns: Count
    tool_calls: Count
    tool_errors: Count


class StatsDay(Stored):
    """A UTC day: sessions that ended on it, and what its turns used. Empty: nothing is told of it any more."""

    day: Day
    sessions: Count
    uses: Annotated[list[StatsUse], Field(max_length=uses_max)]


class Stats(Stored):
    """One published object."""

    format: Literal[0]
    device: Hex32
    level: Level
    days: Annotated[list[StatsDay], Field(max_length=days_max)]


def use_order(use: StatsUse) -> tuple[bool, str, bool, str]:
    """The order of a day's uses, each of which stands once."""
    return use.project is not None, use.project or "", use.model is not None, use.model or ""


def encode_stats(device: bytes, level: Level, days: Sequence[StatsDay]) -> bytes:
    """The plain bytes of an object. ValueError for what no reader would take."""
    stats = Stats(format=0, device=device.hex(), level=level, days=list(days))
    if problem := _problem(stats):
        raise ValueError(problem)
    return canonical(stats.model_dump())


def seal_stats(seal_key: SealKey, plain: bytes) -> bytes:
    """Seal `encode_stats`' bytes. ValueError over `stats_plain_bytes_max`."""
    if len(plain) > stats_plain_bytes_max:
        raise ValueError("too much for one object")
    return seal(seal_key, Kind.STATS, plain)


def open_stats(seal_key: SealKey, stored: bytes, name: str) -> Stats:
    """Open a sealed object that an error will call `name`; SealBroken or FormatBroken unless every rule of the format holds."""
    if len(stored) > stats_stored_bytes_max:
        raise FormatBroken(
            name, f"stats of {len(stored)} bytes are over the limit of {stats_stored_bytes_max}"
        )
    return parse_stats(open_sealed(seal_key, Kind.STATS, stored, name), name)


def parse_stats(plain: bytes, name: str) -> Stats:
    """What was sealed, checked."""
    if len(plain) > stats_plain_bytes_max:
        raise FormatBroken(name, f"{len(plain)} bytes are over the limit of {stats_plain_bytes_max}")
    try:
        stats = Stats.model_validate(parse_canonical(plain, name))
    except ValidationError as broken:
        first = broken.errors(include_input=False, include_context=False)[0]
        raise FormatBroken(name, f"{first['loc']}: {first['msg']}") from None
    if problem := _problem(stats):
        raise FormatBroken(name, problem)
    return stats


def check_stats_author(stats: Stats, device: bytes, at_ms: int, name: str) -> None:
    """Refuse another device's numbers, and days that had not begun when the commit says it was made."""
    if stats.device != device.hex():
        raise FormatBroken(name, "tells the numbers of another device than its commit's")
    newest = _utc_day(at_ms + _ahead_ms)
    if stats.days and (newest is None or stats.days[-1].day > newest):
        raise FormatBroken(name, "tells of a day that had not begun")


def _utc_day(at_ms: int) -> str | None:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # a clock beyond the calendar
        return None


def _problem(stats: Stats) -> str:
    """The first rule broken between the parts; empty if none. One spelling: days and uses stand in order, each once."""
    if any(earlier.day >= later.day for earlier, later in pairwise(stats.days)):
        return "its days are not in order"
    for day in stats.days:
        keys = [use_order(use) for use in day.uses]
        if any(earlier >= later for earlier, later in pairwise(keys)):
            return f"the uses of {day.day} are not in order"
        if stats.level == "off" and (day.uses or day.sessions):
            return "says off, and tells all the same"
        if stats.level == "totals" and any(use.project is not None for use in day.uses):
            return "says totals, and names a project"
    return ""
