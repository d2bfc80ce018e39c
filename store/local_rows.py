"""A node's facts as columns of the local store, and back."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from store.eras import well_formed
from store.facts import NodeFacts


class LocalFacts(NamedTuple):
    """One stored node without its text. `rowid` grows with insertion; `superseded`: a complete node took its place."""

    rowid: int
    facts: NodeFacts
    conversation: str
    superseded: bool
    stored_bytes: int


REPLACE_USAGE: Final = """
UPDATE nodes SET
    change = (SELECT max(change) + 1 FROM nodes), stored_bytes = :stored_bytes,
    usage_id = :usage_id, stop_reason = :stop_reason, input_uncached = :input_uncached, cache_read = :cache_read,
    cache_write = :cache_write, cache_write_1h = :cache_write_1h, output = :output,
    cost_usd_micro = :cost_usd_micro, cost_source = :cost_source, cost_table = :cost_table
WHERE hash = :hash
"""

_FACT_NAMES: Final = NodeFacts._fields
_NODE_COLUMNS = ("id", "change", "conversation", "stored_bytes", *_FACT_NAMES)
INSERT_NODE: Final = (
    f"INSERT INTO nodes ({', '.join(_NODE_COLUMNS)}) VALUES ({', '.join('?' * len(_NODE_COLUMNS))})"  # noqa: S608 - our own names
)
# The columns that are no facts come first; facts follow in the order of their fields (a test holds the two together).
_COLUMNS = """
SELECT
    id, conversation, superseded_by IS NOT NULL, stored_bytes,
    hash, hash_version, parent_hash, harness, harness_session, usage_id, project, agent, provider, model, role, kind,
    stop_reason, created_us, input_uncached, cache_read, cache_write, cache_write_1h, output,
    cost_usd_micro, cost_source, cost_table, tool_calls, tool_errors, git_activity, tools
FROM nodes
"""
_GIT_ACTIVITY: Final = _FACT_NAMES.index("git_activity")
FACTS_AFTER: Final = _COLUMNS + " WHERE id > ? ORDER BY id LIMIT ?"
CHANGED_FACTS: Final = _COLUMNS + " WHERE change > ? ORDER BY change"
CONVERSATION_FACTS_AFTER: Final = _COLUMNS + " WHERE conversation = ? AND id > ? ORDER BY id LIMIT ?"


def node_row(
    facts: NodeFacts, rowid: int, change: int, conversation: str, stored_bytes: int
) -> tuple[Any, ...]:
    """The parameters of INSERT_NODE."""
    return (rowid, change, conversation, stored_bytes, *_storable(facts))


def columns_of(facts: NodeFacts, stored_bytes: int) -> dict[str, Any]:
    """The named parameters of REPLACE_USAGE."""
    values = zip(_FACT_NAMES, _storable(facts), strict=True)
    return {**dict(values), "stored_bytes": stored_bytes}


def _storable(values: Sequence[Any]) -> list[Any]:
    """SQLite takes no lone surrogates: they become U+FFFD."""
    return [value if type(value) is not str or value.isascii() else well_formed(value) for value in values]


def facts_of_row(row: Sequence[Any]) -> LocalFacts:
    """A row of FACTS_AFTER or CONVERSATION_FACTS_AFTER."""
    rowid, conversation, superseded, stored_bytes, *values = row
    values[_GIT_ACTIVITY] = bool(values[_GIT_ACTIVITY])
    return LocalFacts(rowid, NodeFacts._make(values), conversation, bool(superseded), stored_bytes)
