"""The columns of a manifest row, and how rows are made from facts: the one shape that pushed, pulled and own nodes share.

Hashes and ids are 32 raw bytes, times naive UTC microseconds, money integer micro-USD, tokens counts. `conversation` is the hash
of the topmost known ancestor. The columns from `pack` to `frame_index` are null together: such a row carries metadata only, and
what was said in its node is withheld by its author.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from store.facts import NodeFacts
from store.fields import int_json_max
from store.limits import label_bytes_max
from store.packs import FramePlace
from store.storable import storable_text

count_max = int_json_max
_batch_rows = 16_384  # rows turned into columns at once: bounds memory on a large local store

_DIGEST: Final = pa.binary(32)
_LABELS: Final = (
    "harness",
    "harness_session",
    "usage_id",
    "project",
    "agent",
    "provider",
    "model",
    "role",
    "kind",
    "stop_reason",
)
_TOKENS: Final = ("input_uncached", "cache_read", "cache_write", "cache_write_1h", "output")
PLACE_COLUMNS: Final = ("pack", "frame_offset", "frame_length", "frame_sha256", "frame_index")
DICTIONARY_COLUMNS: Final = (
    "hash_version",
    *_LABELS,
    "cost_source",
    "cost_table",
    "tools",
    "device",
    "member",
    "pack",
)


def _field(name: str, kind: pa.DataType, *, null: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=null)


MANIFEST_SCHEMA: Final = pa.schema(
    [
        _field("hash", _DIGEST, null=False),
        _field("hash_version", pa.string()),
        _field("verified", pa.bool_(), null=False),
        _field("parent", _DIGEST),
        _field("conversation", _DIGEST, null=False),
        *(_field(name, pa.string()) for name in _LABELS[:3]),
        _field("device", _DIGEST, null=False),
        _field("member", _DIGEST, null=False),
        *(_field(name, pa.string()) for name in _LABELS[3:]),
        _field("created_us", pa.timestamp("us")),
        *(_field(name, pa.int64()) for name in _TOKENS),
        _field("cost_usd_micro", pa.int64()),
        _field("cost_source", pa.string()),
        _field("cost_table", pa.string()),
        _field("tool_calls", pa.int32(), null=False),
        _field("tool_errors", pa.int32(), null=False),
        _field("git_activity", pa.bool_(), null=False),
        _field("tools", pa.string()),
        _field("stored_bytes", pa.int32(), null=False),
        _field("pack", _DIGEST),
        _field("frame_offset", pa.int64()),
        _field("frame_length", pa.int64()),
        _field("frame_sha256", _DIGEST),
        _field("frame_index", pa.int32()),
        _field("opening", _DIGEST),
    ]
)


class NodePlace(NamedTuple):
    """Where a pushed node's bytes lie: its pack's 32-byte SHA-256, the frame, its position in the frame, its opening."""

    pack: bytes
    frame: FramePlace
    frame_index: int
    opening: bytes


class Row(NamedTuple):
    """One manifest row. `conversation` is 32 bytes, `stored_bytes` the length of the node's JSON.

    No place: metadata only; `opening` is then what its leaf commits to it with, and None only for a row in no manifest.
    """

    facts: NodeFacts
    conversation: bytes
    stored_bytes: int
    place: NodePlace | None = None
    opening: bytes | None = None


class LocalRow(Protocol):
    """What the local store says of one node; `conversation` is 64 hex digits."""

    @property
    def facts(self) -> NodeFacts:
        """The node's metadata columns."""
        ...

    @property
    def conversation(self) -> str:
        """The hash of its topmost known ancestor, hex."""
        ...

    @property
    def stored_bytes(self) -> int:
        """The length of its stored JSON."""
        ...


def rows_table(rows: Iterable[Row], member: bytes, device: bytes) -> pa.Table:
    """The rows, in their order, as a table of MANIFEST_SCHEMA, all by one member's device (32-byte ids)."""
    remaining = iter(rows)
    batches = []
    while chunk := list(islice(remaining, _batch_rows)):
        facts, conversations, sizes, places, openings = zip(*chunk, strict=True)
        columns: dict[str, Sequence[Any]] = {**_facts_columns(facts), **_place_columns(places)}
        columns["opening"] = [
            place.opening if place else opening for place, opening in zip(places, openings, strict=True)
        ]
        columns["conversation"] = conversations
        columns["stored_bytes"] = sizes
        columns["member"] = [member] * len(chunk)
        columns["device"] = [device] * len(chunk)
        arrays = [pa.array(columns[field.name], field.type) for field in MANIFEST_SCHEMA]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=MANIFEST_SCHEMA))
    return pa.Table.from_batches(batches, schema=MANIFEST_SCHEMA)


def own_table(local_rows: Iterable[LocalRow], member: bytes, device: bytes) -> pa.Table:
    """This device's own nodes in the same shape, pushed or not: without places and openings."""
    return rows_table(_without_place(local_rows), member, device)


def _without_place(local_rows: Iterable[LocalRow]) -> Iterator[Row]:
    for row in local_rows:
        yield Row(row.facts, bytes.fromhex(row.conversation), row.stored_bytes)


def _facts_columns(facts: Sequence[NodeFacts]) -> dict[str, Sequence[Any]]:
    """By column, read row by row: one look at each node's facts, not one for each column."""
    said = dict(zip(NodeFacts._fields, zip(*facts, strict=True), strict=True))
    columns: dict[str, Sequence[Any]] = {
        "hash": [bytes.fromhex(node_hash) for node_hash in said["hash"]],
        "parent": [bytes.fromhex(parent) if parent else None for parent in said["parent_hash"]],
        "verified": [version is not None for version in said["hash_version"]],
    }
    for name in ("hash_version", *_LABELS, "cost_source", "cost_table", "tools"):
        cut = {text: label for text in set(said[name]) if (label := _label(text)) != text}
        columns[name] = [cut.get(text, text) for text in said[name]] if cut else said[name]
    for name in (*_TOKENS, "cost_usd_micro"):
        columns[name] = _counts(said[name])
    for name in ("created_us", "tool_calls", "tool_errors", "git_activity"):
        columns[name] = said[name]
    return columns


def _place_columns(places: Sequence[NodePlace | None]) -> dict[str, Sequence[Any]]:
    return {
        "pack": [place and place.pack for place in places],
        "frame_offset": [place and place.frame.offset for place in places],
        "frame_length": [place and place.frame.length for place in places],
        "frame_sha256": [place and place.frame.sha256 for place in places],
        "frame_index": [place and place.frame_index for place in places],
    }


def _label(text: str | None) -> str | None:
    if text is None or (text.isascii() and len(text) <= label_bytes_max):
        return text
    return storable_text(text).encode()[:label_bytes_max].decode(errors="ignore")


def _counts(values: Sequence[int | None]) -> Sequence[int | None]:
    """A log may claim any number; one that is no count is unknown, not an error and not zero."""
    known = {value for value in set(values) if value is not None}
    if not known or 0 <= min(known) <= max(known) <= count_max:
        return values
    return [value if value is not None and 0 <= value <= count_max else None for value in values]
