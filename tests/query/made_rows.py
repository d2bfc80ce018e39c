"""Made-up manifest rows, and the sessions they ought to give, told slowly and plainly in Python."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from query.engine import Engine
from query.source import Origin, Source, fill
from store.facts import NodeFacts
from store.manifest_schema import NodePlace, Row, rows_table
from store.packs import FramePlace
from tests.sealing_keys import digest

START = datetime(2026, 2, 14, 9, 30, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
Summary = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One row about one node, as some commit has it; `commit` None: an own row. Nodes, conversations and members by name."""

    node: str
    parent: str | None = None
    conversation: str = "talk"
    kind: str | None = "message"
    usage_id: str | None = None
    used: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)
    cost: int | None = None
    cost_source: str | None = None
    project: str | None = None
    agent: str | None = None
    model: str | None = None
    minute: int | None = 0
    stored_bytes: int = 100
    placed: bool = True
    verified: bool = True
    harness_session: str | None = None


@dataclass(frozen=True)
class Commit:
    """Rows by one member in one space; its place in the list of commits is its slot."""

    rows: tuple[Said, ...]
    member: str = "ana"
    team: bool = True


def name(word: str) -> str:
    """The hash of a node, conversation or member, hex."""
    return digest(word).hex()


def source_of(commits: Sequence[Commit], own: Sequence[Said] = (), *, apart: bool = False) -> Source:
    """A source over these rows; `apart`: every row in a manifest of its own, of the same commit."""
    source = Source(Engine())
    batches = []
    for seq, commit in enumerate(commits):
        origin = Origin(digest(commit.member), digest("laptop of " + commit.member), seq, commit.team)
        runs = [(row,) for row in commit.rows] if apart else [commit.rows]
        batches += [(origin, table_of(run)) for run in runs]
    fill(source, batches, [(Origin(digest("me"), digest("my laptop")), table_of(own))])
    return source


def table_of(rows: Iterable[Said]) -> Any:
    """A manifest table whose author columns name nobody real: the commit says who it was."""
    return rows_table(map(_row, rows), digest("a liar"), digest("a liar's laptop"))


def _row(said: Said) -> Row:
    place = NodePlace(digest("pack"), FramePlace(12, 100, digest("frame")), 0, digest("opening"))
    return Row(
        facts_of_said(said), digest(said.conversation), said.stored_bytes, place if said.placed else None
    )


def facts_of_said(said: Said) -> NodeFacts:
    """What it says of its node, as a store keeps it."""
    fresh, read, written, output = said.used
    return NodeFacts(
        hash=name(said.node),
        hash_version="E3" if said.verified else None,
        parent_hash=name(said.parent) if said.parent is not None else None,
        harness="test",
        harness_session=said.harness_session,
        usage_id=said.usage_id,
        project=said.project,
        agent=said.agent,
        provider=None,
        model=said.model,
        role=None,
        kind=said.kind,
        stop_reason=None,
        created_us=None if said.minute is None else START_US + said.minute * 60_000_000,
        input_uncached=fresh,
        cache_read=read,
        cache_write=written,
        cache_write_1h=None,
        output=output,
        cost_usd_micro=said.cost,
        cost_source=said.cost_source,
        cost_table=None,
        tool_calls=0,
        tool_errors=0,
        git_activity=False,
    )


# ── the truth, slowly ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shown:
    """A node as it ought to be shown."""

    said: Said
    member: str
    first_seq: float
    space: str | None
    counted: bool = True
    withheld: bool = False  # no commit's row has a place

    @property
    def output(self) -> int:
        """Its output count, for comparing."""
        return _output(self.said)


def expected(commits: Sequence[Commit], own: Sequence[Said] = ()) -> Summary:
    """What `sessions --json` ought to say."""
    nodes = _shown(commits, own)
    children: dict[str, list[str]] = defaultdict(list)
    for node in nodes.values():
        if node.said.parent in nodes:
            children[node.said.parent or ""].append(node.said.node)
    ways = {n: way for n in nodes if (way := _way_up(nodes, n)) is not None}
    leaves = {n for n in ways if not children[n]}
    heads = {n for n in leaves if not _superseded(n, nodes, ways, leaves)}
    paths = [[nodes[step] for step in reversed(ways[head])] for head in heads]
    sessions = [_session(path) for path in paths if any(node.said.kind != "session" for node in path)]
    sessions.sort(key=lambda s: s["id"])
    sessions.sort(key=lambda s: s["ended_at"] or "", reverse=True)
    return {"sessions": sessions, "totals": {"nodes": len(nodes), **_sums(nodes.values())}}


def _shown(commits: Sequence[Commit], own: Sequence[Said]) -> dict[str, Shown]:
    rows: dict[str, list[tuple[int, Commit, Said]]] = defaultdict(list)
    for seq, commit in enumerate(commits):
        for row in commit.rows:
            rows[row.node].append((seq, commit, row))
    nodes = {node: _best(said) for node, said in rows.items()}
    for row in own:
        nodes.setdefault(row.node, Shown(row, "me", float("inf"), None))
    calls: dict[str, list[Shown]] = defaultdict(list)
    for shown in nodes.values():
        if shown.said.usage_id is not None:
            calls[shown.said.usage_id].append(shown)
    went_on = {shown.said.parent for shown in nodes.values()}
    for logged in calls.values():
        first = min(logged, key=lambda one: one.first_seq).member
        logged.sort(
            key=lambda one: (
                one.member != first,
                -one.output,
                one.said.node not in went_on,
                -one.said.stored_bytes,
                name(one.said.node),
            )
        )
        for again in logged[1:]:
            nodes[again.said.node] = replace(again, counted=False)
    return nodes


def _best(said: list[tuple[int, Commit, Said]]) -> Shown:
    """Of the rows of one node: the first member's, its largest output, its latest."""
    first_seq, first, best = said[0]
    for _, commit, row in said:
        if commit.member == first.member and _output(row) >= _output(best):
            best = row
    space = "team" if any(commit.team for _, commit, _ in said) else "private"
    withheld = not any(row.placed for _, _, row in said)
    return Shown(best, first.member, first_seq, space, withheld=withheld)


def _output(row: Said) -> int:
    return -1 if row.used[3] is None else row.used[3]


def _way_up(nodes: dict[str, Shown], node: str) -> list[str] | None:
    """The node and its ancestors; None when that goes in a circle."""
    way: list[str] = []
    step: str | None = node
    while step is not None and step in nodes:
        if step in way:
            return None
        way.append(step)
        step = nodes[step].said.parent
    return way


def _superseded(leaf: str, nodes: dict[str, Shown], ways: dict[str, list[str]], leaves: set[str]) -> bool:
    def rank(node: str) -> tuple[int, bool, int, int]:
        shown = nodes[node]
        return shown.output, node not in leaves, shown.said.stored_bytes, -int(name(node), 16)

    def call(node: str) -> tuple[str | None, str, str]:
        return nodes[node].said.usage_id, nodes[node].said.conversation, nodes[node].member

    if nodes[leaf].said.usage_id is None:
        return False
    return any(
        call(other) == call(leaf) and rank(other) > rank(leaf) and other not in ways[leaf] for other in ways
    )


def _session(path: list[Shown]) -> Summary:
    head = path[-1]
    minutes = [node.said.minute for node in path if node.said.minute is not None]
    return {
        "id": name(head.said.node),
        "conversation": name(head.said.conversation),
        "project": next((n.said.project for n in path if n.said.project is not None), None),
        "agent": next((n.said.agent for n in path if n.said.agent is not None), None),
        "models": tuple(sorted({n.said.model for n in path if n.said.model is not None})),
        "member": name(head.member),
        "started_at": _when(min(minutes, default=None)),
        "ended_at": _when(max(minutes, default=None)),
        "turns": sum(n.said.kind == "message" for n in path),
        **_sums(path),
        "space": head.space,
        "withheld_turns": sum(node.withheld for node in path if node.said.kind == "message"),
        "synced": all(n.space is not None for n in path),
    }


def _sums(nodes: Iterable[Shown]) -> Summary:
    counted = [node.said for node in nodes if node.counted]
    columns = [[row.used[column] or 0 for row in counted] for column in range(4)]
    classes = ("input_uncached", "cache_read", "cache_write", "output")
    return {
        "tokens": dict(zip(classes, map(sum, columns), strict=True)),
        "cost_usd_micro": sum(row.cost or 0 for row in counted),
        "unpriced_turns": sum(row.cost_source == "unpriced" for row in counted),
    }


def _when(minute: int | None) -> str | None:
    return None if minute is None else (START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
