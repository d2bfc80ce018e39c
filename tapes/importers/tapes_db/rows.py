"""A row of the Go tool's `nodes` table -> a node under the very hash it has.

Only `bucket` counts; the columns beside it are copies. A hash that fits no era is kept and marked, never re-labelled.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from store.canonical import check_depth
from store.eras import era_of, is_hash
from store.node_parse import node_depth_max
from store.nodes import Cost, Node, Source, Usage
from tapes import prices
from tapes.importers.lines import BadLine, Record
from tapes.importers.times import format_time
from tapes.importers.tokens import count, from_inclusive
from tapes.importers.turns import short_text

HARNESS: Final = "tapes"
COLUMNS: Final = (
    *("hash", "parent_hash", "bucket", "stop_reason", "project", "created_at"),
    *(
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ),
    *("total_duration_ns", "prompt_duration_ns"),
)
_TOKENS: Final = COLUMNS[6:]
# From then on prompt_tokens includes what was cached (#104); Anthropic's own count, stored before, leaves it out.
inclusive_since: Final = datetime(2026, 2, 15, tzinfo=UTC)
# Go prints up to nine digits of a second; Python reads six.
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class Row:
    """A row, decoded."""

    hash: str
    parent_hash: str | None
    bucket: Record
    values: dict[str, Any]

    @property
    def created_at(self) -> datetime | None:
        """When it was written, in UTC: rows carry the writer's own offset, defaulted ones none, which is UTC."""
        return parse_go_time(self.values["created_at"])


def row_of(values: dict[str, Any]) -> Row:
    """Read a row. BadLine when it is no node."""
    if not is_hash(values["hash"]):
        raise BadLine("its hash is not 64 lower-case hex digits")
    parent = values["parent_hash"] or None
    if parent is not None and not is_hash(parent):
        raise BadLine("its parent_hash is not 64 lower-case hex digits")
    bucket = values["bucket"]
    # The Go driver stores JSON as BLOB; other writers as TEXT.
    raw = bucket.encode("utf-8", "surrogatepass") if isinstance(bucket, str) else bucket
    if not isinstance(raw, bytes):
        raise BadLine("it has no bucket")
    return Row(values["hash"], parent, _bucket(raw), values)


def node_of(row: Row, alias: str) -> Node:
    """The node of a row; `alias` stands for the harness session, which the Go tool does not know."""
    usage = usage_of(row)
    return Node(
        hash=row.hash,
        hash_version=era_of(row.bucket, row.parent_hash, row.hash),
        parent_hash=row.parent_hash,
        bucket=row.bucket,
        stop_reason=_text(row, "stop_reason"),
        usage=usage,
        cost=cost_of(row, usage),
        project=_text(row, "project"),
        created_at=format_time(row.created_at),
        source=Source(HARNESS, alias, row.hash if usage else None),
    )


def usage_of(row: Row) -> Usage | None:
    """Tokens by class; NULL is 0, and a row of NULLs was no call (or one whose stream was not counted)."""
    raw = {name: row.values[name] for name in _TOKENS if row.values[name]}
    if not any(name.endswith("_tokens") for name in raw):
        return None
    prompt, output = count(raw.get("prompt_tokens")), count(raw.get("completion_tokens"))
    read, write = count(raw.get("cache_read_input_tokens")), count(raw.get("cache_creation_input_tokens"))
    if _leaves_cache_out(row, prompt, read + write):
        return Usage(input_uncached=prompt, cache_read=read, cache_write=write, output=output, raw=raw)
    return from_inclusive(raw, whole=prompt, read=read, write=write, output=output)


def cost_of(row: Row, usage: Usage | None) -> Cost | None:
    """The call's list price on its day."""
    if usage is None:
        return None
    model, provider = short_text(row.bucket.get("model")), short_text(row.bucket.get("provider"))
    return prices.computed(usage, model, provider, row.created_at)


def parse_go_time(value: Any) -> datetime | None:
    """`2026-02-14 10:30:00.123456789+01:00`, or without zone (UTC); None for what is no time."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", value))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _bucket(raw: bytes) -> Record:
    """The bucket as it was hashed: nothing is mended, lone surrogates and the last of repeated keys count as in Go."""
    try:
        bucket = json.loads(raw.decode(), parse_constant=_refuse, parse_float=_finite)
        check_depth(bucket, node_depth_max)
    except (ValueError, RecursionError) as bad:
        raise BadLine(f"its bucket is no JSON that a node can hold ({type(bad).__name__})") from None
    if not isinstance(bucket, dict):
        raise BadLine("its bucket is no object")
    return bucket


def _refuse(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):  # the hash of a node is over doubles
        raise ValueError("a number beyond the doubles")
    return value


def _leaves_cache_out(row: Row, prompt: int, cached: int) -> bool:
    at = row.created_at
    return prompt < cached or (
        at is not None and at < inclusive_since and row.bucket.get("provider") == "anthropic"
    )


def _text(row: Row, name: str) -> str | None:
    value = row.values[name]
    return value if isinstance(value, str) and value else None
