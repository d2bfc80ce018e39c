"""What the finder's screen says, as styled fragments. All that comes from sessions is made harmless here."""

from collections.abc import Collection, Mapping
from typing import Final

from prompt_toolkit.formatted_text import StyleAndTextTuples
from rich.cells import set_cell_size

from query.answers import Found, Hit, Snippet
from tapes.render import figures
from tapes.render.safe import safe_line
from tapes.render.session_list import shown_of

HELP: Final = "Enter prints ids · Tab marks · Esc leaves · ↑↓ PgUp PgDn move"
narrow_columns: Final = 60  # on narrower lists a day and a title are what there is room for
_project_columns: Final = 14
_month_at, _day_end = 5, 10  # in 2026-02-14 09:30


def rows(found: tuple[Found, ...], cursor: int, marked: Collection[str], columns: int) -> StyleAndTextTuples:
    """One line each, for a screen of so many columns. Signs, not only colours, say where the cursor is and what is marked."""
    lines: StyleAndTextTuples = []
    for number, one in enumerate(found):
        here = number == cursor
        mark = "*" if one.session.id in marked else " "
        lines.append(
            ("class:cursor" if here else "", f"{'>' if here else ' '}{mark} {_label(one, columns)}\n")
        )
    return lines


def _label(one: Found, columns: int) -> str:
    ended = figures.moment(one.session.ended_at)
    project = set_cell_size(safe_line(one.session.project or "-"), _project_columns)
    title = safe_line(one.title or "(no prompt)")
    matches = f"{one.matches:>4}x " if one.matches else ""
    if columns < narrow_columns:
        return f"{ended[_month_at:_day_end]} {matches}{title}"
    return f"{ended} {project} {matches}{title}"


def preview(one: Found | None, names: Mapping[str, str]) -> StyleAndTextTuples:
    """The session under the cursor: what it is, and where in it the words stand."""
    if one is None:
        return []
    session = one.session
    who = names.get(session.member, figures.short_id(session.member)) if session.member else "-"
    facts = (
        f"{figures.short_id(session.id)} · {session.status} · {session.turns} turns ·"
        f" {figures.count(session.tokens.total)} tokens ·"
        f" {figures.money(session.cost_usd_micro, session.unpriced_turns)}"
    )
    lines: StyleAndTextTuples = [
        ("class:heading", safe_line(one.title or "(no prompt)") + "\n"),
        ("", facts + "\n"),
        ("", safe_line(f"{who} · {session.project or '-'} · {', '.join(session.models) or '-'}") + "\n"),
    ]
    for hit in one.hits:
        lines += _hit(hit)
    if hidden := one.matches - len(one.hits):
        lines.append(("class:faint", f"and {hidden} more turns\n"))
    return lines


def _hit(hit: Hit) -> StyleAndTextTuples:
    return [
        ("class:faint", f"{hit.turn:>4} {safe_line(hit.role or 'turn')}: "),
        *_marked(hit.snippet),
        ("", "\n"),
    ]


def _marked(snippet: Snippet) -> StyleAndTextTuples:
    """Cut before made safe: what is made visible grows, and the marks would move."""
    pieces: StyleAndTextTuples = []
    at = 0
    for start, end in snippet.marks:
        pieces.append(("", _inline(snippet.text[at:start])))
        pieces.append(("class:match", _inline(snippet.text[start:end])))
        at = end
    return [*pieces, ("", _inline(snippet.text[at:]))]


def _inline(text: str) -> str:
    """As safe_line, but blanks at the ends stay: they part the pieces."""
    core = safe_line(text)
    return f"{' ' if text[:1].isspace() else ''}{core}{' ' if core and text[-1:].isspace() else ''}"


def status(shown: int, sessions: int | None, marked: int) -> str:
    """How many there are."""
    many = shown_of(shown, sessions)
    return many + (f" · {marked} marked" if marked else "")
