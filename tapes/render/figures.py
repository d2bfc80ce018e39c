"""Numbers, times and ids as people read them."""

from datetime import tzinfo
from typing import Final

from store.times import instant

short_id_chars: Final = 12
_KIB: Final = 1024
_unpriced: Final = "unpriced"


def short_id(digest: str) -> str:
    """The first characters of a hash: enough to name it, and accepted back."""
    return digest[:short_id_chars]


def count(number: int) -> str:
    """1234567 as 1.2M; below ten thousand in full."""
    value, unit = float(number), ""
    for unit in ("", "k", "M", "G", "T"):
        if value < (10_000 if unit == "" else 1_000) or unit == "T":
            break
        value /= 1_000
    return str(number) if unit == "" else f"{value:.1f}{unit}"


def several(number: int, noun: str, plural: str = "") -> str:
    """`1 turn`, `2 turns`, `12.3k turns`; `plural` where an s does not do."""
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def size(number_bytes: int) -> str:
    """Bytes as 3.4 MiB."""
    value = float(number_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIB
    return f"{value:.1f} TiB"


def money(usd_micro: int | None, unpriced_turns: int = 0) -> str:
    """Micro-USD as $1.23; an unknown price is never $0: it says how many turns it leaves out."""
    if usd_micro is None:
        return _unpriced if unpriced_turns else "-"
    dollars = (
        f"${usd_micro / 1_000_000:,.2f}"
        if usd_micro >= 10_000 or usd_micro == 0
        else f"${usd_micro / 1_000_000:.4f}"
    )
    if not unpriced_turns:
        return dollars
    return _unpriced if usd_micro == 0 else f"{dollars} + {unpriced_turns} {_unpriced}"


def moment(when: str | None, zone: tzinfo | None = None) -> str:
    """An RFC 3339 time as `2026-02-14 09:30` of the zone, None: of this machine; what is no time is shown as a dash."""
    parsed = instant(when)
    return parsed.astimezone(zone).strftime("%Y-%m-%d %H:%M") if parsed else "-"


def stated_moment(when: str | None) -> str:
    """As `moment`, with this machine's offset at that time: `2026-02-14 09:30+01:00`."""
    parsed = instant(when)
    return parsed.astimezone().isoformat(" ", "minutes") if parsed else "-"


def clock(when: str | None) -> str:
    """An RFC 3339 time as local `09:30:12`."""
    parsed = instant(when)
    return parsed.astimezone().strftime("%H:%M:%S") if parsed else ""


def duration(started_at: str | None, ended_at: str | None) -> str:
    """The time between two RFC 3339 times as 45s, 12m, 3h05m or 2d4h."""
    begin, end = instant(started_at), instant(ended_at)
    if begin is None or end is None:
        return "-"
    seconds = max(0, int((end - begin).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{minutes}m" if minutes else f"{seconds}s"
