"""Times as agents write them, and as nodes carry them."""

from datetime import UTC, datetime
from typing import Any


def parse_time(value: Any) -> datetime | None:
    """An ISO 8601 time in UTC; one without zone is UTC. None for what is no time."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is UTC:  # as nearly all logs write it
            return at
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: year 1 or 9999 moved out of range by its zone
        return None


def format_time(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds and Z, the one form nodes carry."""
    return None if at is None else at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
