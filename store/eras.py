"""The node hash of papercomputeco/tapes in each era it went through (tapes.md §1); E3 is what we write.

    hash = hex(SHA-256(canonical Go JSON of {"parent": parent hash or "", "content": bucket as the era sees it}))

An era sees a bucket as Go's typed decoder does, traps included: names match whatever their case, null leaves a field as it
was, a lone surrogate becomes U+FFFD, unknown fields vanish, and a field of the wrong type makes the whole node undecodable, so
that no hash exists for it. `is_error` stands in every block: Go's json/v2 `omitempty` does not leave out false.
"""

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeGuard

from store.canonical import canonical_go, canonical_plain
from store.nodes import Json, Node
from store.projection import TAGS_E4, TAGS_E5, TAGS_E6, project_blocks

_BASE_FIELDS = frozenset(
    {
        "type",
        "text",
        "image_url",
        "image_base64",
        "media_type",
        "tool_use_id",
        "tool_name",
        "tool_input",
        "tool_result_id",
        "tool_output",
        "is_error",
    }
)
_THINKING_FIELDS = _BASE_FIELDS | {"thinking", "thinking_signature"}
_RAW_FIELDS = _THINKING_FIELDS | {"content"}
_BUCKET_FIELDS = frozenset({"type", "role", "content", "model", "provider", "agent_name"})
_NO_TEXT = frozenset({"is_error", "tool_input", "content"})  # fields that hold something else than a string


@dataclass(frozen=True, slots=True)
class _Era:
    """How one era of the Go code sees a bucket."""

    block_fields: frozenset[str]
    tags: tuple[str, ...] | None = None  # None: before projection, the bucket is hashed whole
    project_outputs: bool = False


ERAS: Final[dict[str, _Era]] = {
    "E3": _Era(_BASE_FIELDS),
    "E3t": _Era(_THINKING_FIELDS),
    "E4": _Era(_THINKING_FIELDS, TAGS_E4),
    "E4c": _Era(_RAW_FIELDS, TAGS_E4),
    "E5": _Era(_RAW_FIELDS, TAGS_E5, project_outputs=True),
    "E6": _Era(_RAW_FIELDS, TAGS_E6, project_outputs=True),
}
ERA_WRITTEN: Final = "E3"

_TEXT: Final = {str}
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


class HashUndefined(ValueError):
    """Go cannot decode or encode this bucket, so the era has no hash for it."""


def is_hash(text: Json) -> TypeGuard[str]:
    """Whether `text` is a node hash: 64 lower-case hex digits."""
    return isinstance(text, str) and _HASH.match(text) is not None


def well_formed(text: str) -> str:
    """The text as Go and every database hold it: pairs of surrogates joined, lone ones replaced by U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def hash_bucket(bucket: Json, parent_hash: str | None, era: str = ERA_WRITTEN) -> str:
    """The hash of a bucket below a parent (None or "" for a root) in `era`; HashUndefined where Go has none.

    The parent is taken as the text it is; Go does not look into it. Duplicate keys are past: the last one won.
    """
    return sha256(preimage(bucket, parent_hash, era)).hexdigest()


def preimage(bucket: Json, parent_hash: str | None, era: str = ERA_WRITTEN) -> bytes:
    """The exact bytes whose SHA-256 is the node's hash."""
    plain = _plain_bucket(bucket, ERAS[era])
    if plain is not None and (made := canonical_plain({"parent": parent_hash or "", "content": plain})):
        return made
    try:
        content = _decode_bucket(bucket, ERAS[era])
        return canonical_go({"parent": well_formed(parent_hash or ""), "content": content})
    except RecursionError:
        raise HashUndefined("nested too deeply") from None
    except HashUndefined:
        raise
    except ValueError as problem:
        raise HashUndefined(str(problem)) from None


def era_of(bucket: Json, parent_hash: str | None, stored_hash: str, hint: str | None = None) -> str | None:
    """The first era in which the bucket hashes to `stored_hash`, or None. `hint`, when it is an era, is tried first.

    Most nodes hash alike in several eras; the hint keeps the name that the node's writer gave.
    """
    if hint in ERAS and _fits(bucket, parent_hash, stored_hash, hint):
        return hint
    return next((era for era in ERAS if era != hint and _fits(bucket, parent_hash, stored_hash, era)), None)


def make_node(bucket: dict[str, Json], parent_hash: str | None, **metadata: Any) -> Node:
    """A new node in the era we write; `metadata` are Node's other fields. HashUndefined as in `hash_bucket`."""
    made = hash_bucket(bucket, parent_hash)
    return Node(
        hash=made, hash_version=ERA_WRITTEN, parent_hash=parent_hash or None, bucket=bucket, **metadata
    )


def _fits(bucket: Json, parent_hash: str | None, stored_hash: str, era: str) -> bool:
    try:
        return hash_bucket(bucket, parent_hash, era) == stored_hash
    except HashUndefined:
        return False


def _plain_bucket(bucket: Json, era: _Era) -> dict[str, Json] | None:
    """What `_decode_bucket` gives for a bucket spelled as all writers in practice spell it, in a fifth of its time; else None."""
    if era.tags is not None or type(bucket) is not dict or not bucket.keys() <= _BUCKET_FIELDS:
        return None
    made: dict[str, Json] = {"type": "", "role": "", "content": [], "model": "", "provider": "", **bucket}
    content = made.pop("content")
    if type(content) is not list or set(map(type, made.values())) != _TEXT:
        return None
    if made.get("agent_name") == "":
        del made["agent_name"]
    blocks = [_plain_block(block, era.block_fields) for block in content]
    made["content"] = blocks
    return None if None in blocks else made


def _plain_block(block: Json, fields: frozenset[str]) -> dict[str, Json] | None:
    """What `_decode_block` gives; None for anything unusual. Lone surrogates are left for the encoder to refuse."""
    if type(block) is not dict:
        return None
    made: dict[str, Json] = {"type": "", "is_error": False}
    for name, value in block.items():
        if name not in fields:
            if name not in _RAW_FIELDS:  # perhaps a known name in other letters
                return None
        elif type(value) is str and name not in _NO_TEXT:
            if value or name == "type":
                made[name] = value
        elif type(value) is bool and name == "is_error":
            made[name] = value
        elif type(value) is dict and name == "tool_input" and _plain_values(value):
            if value:
                made[name] = value
        else:
            return None
    return made


def _plain_values(mapping: dict[str, Json]) -> bool:
    """Whether all inside is an exact JSON type but no float, under ASCII keys: what `canonical_plain` may be given."""
    stack: list[Json] = [mapping]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is dict:
            if item and (set(map(type, item)) != _TEXT or not "".join(item).isascii()):
                return False
            stack.extend(item.values())
        elif kind is list:
            stack.extend(item)
        elif kind is not str and kind is not int and kind is not bool and item is not None:
            return False
    return True


def _decode_bucket(bucket: Json, era: _Era) -> dict[str, Json]:
    made: dict[str, Json] = {"type": "", "role": "", "content": [], "model": "", "provider": ""}
    contents = 0
    for name, value in _known(bucket, _BUCKET_FIELDS):
        if name == "content":
            contents += 1
            made[name] = [_decode_block(block, era.block_fields) for block in _array(value)]
        elif value is not None:
            made[name] = _string(value)
    if contents > 1:
        # `content` and `Content`: Go decodes the second over what the first left in memory. Nobody writes that.
        raise HashUndefined("two fields that Go both reads as content")
    if era.tags is None:
        return {name: value for name, value in made.items() if name != "agent_name" or value}
    blocks = project_blocks(made["content"], era.tags, outputs=era.project_outputs)
    return {"type": made["type"], "role": made["role"], "content": _without_empty(blocks)}


def _decode_block(block: Json, fields: frozenset[str]) -> dict[str, Json]:
    made: dict[str, Json] = {"type": "", "is_error": False}
    for name, value in _known(block, fields):
        if name == "content":
            made[name] = _raw(value)
        elif name == "tool_input":
            made[name] = _merged(made.get(name), value)
        elif value is not None:
            made[name] = _flag(value) if name == "is_error" else _string(value)
    return _omit_empty(made)


def _without_empty(blocks: list[dict[str, Json]]) -> list[dict[str, Json]]:
    return [_omit_empty(block) for block in blocks]


def _omit_empty(block: dict[str, Json]) -> dict[str, Json]:
    """json/v2 `omitempty`: what encodes as null, "", [] or {} goes; false and 0 stay."""
    return {
        name: value
        for name, value in block.items()
        if name == "type" or not (value is None or value in ("", [], {}))
    }


def _known(record: Json, fields: frozenset[str]) -> Iterator[tuple[str, Json]]:
    """The members of `record` that Go's decoder has a field for, under the field's name, in their order."""
    if record is None:
        return
    if not isinstance(record, dict):
        raise HashUndefined("not an object")
    for key, value in record.items():
        # U+017F folds to s in Go but is its own lower case; U+212A, the other stranger, lowers to k by itself.
        name = key if key in fields else key.lower().replace("\u017f", "s")
        if name in fields:
            yield name, value


def _array(value: Json) -> list[Json]:
    if value is not None and not isinstance(value, list):
        raise HashUndefined("content is not an array")
    return value or []


def _string(value: Json) -> str:
    if not isinstance(value, str):
        raise HashUndefined("not a string")
    return well_formed(value)


def _flag(value: Json) -> bool:
    if not isinstance(value, bool):
        raise HashUndefined("is_error is not a boolean")
    return value


def _merged(before: dict[str, Json] | None, value: Json) -> dict[str, Json] | None:
    """`tool_input` again under another spelling adds to the map; null empties it."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise HashUndefined("tool_input is not an object")
    return {**(before or {}), **_decoded(value)}


def _decoded(value: Json) -> Any:
    """A value as Go's `any` holds it. One frame per level, so that whatever json.loads could read can be walked."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        made = {}
        for key, item in value.items():
            made[well_formed(key)] = _decoded(item)
        return made
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(_decoded(item))  # noqa: PERF401 - a comprehension costs a second frame per level on 3.11
        return items
    if isinstance(value, int | float) and not math.isfinite(_double(value)):
        raise HashUndefined("a number beyond the doubles")
    return value


def _raw(value: Json) -> Any:
    """A value as Go's RawMessage passes it through: numbers saturate, and canonicalising stops at a lone surrogate."""
    if isinstance(value, dict):
        made = {}
        for key, item in value.items():
            made[key] = _raw(item)
        return made
    if isinstance(value, list):
        items = []
        for item in value:
            items.append(_raw(item))  # noqa: PERF401 - as in _decoded
        return items
    if isinstance(value, int | float) and math.isinf(number := _double(value)):
        return math.copysign(sys.float_info.max, number)
    return value


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
