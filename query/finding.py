"""What a line means while it is being typed: filters that are complete, words said in a turn, or letters of a session's label.

The last word is taken as a beginning. Sessions in which the words are said come first, in the order asked for; then those whose
label (project, agent, models, member, status, id, title as far as it was shown) has the letters of every word in order.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from query.answers import Asked, Found
from query.catalog import Catalog
from query.facts import Chosen, choose, facts_of
from query.filter import SessionFilter
from query.fuzzy import fuzzy_score
from query.grammar import parse_line
from query.search import search, shown_sessions
from query.source import Source
from query.texts import Texts
from query.words import Words

_OPEN_WORD: Final = re.compile(
    r'(?:^|\s)[^\s":*@-][^\s":*]*\Z'
)  # a plain word under the cursor, no filter, no quote
_PLAIN: Final = re.compile(r'[^"*-][^"*]*')
_OPERATORS: Final = frozenset({"OR", "AND", "NOT"})


@dataclass(frozen=True, slots=True)
class Listing:
    """The sessions to show for a line, and how many there are; None where they were not counted (query/search.Answer)."""

    found: tuple[Found, ...]
    sessions: int | None


@dataclass(slots=True)
class Finder:
    """Answers one line after the other over one source; its paths are read once. `asked.chosen` holds for every line."""

    source: Source
    texts: Texts
    words: Words
    asked: Asked
    saved: Callable[[str], SessionFilter] | None = None
    _catalog: Catalog | None = None
    _titles: dict[str, str] = field(default_factory=dict)

    def look(self, line: str) -> Listing:
        """The sessions that a line means. UsageError for one that means nothing, or nothing yet."""
        if self._catalog is None:
            self._catalog = Catalog(self.source)
        chosen = self.asked.chosen.merged(parse_line(_opened(line), self.saved))
        answer = search(
            self.source, replace(self.asked, chosen=chosen), self.words, self.texts, self._catalog
        )
        found, sessions = answer.found, answer.sessions
        typed = _plain_words(chosen.text)
        if typed and sessions == len(found):  # else those that say it fill the list alone
            known = {one.session.id for one in found}
            alike, more = self._alike(chosen, typed, known, self.asked.limit - len(found))
            found, sessions = (*found, *alike), len(found) + more
        self._titles.update({one.session.id: one.title for one in found if one.title})
        return Listing(found, sessions)

    def _alike(
        self, chosen: SessionFilter, typed: Sequence[str], known: set[str], room: int
    ) -> tuple[list[Found], int]:
        """Sessions whose label has the letters, best first, as many as there is room for; and how many there are."""
        asked = self.asked
        unworded = chosen.model_copy(update={"text": None})
        passing = choose(self.source, unworded, asked.clock, asked.names, self._catalog)
        scored = []
        for place, number in enumerate(passing.numbers):
            session_id = passing.paths.known[number].head.hash
            score = None if session_id in known else fuzzy_score(typed, self._label(passing, number))
            if score is not None:
                scored.append((score, place))
        places = [place for _, place in sorted(scored)[: max(0, room)]]
        return list(shown_sessions(passing, places, self.texts)), len(scored)

    def _label(self, passing: Chosen, number: int) -> str:
        session = facts_of(passing.paths.known[number])
        member = self.asked.names.get(session.member or "", "")
        title = self._titles.get(session.id, "")
        parts = (session.project, session.agent, *session.models, member, session.status, session.id, title)
        return " ".join(part for part in parts if part)


def _opened(line: str) -> str:
    """The line with the word under the cursor taken as a beginning."""
    match = _OPEN_WORD.search(line)
    whole = match is None or match[0].strip() in _OPERATORS or not line[-1].isalnum()
    return line if whole or line.count('"') % 2 else line + "*"


def _plain_words(text: str | None) -> list[str]:
    """The words of a query that is nothing but words; with operators it says exactly what it means."""
    pieces = (text or "").removesuffix("*").split()
    if any(piece in _OPERATORS or not _PLAIN.fullmatch(piece) for piece in pieces):
        return []
    return pieces
