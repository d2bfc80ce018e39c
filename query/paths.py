"""Paths: what each way from a root to a head used, folded from the segments of the forest. query/path_table.py keeps them."""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from query.answers import Tokens
from query.engine import Engine
from query.forest import Forest, grow, nowhere
from query.heads import superseded
from query.titles import prompts_kept

_PARENTS: Final = """
SELECT coalesce(parent.id, -1) FROM rows LEFT JOIN rows AS parent ON parent.hash = rows.parent ORDER BY rows.id
"""
idle_us_max: Final = 5 * 60_000_000  # a longer pause between two turns is not counted as activity
# Of project and agent the first one along the path is shown (tapes.md §3.6); arg_min passes over nulls. A user's turn below a
# turn with tool calls brings their results: it is no prompt, and neither are further results below it.
_SEGMENTS: Final = """
WITH uppers AS (
    SELECT id AS above, epoch_us(created_us)::HUGEINT AS above_us, tool_calls > 0 OR role = 'user' AS unprompted FROM rows
), stretches AS (
    SELECT segment, arg_min(hash, position) AS first_hash,
        arg_min(project, position) AS project, arg_min(agent, position) AS agent,
        list(DISTINCT model) FILTER (model IS NOT NULL) AS models,
        epoch_us(min(created_us)) AS started_us, epoch_us(max(created_us)) AS ended_us,
        bool_or(kind IS DISTINCT FROM 'session') AS spoken, bool_and(seq IS NOT NULL) AS synced,
        count(*) FILTER (kind = 'message') AS turns, sum(counts.input_uncached) AS input_uncached,
        sum(counts.cache_read) AS cache_read, sum(counts.cache_write) AS cache_write, sum(counts.output) AS output,
        sum(counts.cost_usd_micro) AS cost_usd_micro, sum(unpriced) AS unpriced,
        list(DISTINCT provider) FILTER (provider IS NOT NULL) AS providers,
        sum(tool_calls) AS tool_calls, sum(tool_errors) AS tool_failures, bool_or(git_activity) AS git_activity,
        count(*) FILTER (withheld AND kind = 'message') AS withheld,
        coalesce(sum(epoch_us(created_us) - above_us) FILTER (epoch_us(created_us) - above_us BETWEEN 0 AND ?), 0) AS active_us,
        arg_max(hash, position, ?) FILTER (role = 'user' AND kind = 'message' AND NOT coalesce(unprompted, false)) AS prompts
    FROM places JOIN rows USING (id) JOIN counts USING (id) LEFT JOIN uppers USING (above) WHERE segment >= 0 GROUP BY segment
)
SELECT stretches.*, leaves.leaf, rows.hash, rows.conversation, rows.member, rows.space, rows.harness_session,
    rows.role, rows.stop_reason
FROM stretches LEFT JOIN leaves USING (segment) LEFT JOIN rows USING (id) ORDER BY segment
"""
_head_columns = 8
FOLDING: Final = (_PARENTS, _SEGMENTS, str((idle_us_max, prompts_kept)))  # how rows become paths


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is known of a run of nodes. `spoken`: not only synthetic session nodes; `synced`: all of them committed."""

    root: str  # hash of the first node, hex
    project: str | None
    agent: str | None
    models: frozenset[str]
    started_us: int | None  # since 1970 UTC
    ended_us: int | None
    spoken: bool
    synced: bool
    turns: int
    tokens: Tokens
    cost_usd_micro: int
    unpriced: int
    providers: frozenset[str]
    tool_calls: int
    tool_failures: int
    git_activity: bool
    withheld: int  # turns of which commits have metadata only
    active_us: int  # pauses up to `idle_us_max` between turns
    prompts: tuple[bytes, ...]  # hashes of the last `prompts_kept`, newest first

    @property
    def duration_us(self) -> int | None:
        """From the first time to the last; at most 2^63 - 1, since hostile times may lie further apart."""
        if self.started_us is None or self.ended_us is None:
            return None
        return min(self.ended_us - self.started_us, 2**63 - 1)

    def then(self, below: "Stretch") -> "Stretch":
        """This stretch and the one below it."""
        return Stretch(
            root=self.root,
            project=self.project if self.project is not None else below.project,
            agent=self.agent if self.agent is not None else below.agent,
            models=_union(self.models, below.models),
            started_us=min(_known(self.started_us, below.started_us), default=None),
            ended_us=max(_known(self.ended_us, below.ended_us), default=None),
            spoken=self.spoken or below.spoken,
            synced=self.synced and below.synced,
            turns=self.turns + below.turns,
            tokens=self.tokens + below.tokens,
            cost_usd_micro=self.cost_usd_micro + below.cost_usd_micro,
            unpriced=self.unpriced + below.unpriced,
            providers=_union(self.providers, below.providers),
            tool_calls=self.tool_calls + below.tool_calls,
            tool_failures=self.tool_failures + below.tool_failures,
            git_activity=self.git_activity or below.git_activity,
            withheld=self.withheld + below.withheld,
            active_us=self.active_us + below.active_us,
            prompts=(below.prompts + self.prompts)[:prompts_kept],
        )


@dataclass(frozen=True, slots=True)
class Head:
    """The leaf that a session is named by. Hashes and ids are hex; `space` None: only on this device."""

    hash: str
    conversation: str
    member: str | None
    space: str | None
    harness_session: str | None
    role: str | None
    stop_reason: str | None


@dataclass(frozen=True, slots=True)
class Path:
    """A session: its head, all that leads to it, and where it stands in the forest."""

    head: Head
    whole: Stretch
    tree: int  # the number of the root's segment
    segment: int  # the one that ends in the head


def fold_paths(engine: Engine) -> "tuple[list[Path], Forest, array[int]]":
    """All sessions of `rows`: paths that end in a head and on which somebody speaks; the forest, and each node's parent.

    Paths are newest end first, those without a time last, ties by head.
    """
    with placed(engine) as (forest, parents):
        segments = engine.stream(_SEGMENTS, [idle_us_max, prompts_kept])
        known = [path for path in _fold(segments, forest) if path.whole.spoken]
    known.sort(key=lambda path: (-_ended(path), path.head.hash))
    return known, forest, parents


@contextmanager
def placed(engine: Engine) -> "Iterator[tuple[Forest, array[int]]]":
    """The forest and each node's parent; meanwhile the tables `places`, by node, and `leaves`, of segments that end in a head."""
    parents = read_parents(engine)
    forest = grow(parents)
    with engine.table("places", _places(forest, parents)):
        with engine.table("leaves", _leaves(forest, set())):
            hidden = superseded(engine, forest)
        with engine.table("leaves", _leaves(forest, hidden)):
            yield forest, parents


def read_parents(engine: Engine) -> "array[int]":
    """The number of each node's parent, by node number; `nowhere` where no row has it."""
    return engine.integers(_PARENTS)


def _fold(segments: Iterator[tuple[Any, ...]], forest: Forest) -> Iterator[Path]:
    """Each segment joined to the stretch above it, which came before; only stretches that fork are kept."""
    above: dict[int, Stretch] = {}
    trees: dict[int, int] = {}
    for number, *columns in segments:
        stretch, parent = _stretch(columns), forest.above[number]
        tree = number if parent == nowhere else trees[parent]
        if parent != nowhere:
            stretch = above[parent].then(stretch)
        head = _head(columns[-_head_columns:])
        if head is not None:
            yield Path(head, stretch, tree, number)
        elif forest.leaf[number] == nowhere:
            above[number], trees[number] = stretch, tree


def _stretch(columns: list[Any]) -> Stretch:
    first_hash, project, agent, models, started_us, ended_us, spoken, synced, turns, *sums = columns
    return Stretch(
        root=first_hash.hex(),
        project=project,
        agent=agent,
        models=frozenset(models or ()),
        started_us=started_us,
        ended_us=ended_us,
        spoken=spoken,
        synced=synced,
        turns=turns,
        tokens=Tokens(*sums[:4]),
        cost_usd_micro=sums[4],
        unpriced=sums[5],
        providers=frozenset(sums[6] or ()),
        tool_calls=sums[7],
        tool_failures=sums[8],
        git_activity=sums[9],
        withheld=sums[10],
        active_us=sums[11],
        prompts=tuple(sums[12] or ()),
    )


def _head(columns: list[Any]) -> Head | None:
    leaf, digest, conversation, member, *labels = columns
    if leaf is None:
        return None
    return Head(digest.hex(), conversation.hex(), member and member.hex(), *labels)


def _ended(path: Path) -> float:
    return path.whole.ended_us if path.whole.ended_us is not None else float("-inf")


def _known(*times: int | None) -> list[int]:
    return [time for time in times if time is not None]


def _union(above: frozenset[str], below: frozenset[str]) -> frozenset[str]:
    """Most forks add nothing: sharing the set keeps a deep comb of forks linear in memory."""
    return above if below <= above else above | below


def _places(forest: Forest, parents: "array[int]") -> pa.Table:
    count = len(forest.segment)
    return pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "segment": _column(forest.segment),
            "position": _column(forest.position),
            "above": _column(parents),
        }
    )


def _leaves(forest: Forest, hidden: set[int]) -> pa.Table:
    ends = [
        (number, leaf) for number, leaf in enumerate(forest.leaf) if leaf != nowhere and leaf not in hidden
    ]
    return pa.table(
        {
            "segment": pa.array([number for number, _ in ends], pa.int32()),
            "id": pa.array([leaf for _, leaf in ends], pa.int64()),
            "leaf": pa.array([True] * len(ends), pa.bool_()),
        }
    )


def _column(numbers: "array[int]") -> pa.Array:
    """The array's own memory as an Arrow column."""
    return pa.Array.from_buffers(pa.int32(), len(numbers), [None, pa.py_buffer(numbers)])
