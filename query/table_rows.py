"""Filling the tables of query/tables.py from a source: in batches, each node once."""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from query.answers import Session
from query.forest import nowhere
from query.source import Source
from query.tables import MESSAGES, NODES, SESSIONS, TOOL_CALLS, TableShape
from query.transcript import load
from store.nodes import Node
from store.storable import storable_text
from store.texts import searchable_text, unmarked
from store.times import micros

_batch_rows: Final = 10_000
_batch_text_chars: Final = 8 * 1024 * 1024  # content is large: a batch closes at this, too
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Tokens and cost of a row are its own; `counted` says whether a sum may have them.
_NODES: Final = """
SELECT lower(hex(hash)) AS hash, lower(hex(parent)) AS parent, lower(hex(conversation)) AS conversation, harness,
    harness_session, project, agent, provider, model, role, kind, stop_reason, lower(hex(member)) AS member, space,
    timezone('UTC', created_us) AS created_at, input_uncached, cache_read, cache_write, output, cache_write_1h,
    cost_usd_micro, cost_source, cost_table, CAST(tool_calls AS BIGINT) AS tool_calls,
    CAST(tool_errors AS BIGINT) AS tool_errors, git_activity, counted, verified,
    string_split(tools, chr(10)) AS tools, withheld
FROM rows JOIN chosen USING (id)
"""
_OLDEST_FIRST: Final = f"{_NODES} ORDER BY created_us NULLS LAST, rows.hash"
Row = dict[str, Any]


class Loader:
    """Loads sessions one after the other; the shape of the DAG is read once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._parents = source.parents()

    def nodes(self, head: str) -> list[Node]:
        """As query/transcript.load."""
        self.source.settle_rows()
        return load(self.source, head, self._parents)

    def shown(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of NODES as they leave."""
        return batch

    @contextmanager
    def chosen(self, heads: Iterable[str]) -> Iterator[None]:
        """The table `chosen` (id) of the nodes on the ways to these heads, as long as the block lasts."""
        engine = self.source.engine
        with engine.table(
            "heads", pa.table({"hash": pa.array([bytes.fromhex(h) for h in heads], pa.binary())})
        ):
            ends = [row[0] for row in engine.all("SELECT id FROM rows JOIN heads USING (hash)")]
        ids = _ways_up(self._parents, ends)
        with engine.table("chosen", pa.table({"id": pa.array(ids, pa.int64())})):
            yield


def _ways_up(parents: Sequence[int], ends: Iterable[int]) -> "array[int]":
    """The nodes on the ways from `ends` upwards, each once; a circle ends where it began."""
    met = bytearray(len(parents))
    ids = array("q")
    for end in ends:
        node = end
        while node != nowhere and not met[node]:
            met[node] = 1
            ids.append(node)
            node = parents[node]
    return ids


def node_batches(
    loader: Loader, sessions: Iterable[Session], *, in_order: bool = True
) -> Iterator[pa.RecordBatch]:
    """Rows of NODES, oldest first, undated last; or in no order, which holds no more than a batch of a million."""
    with loader.chosen(session.id for session in sessions):
        for batch in loader.source.engine.batches(_OLDEST_FIRST if in_order else _NODES):
            yield loader.shown(batch.cast(NODES.schema))


def session_batches(sessions: Sequence[Session]) -> Iterator[pa.RecordBatch]:
    """Rows of SESSIONS, in the order of `sessions`."""
    yield from _batched(SESSIONS, map(_session_row, sessions))


def content_batches(
    loader: Loader, sessions: Iterable[Session]
) -> Iterator[tuple[TableShape, pa.RecordBatch]]:
    """Rows of MESSAGES and of TOOL_CALLS, each node once; reads every node."""
    seen: set[bytes] = set()
    waiting: dict[str, list[Row]] = {MESSAGES.name: [], TOOL_CALLS.name: []}
    chars = 0
    for session in sessions:
        nodes = loader.nodes(session.id)
        results = _results(nodes)
        fresh = [node for node in nodes if bytes.fromhex(node.hash) not in seen]
        seen.update(bytes.fromhex(node.hash) for node in fresh)
        for node in fresh:
            if node.withheld:  # a row would read as if nothing had been said
                continue
            message = _message_row(node, session.conversation)
            waiting[MESSAGES.name].append(message)
            calls = _call_rows(node, session.conversation, results)
            waiting[TOOL_CALLS.name].extend(calls)
            chars += sum(len(row[name] or "") for row in (message, *calls) for name in _LONG if name in row)
            if chars >= _batch_text_chars:
                yield from _flushed(waiting)
                chars = 0
    yield from _flushed(waiting)


_LONG: Final = ("text", "content", "input", "output")


def _flushed(waiting: Mapping[str, list[Row]]) -> Iterator[tuple[TableShape, pa.RecordBatch]]:
    for shape in (MESSAGES, TOOL_CALLS):
        for batch in _batched(shape, waiting[shape.name]):
            yield shape, batch
        waiting[shape.name].clear()


def rows_batch(shape: TableShape, rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows, by column name, as a batch of the table's schema."""
    columns = [pa.array([row[column.name] for row in rows], column.type) for column in shape.columns]
    return pa.RecordBatch.from_arrays(columns, schema=shape.schema)


def _batched(shape: TableShape, rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    held: list[Row] = []
    for row in rows:
        held.append(row)
        if len(held) == _batch_rows:
            yield rows_batch(shape, held)
            held = []
    if held:
        yield rows_batch(shape, held)


def _session_row(session: Session) -> Row:
    tokens = session.tokens
    return {
        "id": session.id,
        "conversation": session.conversation,
        "project": session.project,
        "agent": session.agent,
        "member": session.member,
        "models": list(session.models),
        "started_at": _moment(session.started_at),
        "ended_at": _moment(session.ended_at),
        "turns": session.turns,
        "input_uncached": tokens.input_uncached,
        "cache_read": tokens.cache_read,
        "cache_write": tokens.cache_write,
        "output": tokens.output,
        "cost_usd_micro": session.cost_usd_micro,
        "unpriced_turns": session.unpriced_turns,
        "withheld_turns": session.withheld_turns,
    }


def _message_row(node: Node, conversation: str) -> Row:
    role = node.bucket.get("role")
    return {
        "node": node.hash,
        "conversation": conversation,
        "role": storable_text(role) if isinstance(role, str) else None,
        "created_at": _moment(node.created_at),
        "text": unmarked(searchable_text(node)),
        "content": _json(node.bucket.get("content")),
    }


def _call_rows(node: Node, conversation: str, results: Mapping[str, Row]) -> list[Row]:
    return [
        {
            "node": node.hash,
            "conversation": conversation,
            "position": position,
            "created_at": _moment(node.created_at),
            "tool": _text(block.get("tool_name")),
            "input": _json(block.get("tool_input")),
            **results.get(str(block.get("tool_use_id")), {"output": None, "failed": None}),
        }
        for position, block in _blocks(node)
        if block.get("type") == "tool_use"
    ]


def _results(nodes: Iterable[Node]) -> dict[str, Row]:
    """The path's tool results by the id of their call; the first one of an id."""
    results: dict[str, Row] = {}
    for node in nodes:
        for _, block in _blocks(node):
            if block.get("type") == "tool_result":
                output = block.get("tool_output", block.get("content"))
                row = {"output": _text(output) or _json(output), "failed": block.get("is_error") is True}
                results.setdefault(str(block.get("tool_result_id")), row)
    return results


def _blocks(node: Node) -> Iterator[tuple[int, dict[str, Any]]]:
    content = node.bucket.get("content")
    for position, block in enumerate(content if isinstance(content, list) else ()):
        if isinstance(block, dict):
            yield position, block


def _text(value: Any) -> str | None:
    return storable_text(value) if isinstance(value, str) else None


def _json(value: Any) -> str | None:
    """Compact JSON as Arrow can hold it: a lone surrogate stays an escape."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if storable_text(text) == text else json.dumps(value, separators=(",", ":"))


def _moment(when: str | None) -> datetime | None:
    since_1970_us = micros(when)
    return None if since_1970_us is None else _EPOCH + timedelta(microseconds=since_1970_us)
