"""The session list: one row each, newest first, and what all of them cost together."""

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from query.answers import Listed, Session, Tokens, Totals
from tapes.render import figures
from tapes.render.tables import Column, plain_lines, terminal_table

_LOCAL: Final = "local"
_COLUMNS: Final = (
    Column("session", style="bold"),
    Column("project", flexible=True, drop=1, least=8),
    Column("started", drop=2),
    Column("took", right=True, drop=7),
    Column("turns", right=True, drop=5),
    Column("tokens", right=True, drop=4),
    Column("cost", right=True),
    Column("models", flexible=True, drop=6),
    Column("member", flexible=True, drop=3, least=8),
    Column("space"),
    Column("title", flexible=True, least=24),
)
_NOBODY: Final = _COLUMNS.index(next(column for column in _COLUMNS if column.title == "member"))
_SPACE: Final = _NOBODY + 1


def terminal_list(
    found: Listed, names: Mapping[str, str], width: int, zone: tzinfo | None = None
) -> Iterator[RenderableType]:
    """For people: a table that fits, and the totals of all that pass. `zone`: of the times; None: this machine's.

    Where nobody is a member and nothing is shared, nothing is said of either.
    """
    rows = [
        _row(session, figures.short_id(session.id), title, names, zone)
        for session, title in zip(found.sessions, found.titles, strict=True)
    ]
    bare = {_NOBODY: "", _SPACE: _LOCAL}
    kept = [n for n in range(len(_COLUMNS)) if n not in bare or any(row[n] != bare[n] for row in rows)]
    yield terminal_table([_COLUMNS[n] for n in kept], [[row[n] for n in kept] for row in rows], width)
    yield Text(f"\n{shown_of(len(rows), found.passing)} · {totals_line(found.totals)}", style="bold")


def piped_list(found: Listed, names: Mapping[str, str], zone: tzinfo | None = None) -> Iterator[str]:
    """For pipes: the whole id first on every line, and nothing but sessions."""
    titled = zip(found.sessions, found.titles, strict=True)
    return plain_lines(_COLUMNS, [_row(session, session.id, title, names, zone) for session, title in titled])


def untitled_line(sessions: int, *, kept: bool) -> str:
    """Why some have no title: a list asks the bucket nothing. `kept`: what a search reads stays on this device."""
    why = f"{counted(sessions)} without a title: what was asked there is not on this device"
    return f"{why}; `tapes search` reads it" if kept else why


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


def _row(
    session: Session, shown_id: str, title: str | None, names: Mapping[str, str], zone: tzinfo | None
) -> tuple[str, ...]:
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
        title or "",
    )


def _space(session: Session) -> str:
    """Who can read it, and whether all of it is in the bucket yet."""
    if session.space is None:
        return _LOCAL
    partly = "" if session.withheld_turns == session.turns else f"{session.withheld_turns} turns "
    remarks = (
        f"{partly}metadata only" * bool(session.withheld_turns),
        "not all synced" * (not session.synced),
    )
    return ", ".join(filter(None, (session.space, *remarks)))


def _classes(tokens: Tokens) -> tuple[int, int, int, int]:
    return tokens.input_uncached, tokens.cache_read, tokens.cache_write, tokens.output
