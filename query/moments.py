"""Times as people give them: absolute, relative, today, yesterday; in a stated time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crypto.errors import UsageError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RELATIVE: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAYS: Final = {"today": 0, "yesterday": 1}
time_forms: Final = "2026-02-14, 2026-02-14T09:30, 7d, 24h, 30m, today or yesterday"


@dataclass(frozen=True, slots=True)
class Clock:
    """What "now" and "a day" mean for one question. `zone` None: the machine's own."""

    now: datetime  # aware
    zone: ZoneInfo | None = None

    @property
    def stated(self) -> str:
        """The zone as an answer names it."""
        if self.zone is not None:
            return self.zone.key
        offset = self.now.astimezone().strftime("%z")
        return f"local time (UTC{offset[:3]}:{offset[3:5]})"

    def today(self) -> date:
        """The day that it is in the zone."""
        return self.now.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """When a day begins in the zone. Where clocks skip midnight, the first moment after it."""
        return self.wall(datetime.combine(day, time()))

    def wall(self, naive: datetime) -> datetime:
        """A wall-clock time of the zone; what occurs twice is the first of the two."""
        # astimezone on a naive time asks the system for the offset of that very day, not of today.
        aware = naive.astimezone() if self.zone is None else naive.replace(tzinfo=self.zone)
        return aware.astimezone(UTC)


def clock_now(zone: str | None = None) -> Clock:
    """The clock of this moment; UsageError for a zone that the time zone database does not know."""
    try:
        return Clock(datetime.now(UTC), ZoneInfo(zone) if zone else None)
    except (
        ZoneInfoNotFoundError,
        ValueError,
        OSError,
    ) as error:  # OSError: a name that is a folder of the database
        raise UsageError(f"{zone!r} is no time zone", hint="a name such as Europe/Vienna or UTC") from error


def span(words: str, clock: Clock) -> tuple[datetime, datetime]:
    """First moment, and the one after the last, of what `words` mean: a day is its whole day, anything else one instant.

    ValueError for words that are no time.
    """
    lowered = words.strip().lower()
    try:
        if lowered in _DAYS:
            return _day(clock.today() - timedelta(days=_DAYS[lowered]), clock)
        if match := _RELATIVE.fullmatch(lowered):
            back = timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2]])
            return clock.now - back, clock.now - back
        if re.fullmatch(r"\d{4}-\d\d-\d\d", lowered):
            return _day(date.fromisoformat(lowered), clock)
        parsed = datetime.fromisoformat(words.strip())
        instant = parsed if parsed.tzinfo else clock.wall(parsed)
        return instant.astimezone(UTC), instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{words!r} is no time; times are {time_forms}") from error


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970 UTC, exact."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def rfc3339(since_1970_us: int | None) -> str | None:
    """A time as nodes spell their `created_at`; None for none, and for what lies outside the calendar (a row may claim it)."""
    if since_1970_us is None:
        return None
    try:
        when = _EPOCH + timedelta(microseconds=since_1970_us)
    except OverflowError:
        return None
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _day(day: date, clock: Clock) -> tuple[datetime, datetime]:
    return clock.midnight(day), clock.midnight(day + timedelta(days=1))
