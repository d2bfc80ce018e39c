"""A node: one turn of a session, content-addressed, with the metadata that its hash does not cover.

The stored form is the UTF-8 JSON object below, written once and never re-serialised afterwards: those bytes go into frames as
they are. Fields (absent = null): hash, hash_version, parent_hash, bucket, stop_reason, usage, cost, project, created_at, source.
"""

import json
from dataclasses import dataclass, field
from math import isfinite
from operator import attrgetter
from typing import Any, Final

import orjson

from store.limits import quick_json_bytes_max

Json = Any  # a decoded JSON value
_JSON_TYPES_ONLY: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call, by class; the four counts add up, nothing overlaps. `raw` is the provider's own object."""

    input_uncached: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    cache_write_1h: int = 0  # part of cache_write that was bought for an hour
    raw: dict[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model call cost. `usd_micro` is None exactly when `source` is "unpriced"; never $0 for an unknown model."""

    usd_micro: int | None
    source: str  # recorded | computed | override | unpriced
    table: str | None = None  # price table and its date


@dataclass(frozen=True, slots=True)
class Source:
    """Where a turn was found. `session` is the agent's own session id, an alias of the conversation."""

    harness: str  # claude | codex | …
    session: str | None = None
    usage_id: str | None = (
        None  # the provider's id of the model call: replays and re-logs share it, totals count it once
    )
    extra: dict[str, Json] = field(default_factory=dict)  # what the log line said besides, verbatim


_PARTS: Final = {kind: (kind.__slots__, attrgetter(*kind.__slots__)) for kind in (Usage, Cost, Source)}


@dataclass(frozen=True, slots=True)
class Node:
    """One turn. `hash_version` None means: the stored hash fits no era we know; the node is kept, marked unverified."""

    hash: str  # 64 lower-case hex
    hash_version: str | None
    parent_hash: str | None
    bucket: dict[str, Json]  # {type, role, content[], model, provider, agent_name?}
    stop_reason: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    project: str | None = None
    created_at: str | None = None  # RFC 3339, UTC, "Z", microseconds: 2026-02-14T09:30:00.000000Z
    source: Source | None = None
    withheld: bool = (
        False  # known by its metadata alone: the bucket has no `content`. Never stored, never pushed
    )

    @property
    def verified(self) -> bool:
        """Whether the hash was recomputed and fits its era."""
        return self.hash_version is not None


def node_to_dict(node: Node) -> dict[str, Json]:
    """The node as the JSON object that is stored and shown; nulls left out."""
    full: dict[str, Json] = {
        "hash": node.hash,
        "hash_version": node.hash_version,
        "parent_hash": node.parent_hash,
        "bucket": node.bucket,
        "stop_reason": node.stop_reason,
        "usage": _plain(node.usage),
        "cost": _plain(node.cost),
        "project": node.project,
        "created_at": node.created_at,
        "source": _plain(node.source),
        "withheld": node.withheld or None,
    }
    return {key: value for key, value in full.items() if value is not None}


def _plain(part: Usage | Cost | Source | None) -> dict[str, Json] | None:
    if part is None:
        return None
    names, values_of = _PARTS[type(part)]
    return {
        name: value
        for name, value in zip(names, values_of(part), strict=True)
        if value is not None and value != {}
    }


def node_to_bytes(node: Node) -> bytes:
    """The stored bytes of a node, always valid UTF-8: lone surrogates are escaped. ValueError for an infinity or NaN."""
    fields = node_to_dict(node)
    return exact_bytes(fields) or _any_bytes(fields)


def exact_bytes(fields: dict[str, Json]) -> bytes | None:
    """The JSON of `fields` if it reads back as just them; None for what only the slower encoder can write or must refuse."""
    try:
        data = orjson.dumps(fields, option=_JSON_TYPES_ONLY)
    except TypeError:  # a lone surrogate, more than 64 bits, more than 254 levels, a key that is no text
        return None
    if len(data) > quick_json_bytes_max:
        data = bytes(
            memoryview(data)
        )  # orjson leaves sixteen times a long text reserved, in case all of it is escapes
    # It writes null for an infinity or NaN. Where no null stands there is none; where one does, the values are looked at.
    return data if b"null" not in data or _finite(fields) else None


def _finite(fields: dict[str, Json]) -> bool:
    """Whether no number inside is an infinity or NaN; by a stack, since a log may nest deeper than Python recurses."""
    stack: list[Json] = [fields]
    while stack:
        item = stack.pop()
        for value in item.values() if type(item) is dict else item:
            kind = type(value)
            if kind is dict or kind is list or kind is tuple:
                stack.append(value)
            elif kind is float and not isfinite(value):
                return False
    return True


def _any_bytes(fields: dict[str, Json]) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: legal in JSON text as an escape, not as UTF-8
        return json.dumps(fields, separators=(",", ":")).encode()
