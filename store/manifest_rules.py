"""What holds between the rows of a manifest, and between rows and leaves: judged when one is sealed, and when one is taken in.

Apart from store/manifests.py since Arrow's functions take long to load: whoever lists sessions reads what was judged long ago.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from crypto.errors import FormatBroken
from store.limits import frame_stored_bytes_max, node_bytes_max, pack_bytes_max
from store.manifest_schema import PLACE_COLUMNS, count_max

if TYPE_CHECKING:  # the types only: manifests call this
    from store.manifests import LeafOpening, Manifest

_year_1_us = -62_135_596_800_000_000
_year_9999_us = 253_402_300_799_999_999
# Inclusive. Sums over counts stay in range, times stay within what Python and DuckDB can show (their extremes mean infinity).
_BOUNDS: Final = {
    **dict.fromkeys(
        ("input_uncached", "cache_read", "cache_write", "cache_write_1h", "output"), (0, count_max)
    ),
    "cost_usd_micro": (0, count_max),
    "created_us": (_year_1_us, _year_9999_us),
    "tool_calls": (0, node_bytes_max),
    "tool_errors": (0, node_bytes_max),
    "stored_bytes": (1, node_bytes_max),
    "frame_offset": (1, pack_bytes_max),
    "frame_length": (1, frame_stored_bytes_max),
    "frame_index": (0, node_bytes_max),
}


def check_author(manifest: "Manifest", member: bytes, device: bytes, name: str) -> None:
    """Refuse rows that name another author than the commit's: no member rewrites another's metadata."""
    for column, expected in (("member", member), ("device", device)):
        if any(value.as_py() != expected for value in pc.unique(manifest.table.column(column))):
            raise FormatBroken(name, f"has rows of another {column} than the commit that names it")


def leaf_problem(table: pa.Table, leaves: "Sequence[LeafOpening]") -> str:
    """What is wrong between rows and leaves; empty if each conversation has one leaf over all of its committed rows."""
    committed = table.filter(pc.is_valid(table.column("opening"))).column("conversation")
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(committed).to_pylist()}
    promised = {leaf.conversation: leaf.nodes for leaf in leaves}
    if len(promised) != len(leaves):
        return "has two leaves for one conversation"
    if counts != promised:
        return "its leaves do not fit its rows"
    return ""


def row_problem(table: pa.Table) -> str:
    """The first rule that a row breaks; empty if none."""
    for column, (least, most) in _BOUNDS.items():
        values = table.column(column).cast(pa.int64())
        found = pc.min_max(values).as_py()
        if found["min"] is not None and not least <= found["min"] <= found["max"] <= most:
            return f"{column} has a value out of range"
    if not _same(table.column("verified"), pc.is_valid(table.column("hash_version"))):
        return "a row is verified without a hash version, or has one without being verified"
    placed = pc.is_valid(table.column("pack"))
    if not all(_same(pc.is_valid(table.column(column)), placed) for column in PLACE_COLUMNS):
        return "a row has a part of a place"
    if not pc.all(pc.or_(pc.invert(placed), pc.is_valid(table.column("opening"))), min_count=0).as_py():
        return "a row has a place and no opening"
    return ""


def _same(left: pa.ChunkedArray, right: pa.ChunkedArray) -> bool:
    return pc.all(pc.equal(left, right), min_count=0).as_py() is True
