"""Times as nodes spell them, read."""

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(when: str | None) -> datetime | None:
    """An RFC 3339 time, UTC where it names no offset; None for None or for what is no time."""
    if when is None:
        return None
    try:
        parsed = datetime.fromisoformat(when)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def micros(when: str | None) -> int | None:
    """Microseconds since 1970 UTC of an RFC 3339 time; None for None or for what is no time."""
    aware = instant(when)
    if aware is None:
        return None
    delta = aware - _EPOCH  # integer arithmetic: a float of seconds loses microseconds
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
