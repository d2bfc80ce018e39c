"""Search: words, filters and order in one plan; hits grouped by session, each turn once.

The words give node hashes (query/index.py or query/scan.py); DuckDB joins them with the rows that this member may see, so that
what is superseded, another space's or gone drops out; the filter gives sessions; a turn that forks share is shown in the newest
of the sessions it is in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol, runtime_checkable

import pyarrow as pa

from crypto.errors import UsageError
from query.facts import Chosen, SessionFacts, choose, facts_of, owners_of
from query.filter import SessionFilter
from query.forest import nowhere
from query.grammar import Query, parse_words
from query.moments import Clock, rfc3339
from query.paths import Path, Paths
from query.snippets import Snippet, snippet_of
from query.source import Source
from query.texts import Texts
from query.titles import title_of
from query.words import Words, tool_phrase

Order = Literal["date", "relevance", "cost", "duration", "tokens"]
turns_shown: Final = 3  # of one session
_MATCHED: Final = "SELECT id FROM rows JOIN found USING (hash)"
_SCORED: Final = "SELECT id, score FROM rows JOIN found USING (hash)"
_SHOWN: Final = """
SELECT session, id, turn, hash, role, epoch_us(created_us) FROM (
    SELECT session, id, hash, role, created_us, wanted,
        count(*) FILTER (kind = 'message') OVER (PARTITION BY session ORDER BY step) AS turn
    FROM steps JOIN rows USING (id)
) WHERE wanted ORDER BY session, turn
"""


@runtime_checkable
class RankedWords(Protocol):
    """Words that know how well a node matches."""

    def ranked(self, query: Query) -> list[tuple[bytes, float]]:
        """(hash, score) of the newest matches; the higher, the better."""
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that matches. `turn` counts from 1 as `tapes show` does; times are RFC 3339 UTC."""

    node: str
    turn: int
    role: str | None
    at: str | None
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Found:
    """A session with its matching turns: how many, and the first few of them. None match where no words were asked for."""

    session: SessionFacts
    title: str | None
    matches: int
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found: the sessions shown, how many there are, and how many turns match in all of them."""

    found: tuple[Found, ...]
    sessions: int
    matches: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A search. `limit`: sessions shown at most."""

    chosen: SessionFilter
    clock: Clock
    names: Mapping[str, str]  # what members call themselves, by hex id
    order: Order = "date"
    limit: int = 20


@dataclass(frozen=True, slots=True)
class _Group:
    """A chosen session (its place in Chosen) and the ids of the turns it shows, best first."""

    place: int
    turns: tuple[int, ...]
    score: float


def search(source: Source, asked: Asked, words: Words, texts: Texts, paths: Paths | None = None) -> Answer:
    """Sessions that pass the filter and, where words are asked for, have turns that match. UsageError for a bad query.

    `paths`: those of this very source, from a process that searches it again and again.
    """
    text = asked.chosen.text
    query = parse_words(text) if text is not None else None
    chosen = choose(source, asked.chosen, asked.clock, asked.names, tools_in(source, words), paths)
    groups = (
        _all_of(chosen) if query is None else _grouped(chosen, _scores(source, query, words, asked.order))
    )
    ordered = sorted(groups, key=_key_of(asked.order, chosen))
    shown = _shown(source, chosen, ordered[: asked.limit], query, texts)
    return Answer(tuple(shown), len(ordered), sum(len(group.turns) for group in ordered))


def shown_sessions(source: Source, chosen: Chosen, places: Sequence[int], texts: Texts) -> Iterator[Found]:
    """Some of the chosen sessions, by their place, as a search without words shows them."""
    return _shown(source, chosen, [_Group(place, (), 0.0) for place in places], None, texts)


def tools_in(source: Source, words: Words) -> Callable[[Sequence[str]], list[int]]:
    """Finds the rows whose nodes may call some tools."""
    return lambda names: _ids(source, words.calling([tool_phrase(name) for name in names]))


def _ids(source: Source, hashes: Iterable[bytes]) -> list[int]:
    table = pa.table({"hash": pa.array(hashes, pa.binary())})
    with source.engine.table("found", table):
        return [node for (node,) in source.engine.all(_MATCHED)]


def _scores(source: Source, query: Query, words: Words, order: Order) -> dict[int, float]:
    """Matching rows; their scores where the order asks for them."""
    if order != "relevance":
        return dict.fromkeys(_ids(source, words.find(query)), 0.0)
    if not isinstance(words, RankedWords):
        raise UsageError("an order by relevance needs the word index", hint="tapes reindex, or --sort date")
    ranked = words.ranked(query)
    columns = {"hash": [row[0] for row in ranked], "score": [row[1] for row in ranked]}
    schema = pa.schema([("hash", pa.binary()), ("score", pa.float64())])
    with source.engine.table("found", pa.table(columns, schema=schema)):
        return dict(source.engine.all(_SCORED))


def _all_of(chosen: Chosen) -> list[_Group]:
    return [_Group(place, (), 0.0) for place in range(len(chosen.numbers))]


def _grouped(chosen: Chosen, scores: Mapping[int, float]) -> list[_Group]:
    """Matches by session, best first, then the latest of the path first."""
    forest, owners = chosen.paths.forest, owners_of(chosen)
    turns: dict[int, list[int]] = {}
    for node in scores:
        segment = forest.segment[node]
        if segment != nowhere and owners[segment] != nowhere:
            turns.setdefault(owners[segment], []).append(node)
    groups = []
    for place, nodes in turns.items():
        nodes.sort(key=lambda node: (-scores[node], -forest.position[node]))
        groups.append(_Group(place, tuple(nodes), scores[nodes[0]]))
    return groups


def _key_of(order: Order, chosen: Chosen) -> Callable[[_Group], tuple[float, int]]:
    """Places count newest first, so they are both the order by date and the tie-break of the others."""
    amounts: dict[Order, Callable[[_Group], float]] = {
        "date": lambda _: 0,
        "relevance": lambda group: group.score,
        "cost": lambda group: _path_of(chosen, group).whole.cost_usd_micro,
        "duration": lambda group: _path_of(chosen, group).whole.duration_us or 0,
        "tokens": lambda group: _path_of(chosen, group).whole.tokens.total,
    }
    amount = amounts[order]
    return lambda group: (-amount(group), group.place)


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _shown(
    source: Source, chosen: Chosen, groups: Sequence[_Group], query: Query | None, texts: Texts
) -> Iterator[Found]:
    hits = _hits(source, chosen, groups)
    prompts = {group.place: _path_of(chosen, group).whole.prompts for group in groups}
    wanted = {bytes.fromhex(hit.node) for found in hits.values() for hit in found}
    wanted.update(prompt for hashes in prompts.values() for prompt in hashes)
    said = dict(texts.every(wanted)) if wanted else {}
    phrases = query.sought if query is not None else ()
    for group in groups:
        marked = [
            replace(hit, snippet=snippet_of(said.get(bytes.fromhex(hit.node), ""), phrases))
            for hit in hits.get(group.place, ())
        ]
        title = title_of(said.get(prompt, "") for prompt in reversed(prompts[group.place]))
        yield Found(facts_of(_path_of(chosen, group)), title, len(group.turns), tuple(marked))


def _hits(source: Source, chosen: Chosen, groups: Sequence[_Group]) -> dict[int, list[Hit]]:
    """The turns to show of each group, without their text, in the order they were said."""
    columns: dict[str, list[Any]] = {"session": [], "step": [], "id": [], "wanted": []}
    for group in groups:
        wanted = set(group.turns[:turns_shown])
        for step, node in enumerate(_nodes_down_to(chosen, group)) if wanted else ():
            for name, value in zip(columns, (group.place, step, node, node in wanted), strict=True):
                columns[name].append(value)
    schema = pa.schema(
        [("session", pa.int64()), ("step", pa.int64()), ("id", pa.int64()), ("wanted", pa.bool_())]
    )
    found: dict[int, list[Hit]] = {}
    with source.engine.table("steps", pa.table(columns, schema=schema)):
        for place, _, turn, node_hash, role, at_us in source.engine.stream(_SHOWN):
            hit = Hit(node_hash.hex(), turn, role, rfc3339(at_us), Snippet("", ()))
            found.setdefault(place, []).append(hit)
    return found


def _nodes_down_to(chosen: Chosen, group: _Group) -> list[int]:
    """The path of a group's session, root first."""
    paths = chosen.paths
    node, way = paths.forest.leaf[_path_of(chosen, group).segment], []
    while node != nowhere:
        way.append(node)
        node = paths.parents[node]
    return way[::-1]


def _path_of(chosen: Chosen, group: _Group) -> Path:
    return chosen.paths.known[chosen.numbers[group.place]]
