"""`tapes team invite`."""

import re
import time
from typing import Annotated, Final

from cyclopts import Parameter

from crypto.errors import UsageError
from sync.links import format_link
from sync.membership import invite
from sync.team import InviteTerms
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk

uses_max: Final = 1000
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,3})([mhdw])\Z")


def team_invite(
    *,
    uses: Annotated[int, Parameter(help="How many may join with it.")] = 1,
    expires: Annotated[str, Parameter(help="How long it is open, as 12h, 7d or 2w; or never.")] = "7d",
    flags: Flags = no_flags,
) -> int:
    """Print an invite link. Whoever holds it can read the team's sessions, even without joining: send it over a safe channel."""
    run = begin(flags)
    if not 1 <= uses <= uses_max:
        raise UsageError(f"--uses {uses} is not possible", hint=f"1 to {uses_max}")
    expires_at_ms = _expiry(expires)
    with Desk(run) as desk:
        desk.lock()
        link = invite(desk.client, InviteTerms(uses, expires_at_ms), desk.bucket)
    text = format_link(link)
    if flags.json:
        run.out.answer("team-invite", {"link": text, "uses": uses, "expires_at_ms": expires_at_ms})
    else:
        run.out.lines([text])
    run.out.warn(
        "whoever holds this link can read the team's sessions, even without joining, as long as it is open;"
        " it holds no bucket credentials: give those separately"
    )
    return 0


def _expiry(span: str) -> int | None:
    """Milliseconds since 1970 at which a link made now ends; None for never."""
    if span == "never":
        return None
    match = _SPAN.match(span)
    if match is None:
        raise UsageError(f"--expires {span!r} is no time span", hint="as 30m, 12h, 7d, 2w, or never")
    return time.time_ns() // 1_000_000 + int(match[1]) * _SECONDS[match[2]] * 1000
