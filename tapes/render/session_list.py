"""The session list: one row each, newest first, and what all of them cost together."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from query.answers import Session, SessionList, Tokens, Totals
from tapes.render import figures
from tapes.render.tables import Column, plain_lines, terminal_table

_COLUMNS: Final = (
    Column("session", style="bold"),
    Column("project", flexible=True),
    Column("started"),
    Column("took", right=True, drop=5),
    Column("turns", right=True, drop=2),
    Column("tokens", right=True, drop=1),
    Column("cost", right=True),
    Column("models", flexible=True, drop=4),
    Column("member", flexible=True, drop=3),
    Column("space"),
)


def terminal_list(
    found: SessionList,
    names: Mapping[str, str],
    width: int,
    zone: tzinfo | None = None,
    passing: int | None = None,
) -> Iterator[RenderableType]:
    """For people: a table that fits, and the totals, of as many as are `passing`. `zone`: of the times; None: this machine's."""
    rows = [_row(session, figures.short_id(session.id), names, zone) for session in found.sessions]
    yield terminal_table(_COLUMNS, rows, width)
    yield Text(f"\n{shown_of(len(rows), passing or len(rows))} · {totals_line(found.totals)}", style="bold")


def piped_list(
    sessions: Sequence[Session], names: Mapping[str, str], zone: tzinfo | None = None
) -> Iterator[str]:
    """For pipes: the whole id first on every line, and nothing but sessions."""
    return plain_lines(_COLUMNS, [_row(session, session.id, names, zone) for session in sessions])


def counted(sessions: int) -> str:
    """How many sessions, in words."""
    return f"{sessions} session" + ("s" if sessions != 1 else "")


def shown_of(shown: int, sessions: int | None) -> str:
    """How many are shown of how many; None: of more than were counted."""
    if sessions is None:
        return f"{counted(shown)} of more"
    return f"{shown} of {counted(sessions)}" if shown < sessions else counted(sessions)


def totals_line(totals: Totals) -> str:
    """Every node counted once, however many sessions it is part of."""
    tokens = sum(_classes(totals.tokens))
    return (
        f"{totals.nodes} turns · {figures.count(tokens)} tokens ·"
        f" {figures.money(totals.cost_usd_micro, totals.unpriced_turns)}"
    )


def _row(session: Session, shown_id: str, names: Mapping[str, str], zone: tzinfo | None) -> tuple[str, ...]:
    return (
        shown_id,
        session.project or "",
        figures.moment(session.started_at, zone),
        figures.duration(session.started_at, session.ended_at),
        str(session.turns),
        figures.count(sum(_classes(session.tokens))),
        figures.money(session.cost_usd_micro, session.unpriced_turns),
        ", ".join(session.models),
        names.get(session.member, figures.short_id(session.member)) if session.member else "",
        _space(session),
    )


def _space(session: Session) -> str:
    """Who can read it, and whether all of it is in the bucket yet."""
    if session.space is None:
        return "local"
    partly = "" if session.withheld_turns == session.turns else f"{session.withheld_turns} turns "
    remarks = (
        f"{partly}metadata only" * bool(session.withheld_turns),
        "not all synced" * (not session.synced),
    )
    return ", ".join(filter(None, (session.space, *remarks)))


def _classes(tokens: Tokens) -> tuple[int, int, int, int]:
    return tokens.input_uncached, tokens.cache_read, tokens.cache_write, tokens.output
