"""The tables that SQL and Parquet exports offer: names, columns, types and what they mean, said once.

`docs/schema.md` is generated from here (query/schema_text.py); a column keeps its name, type and meaning for good, new ones come
at the end.
"""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

_TIME: Final = pa.timestamp("us", tz="UTC")
_SQL_TYPES: Final = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.list_(pa.string()): "VARCHAR[]",
    _TIME: "TIMESTAMP WITH TIME ZONE",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column; every column may be null unless `about` says otherwise."""

    name: str
    type: pa.DataType
    about: str

    @property
    def sql_type(self) -> str:
        """Its type in DuckDB's words."""
        return _SQL_TYPES[self.type]


@dataclass(frozen=True, slots=True)
class TableShape:
    """One table. `dated`: the column whose UTC day is the partition `date=` of an export."""

    name: str
    about: str
    columns: tuple[Column, ...]
    dated: str | None = None

    @property
    def schema(self) -> pa.Schema:
        """Its Arrow schema."""
        return pa.schema([(column.name, column.type) for column in self.columns])


def _texts(**abouts: str) -> tuple[Column, ...]:
    return tuple(Column(name, pa.string(), about) for name, about in abouts.items())


def _counts(**abouts: str) -> tuple[Column, ...]:
    return tuple(Column(name, pa.int64(), about) for name, about in abouts.items())


_TOKEN_COLUMNS: Final = _counts(
    input_uncached="input tokens that no cache served",
    cache_read="input tokens read from the provider's cache",
    cache_write="input tokens written to the provider's cache",
    output="output tokens",
)
NODES: Final = TableShape(
    "nodes",
    "One row per turn, whatever number of sessions it is part of.",
    (
        *_texts(
            hash="64 hex digits; never null",
            parent="hash of the turn before; null for a root",
            conversation="hash of the topmost known ancestor; never null",
            harness="the agent program that logged it",
            harness_session="that program's own session id",
            project="",
            agent="",
            provider="",
            model="",
            role="user, assistant, …",
            kind="message; session for a root that only names one",
            stop_reason="",
            member="id of the member who committed it first; null before there is an identity",
            space="team or private; null: only on the exporter's device",
        ),
        Column("created_at", _TIME, "as the agent's log says; a log may lie, and clocks are wrong"),
        *_TOKEN_COLUMNS,
        *_counts(
            cache_write_1h="part of cache_write that was bought for an hour",
            cost_usd_micro="micro-USD (1 000 000 = $1); null: no model call, or unpriced",
        ),
        *_texts(
            cost_source="recorded, computed, override, unpriced; null: no model call",
            cost_table="price table and its version",
        ),
        *_counts(
            tool_calls="tool calls in this turn", tool_errors="tool results in this turn that are errors"
        ),
        Column("git_activity", pa.bool_(), "a shell call here commits or pushes"),
        Column(
            "counted", pa.bool_(), "false where another row logs the same model call: sum `WHERE counted`"
        ),
        Column("verified", pa.bool_(), "the hash fits an era that is known"),
        Column(
            "tools", pa.list_(pa.string()), "names of the tools that this turn calls, each once; null: none"
        ),
        Column(
            "withheld",
            pa.bool_(),
            "the bucket has metadata only: what was said stayed on its author's device",
        ),
    ),
    "created_at",
)
SESSIONS: Final = TableShape(
    "sessions",
    "One row per session: a path from a root to a leaf. Forks share turns, so sums over sessions count those again.",
    (
        *_texts(
            id="hash of the last turn; never null",
            conversation="hash of the topmost known ancestor; never null",
            project="",
            agent="",
            member="id of the member whose last turn it is",
        ),
        Column("models", pa.list_(pa.string()), "names of the models that answered"),
        Column("started_at", _TIME, "earliest turn"),
        Column("ended_at", _TIME, "latest turn"),
        *_counts(turns="messages on the path"),
        *_TOKEN_COLUMNS,
        *_counts(
            cost_usd_micro="micro-USD, sum of the known costs",
            unpriced_turns="model calls that are not in it",
            withheld_turns="turns of which the bucket has metadata only",
        ),
    ),
    "ended_at",
)
MESSAGES: Final = TableShape(
    "messages",
    "What was said in each turn. In an export only with --content full.",
    (
        *_texts(node="hash of the turn; never null", conversation="", role=""),
        Column("created_at", _TIME, ""),
        *_texts(
            text="text, thinking, tool names, inputs and outputs, one per line",
            content="the turn's content blocks as JSON",
        ),
    ),
    "created_at",
)
TOOL_CALLS: Final = TableShape(
    "tool_calls",
    "One row per tool call. In an export only with --content full.",
    (
        *_texts(node="hash of the turn that calls; never null", conversation=""),
        *_counts(position="of the block in the turn's content, from 0"),
        Column("created_at", _TIME, ""),
        *_texts(tool="name", input="JSON", output="text of the result; null: none is known"),
        Column("failed", pa.bool_(), "the result is an error; null: none is known"),
    ),
    "created_at",
)
MEMBERS: Final = TableShape(
    "members",
    "Who is or was in the team. Over an export: ids only.",
    _texts(id="64 hex digits", name="what they call themselves"),
)
USAGE_DAILY: Final = TableShape(
    "usage_daily",
    "Use per UTC day, member, project and model; each model call once. Computed from `nodes`.",
    (
        Column("day", pa.date32(), "UTC"),
        *_texts(member="", project="", model=""),
        *_counts(turns="messages"),
        *_TOKEN_COLUMNS,
        *_counts(cost_usd_micro="micro-USD, sum of the known costs", unpriced_turns="model calls not in it"),
    ),
)
USAGE_DAILY_SQL: Final = """
SELECT CAST(created_at AT TIME ZONE 'UTC' AS DATE) AS day, member, project, model,
    count(*) FILTER (kind = 'message') AS turns, CAST(sum(coalesce(input_uncached, 0)) AS BIGINT) AS input_uncached,
    CAST(sum(coalesce(cache_read, 0)) AS BIGINT) AS cache_read, CAST(sum(coalesce(cache_write, 0)) AS BIGINT) AS cache_write,
    CAST(sum(coalesce(output, 0)) AS BIGINT) AS output, CAST(sum(coalesce(cost_usd_micro, 0)) AS BIGINT) AS cost_usd_micro,
    count(*) FILTER (cost_source = 'unpriced') AS unpriced_turns
FROM nodes WHERE counted GROUP BY ALL
"""
STORED: Final = (
    NODES,
    SESSIONS,
    MESSAGES,
    TOOL_CALLS,
    MEMBERS,
)  # tables that are filled; the rest is computed
EVERY: Final = (*STORED, USAGE_DAILY)
WITH_CONTENT: Final = (MESSAGES, TOOL_CALLS)  # filled by reading what was said, which takes time
EXPORTED: Final = (NODES, SESSIONS, MESSAGES, TOOL_CALLS)
