"""Search: words, filters and order in one plan; hits grouped by session or one by one, each turn once.

The words give node hashes (query/index.py or query/scan.py); DuckDB joins them with the rows that this member may see, so that
what is superseded, another space's or gone drops out; the filter gives sessions; a turn that forks share is shown in the newest
of the sessions it is in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

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
from query.words import Words
from store.texts import told_and_tools, unmarked

Order = Literal["date", "relevance", "cost", "duration", "tokens"]
Scope = Literal[
    "session", "turn", "tool"
]  # hits by session; one by one; one by one, of tool calls and results alone
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
    """A session with its matching turns: how many, and the first few of them. None match where no words were asked for.

    In a search for turns: a session with one of them.
    """

    session: SessionFacts
    title: str | None
    matches: int
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found: what is shown, in how many sessions something was found, and how many turns match in all of them.

    `withheld`: turns that no words could find, since only their metadata is known; 0 where no words were asked for.
    """

    found: tuple[Found, ...]
    sessions: int
    matches: int
    withheld: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A search. `limit`: sessions, or turns where those are the scope, shown at most."""

    chosen: SessionFilter
    clock: Clock
    names: Mapping[str, str]  # what members call themselves, by hex id
    order: Order = "date"
    limit: int = 20
    scope: Scope = "session"


@dataclass(frozen=True, slots=True)
class _Group:
    """A chosen session (its place in Chosen) and the ids of the turns found in it, best first."""

    place: int
    turns: tuple[int, ...]
    score: float  # of the best
    scores: tuple[float, ...] = ()  # of each turn

    @property
    def scored(self) -> Iterator[tuple[int, float]]:
        """Each turn with its score."""
        return zip(self.turns, self.scores, strict=True)


def search(source: Source, asked: Asked, words: Words, texts: Texts, paths: Paths | None = None) -> Answer:
    """Sessions that pass the filter and, where words are asked for, have turns that match. UsageError for a bad query.

    Turns as a scope need words.

    `paths`: those of this very source, from a process that searches it again and again.
    """
    text = asked.chosen.text
    query = parse_words(text) if text is not None else None
    chosen = choose(source, asked.chosen, asked.clock, asked.names, paths)
    in_tools = asked.scope == "tool"
    if query is None:
        if asked.scope != "session":
            raise UsageError("a search for turns needs words", hint="give words, or leave the scope out")
        groups = _all_of(chosen)
    else:
        groups = _grouped(chosen, _scores(source, query, words, asked.order, in_tools=in_tools))
    sessions, matches = len(groups), sum(len(group.turns) for group in groups)
    if asked.scope != "session":
        groups = [_Group(one.place, (turn,), score) for one in groups for turn, score in one.scored]
    ordered = sorted(groups, key=_key_of(asked.order, chosen))
    shown = _shown(source, chosen, ordered[: asked.limit], query, texts, in_tools=in_tools)
    withheld = texts.wordless() if query is not None else 0
    return Answer(tuple(shown), sessions, matches, withheld)


def shown_sessions(source: Source, chosen: Chosen, places: Sequence[int], texts: Texts) -> Iterator[Found]:
    """Some of the chosen sessions, by their place, as a search without words shows them."""
    groups = [_Group(place, (), 0.0) for place in places]
    return _shown(source, chosen, groups, None, texts, in_tools=False)


def _ids(source: Source, hashes: Iterable[bytes]) -> list[int]:
    table = pa.table({"hash": pa.array(hashes, pa.binary())})
    with source.engine.table("found", table):
        return [node for (node,) in source.engine.all(_MATCHED)]


def _scores(source: Source, query: Query, words: Words, order: Order, *, in_tools: bool) -> dict[int, float]:
    """Matching rows; their scores where the order asks for them."""
    if order != "relevance":
        return dict.fromkeys(_ids(source, words.find(query, in_tools=in_tools)), 0.0)
    ranked = words.ranked(query, in_tools=in_tools)
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
        groups.append(_Group(place, tuple(nodes), scores[nodes[0]], tuple(scores[node] for node in nodes)))
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
    source: Source,
    chosen: Chosen,
    groups: Sequence[_Group],
    query: Query | None,
    texts: Texts,
    *,
    in_tools: bool,
) -> Iterator[Found]:
    hits = _hits(source, chosen, groups)
    prompts = {group.place: _path_of(chosen, group).whole.prompts for group in groups}
    wanted = {bytes.fromhex(hit.node) for hit in hits.values()}
    wanted.update(prompt for hashes in prompts.values() for prompt in hashes)
    said = dict(texts.every(wanted)) if wanted else {}
    phrases = query.sought if query is not None else ()
    for group in groups:
        found = sorted((hits[node] for node in group.turns[:turns_shown]), key=lambda hit: hit.turn)
        marked = [
            replace(hit, snippet=snippet_of(_seen(said.get(bytes.fromhex(hit.node), ""), in_tools), phrases))
            for hit in found
        ]
        title = title_of(unmarked(said.get(prompt, "")) for prompt in reversed(prompts[group.place]))
        yield Found(facts_of(_path_of(chosen, group)), title, len(group.turns), tuple(marked))


def _seen(text: str, in_tools: bool) -> str:  # noqa: FBT001 - its one caller's own word
    """What of a turn a snippet is cut from."""
    return told_and_tools(text)[1] if in_tools else unmarked(text)


def _hits(source: Source, chosen: Chosen, groups: Sequence[_Group]) -> dict[int, Hit]:
    """The turns to show, by the id of their row, without their text. Each is shown in one session only."""
    wanted: dict[int, set[int]] = {}
    for group in groups:
        if group.turns:
            wanted.setdefault(group.place, set()).update(group.turns[:turns_shown])
    columns: dict[str, list[Any]] = {"session": [], "step": [], "id": [], "wanted": []}
    for place, nodes in wanted.items():
        for step, node in enumerate(_nodes_down_to(chosen, place)):
            for name, value in zip(columns, (place, step, node, node in nodes), strict=True):
                columns[name].append(value)
    schema = pa.schema(
        [("session", pa.int64()), ("step", pa.int64()), ("id", pa.int64()), ("wanted", pa.bool_())]
    )
    with source.engine.table("steps", pa.table(columns, schema=schema)):
        return {
            node: Hit(node_hash.hex(), turn, role, rfc3339(at_us), Snippet("", ()))
            for _, node, turn, node_hash, role, at_us in source.engine.stream(_SHOWN)
        }


def _nodes_down_to(chosen: Chosen, place: int) -> list[int]:
    """The path of a chosen session, root first."""
    paths = chosen.paths
    node, way = paths.forest.leaf[paths.known[chosen.numbers[place]].segment], []
    while node != nowhere:
        way.append(node)
        node = paths.parents[node]
    return way[::-1]


def _path_of(chosen: Chosen, group: _Group) -> Path:
    return chosen.paths.known[chosen.numbers[group.place]]
