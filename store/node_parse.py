"""Reading a node back from its stored bytes, which may come from a stranger: checked in shape, re-hashed, never believed."""

import json
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import orjson

from crypto.errors import FormatBroken
from store.canonical import check_depth
from store.eras import ERAS, era_of, is_hash
from store.limits import node_bytes_max, quick_json_bytes_max
from store.nodes import Cost, Json, Node, Source, Usage

node_depth_max: Final = 500  # half of CPython's stack: the verdict must not depend on who calls
count_max: Final = 2**63 - 1  # tokens and micro-USD are 64-bit in SQLite, Parquet and DuckDB

_T = TypeVar("_T")
_TEXT_OR_NONE: Final = {str, type(None)}
_INTEGER: Final = {int}
_OBJECT: Final = {dict}
_COUNTS = ("input_uncached", "cache_read", "cache_write", "output", "cache_write_1h")


class Identity(NamedTuple):
    """The hashes a node states, its own and its parent's, and whether its own was recomputed and fits an era."""

    hash: str
    parent_hash: str | None
    verified: bool


def node_from_bytes(data: bytes, name: str, *, verify: bool = True, bytes_max: int = node_bytes_max) -> Node:
    """The node stored as `data`; `name` is what an error calls it. FormatBroken when it is no node at all.

    `hash_version` is the era in which the hash was recomputed, whatever the bytes claim; None when it fits none. With
    `verify=False` (bytes this device wrote itself) the claim stands.
    """
    return node_from_fields(_parse(data, name, bytes_max), name, verify=verify)


def node_from_fields(fields: dict[str, Json], name: str, *, verify: bool = True) -> Node:
    """As `node_from_bytes`, from the JSON object; how deep it nests is not looked at."""
    stored_hash, parent_hash = _hashes(fields, name)
    bucket = fields.get("bucket")
    if not isinstance(bucket, dict):
        raise FormatBroken(name, "its bucket is no object")
    claimed = _text(fields, "hash_version", name)
    return Node(
        hash=stored_hash,
        hash_version=_era(bucket, parent_hash, stored_hash, claimed, verify=verify),
        parent_hash=parent_hash,
        bucket=bucket,
        stop_reason=_text(fields, "stop_reason", name),
        usage=_part(fields, "usage", name, _usage),
        cost=_part(fields, "cost", name, _cost),
        project=_text(fields, "project", name),
        created_at=_text(fields, "created_at", name),
        source=_part(fields, "source", name, _source),
    )


def read_identity(data: bytes, name: str) -> Identity:
    """Who a node stored as `data` is, re-hashed: as `node_from_bytes`, without making the node. FormatBroken for none."""
    fields = _parse(data, name, node_bytes_max)
    if not _is_plain(fields):
        node = node_from_fields(fields, name)
        return Identity(node.hash, node.parent_hash, node.verified)
    stored_hash: str = fields["hash"]
    parent_hash = fields.get("parent_hash")
    era = era_of(fields["bucket"], parent_hash, stored_hash, fields.get("hash_version"))
    return Identity(stored_hash, parent_hash, era is not None)


def _is_plain(fields: dict[str, Json]) -> bool:
    """Whether `fields` are, as those of nearly every node are, what `node_from_fields` takes; False says nothing."""
    get = fields.get
    usage, cost, source = get("usage"), get("cost"), get("source")
    texts: list[Json] = [get("hash_version"), get("stop_reason"), get("project"), get("created_at")]
    counts: list[Json] = []
    objects: list[Json] = [get("bucket")]
    if usage is not None:
        if type(usage) is not dict:
            return False
        counts += [usage[key] for key in _COUNTS if key in usage]
        objects.append(usage.get("raw", {}))
    if cost is not None:
        if type(cost) is not dict:
            return False
        counts.append(cost.get("usd_micro") or 0)
        texts += [cost.get("source") or 0, cost.get("table")]
    if source is not None:
        if type(source) is not dict:
            return False
        texts += [source.get("harness") or 0, source.get("session"), source.get("usage_id")]
        objects.append(source.get("extra", {}))
    parent = get("parent_hash")
    return (
        is_hash(get("hash"))
        and (parent is None or is_hash(parent))
        and set(map(type, objects)) == _OBJECT
        and set(map(type, texts)) <= _TEXT_OR_NONE
        and set(map(type, counts)) <= _INTEGER
        and 0 <= min(counts, default=0) <= max(counts, default=0) <= count_max
    )


def is_sound(node: Node) -> bool:
    """Whether `node_from_fields` takes what the node is written as; a writer need not make it anew to know."""
    usage, cost, source = node.usage, node.cost, node.source
    texts: list[Json] = [node.hash_version, node.stop_reason, node.project, node.created_at]
    counts: list[Json] = []
    objects: list[Json] = [node.bucket]
    if usage is not None:
        counts += [
            usage.input_uncached,
            usage.cache_read,
            usage.cache_write,
            usage.output,
            usage.cache_write_1h,
        ]
        objects.append({} if usage.raw is None else usage.raw)
    if cost is not None:
        counts.append(0 if cost.usd_micro is None else cost.usd_micro)
        texts += [cost.source or 0, cost.table]
    if source is not None:
        texts += [source.harness or 0, source.session, source.usage_id]
        objects.append(source.extra)
    return (
        is_hash(node.hash)
        and (node.parent_hash is None or is_hash(node.parent_hash))
        and set(map(type, objects)) == {dict}
        and set(map(type, texts)) <= {str, type(None)}
        and set(map(type, counts)) <= {int}
        and 0 <= min(counts, default=0) <= max(counts, default=0) <= count_max
    )


def _parse(data: bytes, name: str, bytes_max: int) -> dict[str, Json]:
    if len(data) > bytes_max:
        raise FormatBroken(name, f"a node of {len(data)} bytes is over {bytes_max}")
    value = _parse_exact(data)
    return value if isinstance(value, dict) else _parse_strict(data, name)


def _parse_exact(data: bytes) -> Json | None:
    """The value, if `data` is byte for byte how the encoder writes it: no key twice, nothing deep, no number spelled otherwise.

    That holds for nearly all that our writers store. orjson alone would let the last of two equal keys win and round integers
    beyond 64 bits; comparing what it writes back costs less than a look at every pair. Parsing takes it twelve times the size in
    memory: a large text goes the strict way.
    """
    if len(data) > quick_json_bytes_max:
        return None
    try:
        value = orjson.loads(data)
        return value if orjson.dumps(value) == data else None
    except (TypeError, ValueError):  # beyond its 254 levels, or no JSON: the strict way tells
        return None


def _parse_strict(data: bytes, name: str) -> dict[str, Json]:
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unambiguous, parse_constant=_no_constant)
        # Brackets inside strings count too, so this can only look once too often.
        if data.count(b"[") + data.count(b"{") > node_depth_max:
            check_depth(value, node_depth_max)
    except (ValueError, RecursionError) as problem:
        raise FormatBroken(name, f"is no JSON of a node ({type(problem).__name__})") from None
    if not isinstance(value, dict):
        raise FormatBroken(name, "is no JSON object")
    return value


def _unambiguous(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Our writers never repeat a key; readers that differ on which one counts would see different turns under one hash."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _no_constant(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")


def _hashes(fields: dict[str, Json], name: str) -> tuple[str, str | None]:
    stored_hash = fields.get("hash")
    if not is_hash(stored_hash):
        raise FormatBroken(name, "its hash is not 64 lower-case hex digits")
    parent_hash = fields.get("parent_hash") or None  # "" is Go's spelling of a root
    if parent_hash is not None and not is_hash(parent_hash):
        raise FormatBroken(name, "its parent hash is not 64 lower-case hex digits")
    return stored_hash, parent_hash


def _era(
    bucket: Json, parent_hash: str | None, stored_hash: str, claimed: str | None, *, verify: bool
) -> str | None:
    if verify:
        return era_of(bucket, parent_hash, stored_hash, claimed)
    return claimed if claimed in ERAS else None


def _part(
    fields: dict[str, Json], key: str, name: str, read: Callable[[dict[str, Json], str], _T]
) -> _T | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise FormatBroken(name, f"its {key} is no object")
    return read(value, name)


def _usage(fields: dict[str, Json], name: str) -> Usage:
    counts = {key: _count(fields, key, name) or 0 for key in _COUNTS}
    return Usage(**counts, raw=_object(fields, "raw", name))


def _cost(fields: dict[str, Json], name: str) -> Cost:
    return Cost(
        usd_micro=_count(fields, "usd_micro", name),
        source=_required(fields, "source", name),
        table=_text(fields, "table", name),
    )


def _source(fields: dict[str, Json], name: str) -> Source:
    return Source(
        harness=_required(fields, "harness", name),
        session=_text(fields, "session", name),
        usage_id=_text(fields, "usage_id", name),
        extra=_object(fields, "extra", name) or {},
    )


def _text(fields: dict[str, Json], key: str, name: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise FormatBroken(name, f"its {key} is no text")
    return value


def _required(fields: dict[str, Json], key: str, name: str) -> str:
    value = _text(fields, key, name)
    if value is None:
        raise FormatBroken(name, f"its {key} is missing")
    return value


def _count(fields: dict[str, Json], key: str, name: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= count_max:
        raise FormatBroken(name, f"its {key} is no count of 63 bits")
    return value


def _object(fields: dict[str, Json], key: str, name: str) -> dict[str, Json] | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, dict):
        raise FormatBroken(name, f"its {key} is no object")
    return value
