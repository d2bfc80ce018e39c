"""What a search found: sessions, and under each the turns that match with the words in their place."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from query.answers import Answer, Asked, Found, Hit, Snippet
from tapes.render import figures
from tapes.render.safe import safe, safe_line
from tapes.render.session_list import counted, shown_of
from tapes.render.tables import Column, plain_lines

_COLUMNS: Final = (
    Column("session"),
    Column("matches", right=True),
    Column("started"),
    Column("status"),
    Column("project"),
    Column("member"),
    Column("cost", right=True),
    Column("title"),
)


_TURN_COLUMNS: Final = (
    Column("session"),
    Column("turn", right=True),
    Column("at"),
    Column("role"),
    Column("snippet"),
)


def terminal_results(answer: Answer, asked: Asked) -> Iterator[RenderableType]:
    """For people: a heading for each session, its turns below; turns one after the other share it."""
    above = ""
    for found in answer.found:
        if found.session.id != above:
            if above:
                yield Text()
            yield from _heading(found, asked)
        above = found.session.id
        for hit in found.hits:
            yield _hit(hit)
        if hidden := found.matches - len(found.hits):
            yield Text(f"     and {hidden} more", style="dim")
    yield Text()


def piped_results(answer: Answer, asked: Asked) -> Iterator[str]:
    """For pipes: the session's whole id first on every line, and a line for each session, or turn where those are the scope."""
    if asked.scope == "session":
        return plain_lines(_COLUMNS, [_row(found, asked) for found in answer.found])
    return plain_lines(
        _TURN_COLUMNS, [_turn_row(found, hit, asked) for found in answer.found for hit in found.hits]
    )


def _turn_row(found: Found, hit: Hit, asked: Asked) -> tuple[str, ...]:
    at = figures.moment(hit.at, asked.clock.zone)
    return found.session.id, str(hit.turn), at, hit.role or "", hit.snippet.text


def withheld_line(answer: Answer) -> str:
    """What no search can find, said: silence would read as "nothing there"."""
    turns = f"{answer.withheld} turn{' is' if answer.withheld == 1 else 's are'}"
    return f"{turns} metadata-only: what was said in them is not searched"


def unread_lines(problems: Iterable[str]) -> Iterator[str]:
    """What could not be read and so was not searched, each reason once."""
    return (f"not searched: {problem}" for problem in sorted(set(problems)))


def answer_line(answer: Answer, asked: Asked, ranked_newest: int | None) -> str:
    """How much there is, in which order, and what times meant. `ranked_newest`: how many matches an order by relevance saw."""
    parts = [_amount(answer, asked), f"by {asked.order}"]
    if ranked_newest is not None:
        parts[-1] += f" among the newest {ranked_newest} matches"
    if asked.chosen.timed or asked.clock.zone is not None:
        parts.append(f"times in {asked.clock.stated}")
    return " · ".join(parts)


def _amount(answer: Answer, asked: Asked) -> str:
    shown = len(answer.found)
    turns = f"{answer.matches} matching turn" + ("s" if answer.matches != 1 else "")
    if answer.more and asked.order != "relevance":  # which says by itself how many it looked at
        turns = f"over {turns}"
    if asked.scope != "session":
        of = f"{shown} of {turns}" if shown < answer.matches else turns
        return of if answer.sessions is None else f"{of} in {counted(answer.sessions)}"
    many = shown_of(shown, answer.sessions)
    return f"{many}, {turns}" if asked.chosen.text else many


def _heading(found: Found, asked: Asked) -> Iterator[Text]:
    """What it is called, cut where the screen ends, and below what it is."""
    session = found.session
    title = f"{figures.short_id(session.id)}  {safe_line(found.title or '(no prompt)')}"
    yield Text(title, style="bold", no_wrap=True, overflow="ellipsis")
    details = [
        figures.moment(session.started_at, asked.clock.zone),
        session.project or "",
        session.status,
        figures.money(session.cost_usd_micro, session.unpriced_turns),
        _who(found, asked.names),
    ]
    yield Text("     " + " · ".join(safe_line(part) for part in details if part), style="dim")


def _hit(hit: Hit) -> Text:
    line = Text(f"{hit.turn:>4} ", style="dim").append(f"{safe_line(hit.role or 'turn')}: ", style="dim")
    return line.append_text(_marked(hit.snippet))


def _marked(snippet: Snippet) -> Text:
    """Cut before made safe: what is made visible grows, and the marks would move."""
    line, at = Text(), 0
    for start, end in snippet.marks:
        line.append(safe(snippet.text[at:start]))
        line.append(safe(snippet.text[start:end]), style="bold yellow")
        at = end
    return line.append(safe(snippet.text[at:]))


def _row(found: Found, asked: Asked) -> tuple[str, ...]:
    session = found.session
    return (
        session.id,
        str(found.matches),
        figures.moment(session.started_at, asked.clock.zone),
        session.status,
        session.project or "",
        _who(found, asked.names),
        figures.money(session.cost_usd_micro, session.unpriced_turns),
        found.title or "",
    )


def _who(found: Found, names: Mapping[str, str]) -> str:
    member = found.session.member
    return names.get(member, figures.short_id(member)) if member else ""
