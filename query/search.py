"""Search: words, filters and order in one plan; hits grouped by session or one by one, each turn once.

The words give rows that this member may see (query/indexed.py or query/scan.py), so that what is superseded, another space's or
gone drops out; the filter gives sessions; a turn that forks share is shown in the newest of the sessions it is in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crypto.errors import UsageError
from query.answers import Answer, Asked, Found, Hit, Order, Snippet
from query.catalog import Catalog, Turn
from query.facts import Chosen, choose, facts_of, owners_of
from query.forest import Numbers, nowhere
from query.grammar import Query, parse_words
from query.moments import rfc3339
from query.paths import Path
from query.snippets import snippet_of
from query.source import Source
from query.texts import Texts
from query.titles import title_of
from query.words import HastyWords, Ranked, Words
from store.texts import told_and_tools, unmarked

turns_shown: Final = 3  # of one session
matches_counted_max: Final = 10_000  # to count more would cost a common word many times its answer


@dataclass(frozen=True, slots=True)
class _Group:
    """A chosen session (its place in Chosen), how many of its turns match, and the rows of those to show, best first."""

    place: int
    matches: int
    turns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Matches:
    """Turns that match, each with the place of its session in Chosen and its score."""

    rows: Numbers
    places: Numbers
    scores: NDArray[np.float64]
    more: bool

    @classmethod
    def of(cls, chosen: Chosen, owners: Numbers, ranked: Ranked) -> "_Matches":
        """Those that a chosen session shows."""
        places = owners[chosen.catalog.segment[ranked.rows]]
        shown = places != nowhere
        return cls(ranked.rows[shown], places[shown], ranked.scores[shown], ranked.more)

    def of_places(self, wanted: NDArray[np.int64], position: Numbers) -> "dict[int, list[int]]":
        """By place, the rows: best first; of equal score the latest of the path first."""
        some = np.isin(self.places, wanted)
        rows, places = self.rows[some], self.places[some]
        order = np.lexsort((-position[rows], -self.scores[some], places))
        rows, places = rows[order], places[order]
        rising = np.sort(wanted)
        edges = np.searchsorted(places, rising), np.searchsorted(places, rising, side="right")
        return {int(place): rows[a:b].tolist() for place, a, b in zip(rising, *edges, strict=True)}


def search(
    source: Source, asked: Asked, words: Words, texts: Texts, catalog: Catalog | None = None
) -> Answer:
    """Sessions that pass the filter and, where words are asked for, have turns that match. UsageError for a bad query.

    Turns as a scope need words.

    `catalog`: of this very source, from a process that searches it again and again.
    """
    text = asked.chosen.text
    query = parse_words(text) if text is not None else None
    if query is None and asked.scope != "session":
        raise UsageError("a search for turns needs words", hint="give words, or leave the scope out")
    chosen = choose(source, asked.chosen, asked.clock, asked.names, catalog)
    known = len(chosen.paths.known)
    if query is None:
        everything = np.arange(len(chosen.numbers))
        first = ordered(chosen, asked.order, everything)[: asked.limit]
        shown = tuple(shown_sessions(chosen, first.tolist(), texts))
        return Answer(shown, len(everything), 0, 0, known=known)
    found = _found(chosen, query, words, asked)
    matched = np.unique(found.places).astype(np.int64)
    groups = _groups(chosen, found, ordered(chosen, asked.order, matched, found)[: asked.limit], asked)
    shown = tuple(_shown(chosen, groups, query, texts, in_tools=asked.scope == "tool"))
    if found.more or len(found.rows) > matches_counted_max:
        matches = min(len(found.rows), matches_counted_max)
        return Answer(shown, None, matches, texts.wordless(), more=True, known=known)
    return Answer(shown, len(matched), len(found.rows), texts.wordless(), known=known)


def shown_sessions(chosen: Chosen, places: Sequence[int], texts: Texts) -> Iterator[Found]:
    """Some of the chosen sessions, by their place, as a search without words shows them."""
    return _shown(chosen, [_Group(place, 0, ()) for place in places], None, texts, in_tools=False)


def _found(chosen: Chosen, query: Query, words: Words, asked: Asked) -> _Matches:
    """The matches, or as many as decide the answer."""
    owners, in_tools = owners_of(chosen), asked.scope == "tool"
    if asked.order == "relevance":
        return _Matches.of(chosen, owners, words.ranked(query, in_tools=in_tools))
    if asked.order == "date" and isinstance(words, HastyWords):
        newest = words.newest(query, owners, asked.limit, matches_counted_max, in_tools=in_tools)
        return _Matches.of(chosen, owners, Ranked(newest.rows, np.zeros(len(newest.rows)), newest.more))
    rows = words.find(query, in_tools=in_tools)
    return _Matches.of(chosen, owners, Ranked(rows, np.zeros(len(rows)), more=False))


def _groups(chosen: Chosen, found: _Matches, places: NDArray[np.int64], asked: Asked) -> list[_Group]:
    """What is shown of some sessions, in their order; where turns are the scope, one for each, at most so many."""
    turns = found.of_places(places, chosen.catalog.position)
    if asked.scope == "session":
        return [
            _Group(place, len(turns[place]), tuple(turns[place][:turns_shown])) for place in places.tolist()
        ]
    each = [_Group(place, 1, (turn,)) for place in places.tolist() for turn in turns[place]]
    if asked.order == "relevance":
        scores = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
        each.sort(key=lambda group: (-scores[group.turns[0]], group.place))
    return each[: asked.limit]


def ordered(
    chosen: Chosen, order: Order, places: NDArray[np.int64], found: _Matches | None = None
) -> NDArray[np.int64]:
    """Rising places (in `chosen.numbers`), best first.

    They count newest first, so they are both the order by date and the tie-break of the others.
    """
    if order in {"cost", "duration", "tokens"}:
        best = chosen.catalog.amounts[order][chosen.numbers]
    elif order == "relevance" and found is not None:
        best = np.full(len(chosen.numbers), -np.inf)
        np.maximum.at(best, found.places, found.scores)
    else:
        return places
    return places[np.lexsort((places, -best[places]))]


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _shown(
    chosen: Chosen, groups: Sequence[_Group], query: Query | None, texts: Texts, *, in_tools: bool
) -> Iterator[Found]:
    turns = chosen.catalog.turns([row for group in groups for row in group.turns])
    prompts = {group.place: _path_of(chosen, group).whole.prompts for group in groups}
    wanted = {turn.hash for turn in turns.values()}
    wanted.update(prompt for hashes in prompts.values() for prompt in hashes)
    said = dict(texts.every(wanted)) if wanted else {}
    phrases = query.sought if query is not None else ()
    for group in groups:
        some = sorted((turns[row] for row in group.turns), key=lambda turn: turn.number)
        snippets = (snippet_of(_seen(said.get(turn.hash, ""), in_tools), phrases) for turn in some)
        hits = tuple(map(_hit, some, snippets))
        title = title_of(unmarked(said.get(prompt, "")) for prompt in reversed(prompts[group.place]))
        yield Found(facts_of(_path_of(chosen, group)), title, group.matches, hits)


def _seen(text: str, in_tools: bool) -> str:  # noqa: FBT001 - its one caller's own word
    """What of a turn a snippet is cut from."""
    return told_and_tools(text)[1] if in_tools else unmarked(text)


def _hit(turn: Turn, snippet: Snippet) -> Hit:
    return Hit(turn.hash.hex(), turn.number, turn.role, rfc3339(turn.at_us), snippet)


def _path_of(chosen: Chosen, group: _Group) -> Path:
    return chosen.paths.known[int(chosen.numbers[group.place])]
