"""Manifests: the sealed Parquet table of the nodes that one push added, with what opens its leaves to an auditor.

    manifest = sealed (Kind.MANIFEST) Parquet of MANIFEST_SCHEMA, rows in push order, and under the metadata key "tapes"
               the canonical JSON {format, leaves: [{batch_root, conversation, j, k_tag, nodes, prev_c, r, tag}], space}

Leaves stand in the order of the commit's append leaves. A leaf's batch root is over its conversation's rows in table order, so
that order is part of what is proven; the root itself stands here because otherwise only the packs could give it. All bytes are
judged here once, at pull; what reads the table afterwards may rely on every rule below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import pyarrow as pa
from pydantic import Field, ValidationError

from crypto.errors import FormatBroken
from crypto.sealing import Kind, SealKey, open_sealed, seal
from store.canonical import canonical, parse_canonical
from store.fields import Count, Hex16, Hex32, Stored
from store.limits import (
    MIB,
    commit_leaves_max,
    manifest_rows_max,
)
from store.manifest_schema import DICTIONARY_COLUMNS, MANIFEST_SCHEMA
from store.parquet import TableFormat, read_columns, read_metadata, read_table, write_table

FORMAT = 0
manifest_raw_bytes_max = 384 * MIB  # above manifest_rows_max rows whose every label is as long as it may be
manifest_stored_bytes_max = 64 * MIB  # below object_bytes_max: no bucket takes more
about_bytes_max = 4 * MIB  # the JSON of commit_leaves_max leaves takes half
_FORM: Final = TableFormat(
    schema=MANIFEST_SCHEMA,
    row_group_rows=122_880,  # DuckDB's own row group: the unit it prunes and spreads over threads
    dictionary=DICTIONARY_COLUMNS,
    rows_max=manifest_rows_max,
    raw_bytes_max=manifest_raw_bytes_max,
    metadata_key=b"tapes",
)


@dataclass(frozen=True, slots=True)
class LeafOpening:
    """What opens one append leaf (crypto/leaves.py): 32-byte values, a 16-byte tag, `prev_c` empty for a first leaf."""

    conversation: bytes
    tag: bytes
    j: int
    r: bytes
    k_tag: bytes
    prev_c: bytes
    batch_root: bytes
    nodes: int  # rows of the conversation that the leaf commits to: those with an opening


@dataclass(frozen=True, slots=True)
class Manifest:
    """An opened manifest. `table` has MANIFEST_SCHEMA, in push order."""

    table: pa.Table
    leaves: tuple[LeafOpening, ...]


class _StoredLeaf(Stored):
    conversation: Hex32
    tag: Hex16
    j: Count
    r: Hex32
    k_tag: Hex32
    prev_c: Hex32 | None
    batch_root: Hex32
    nodes: Annotated[int, Field(ge=1, le=manifest_rows_max)]


class _StoredAbout(Stored):
    format: Literal[0]
    space: Hex16
    leaves: Annotated[list[_StoredLeaf], Field(max_length=commit_leaves_max)]


def seal_manifest(seal_key: SealKey, table: pa.Table, leaves: Sequence[LeafOpening]) -> bytes:
    """Seal a table of MANIFEST_SCHEMA with its leaf openings. ValueError if rows and leaves do not fit, or are too many."""
    from store.manifest_rules import leaf_problem  # noqa: PLC0415 - see there

    problem = leaf_problem(table, leaves)
    if problem:
        raise ValueError(problem)
    about = {
        "format": FORMAT,
        "space": seal_key.space.hex(),
        "leaves": [_leaf_fields(leaf) for leaf in leaves],
    }
    return seal(seal_key, Kind.MANIFEST, write_table(table, _FORM, canonical(about)))


def open_manifest(seal_key: SealKey, stored: bytes, name: str) -> Manifest:
    """Open a sealed manifest that an error will call `name`; SealBroken or FormatBroken unless every rule of the format holds."""
    from store.manifest_rules import leaf_problem, row_problem  # noqa: PLC0415 - see there

    table, about = read_table(_unsealed(seal_key, stored, name), _FORM, name)
    leaves = _parse_about(about, seal_key.space, name)
    problem = row_problem(table) or leaf_problem(table, leaves)
    if problem:
        raise FormatBroken(name, problem)
    return Manifest(table, leaves)


def open_leaves(seal_key: SealKey, stored: bytes, name: str) -> tuple[LeafOpening, ...]:
    """The leaf openings of a manifest that `open_manifest` judged before; no row is read."""
    return _parse_about(read_metadata(_unsealed(seal_key, stored, name), _FORM, name), seal_key.space, name)


def open_columns(seal_key: SealKey, stored: bytes, columns: Sequence[str], name: str) -> pa.Table:
    """Some columns of a manifest that `open_manifest` judged before, in its order of rows."""
    return read_columns(_unsealed(seal_key, stored, name), columns, name)


def _unsealed(seal_key: SealKey, stored: bytes, name: str) -> bytes:
    if len(stored) > manifest_stored_bytes_max:
        raise FormatBroken(
            name, f"a manifest of {len(stored)} bytes is over the limit of {manifest_stored_bytes_max}"
        )
    return open_sealed(seal_key, Kind.MANIFEST, stored, name)


def _leaf_fields(leaf: LeafOpening) -> dict[str, str | int | None]:
    return {
        "conversation": leaf.conversation.hex(),
        "tag": leaf.tag.hex(),
        "j": leaf.j,
        "r": leaf.r.hex(),
        "k_tag": leaf.k_tag.hex(),
        "prev_c": leaf.prev_c.hex() or None,
        "batch_root": leaf.batch_root.hex(),
        "nodes": leaf.nodes,
    }


def _parse_about(data: bytes, space: bytes, name: str) -> tuple[LeafOpening, ...]:
    if len(data) > about_bytes_max:
        raise FormatBroken(name, f"metadata of {len(data)} bytes is over the limit of {about_bytes_max}")
    try:
        about = _StoredAbout.model_validate(parse_canonical(data, name))
    except ValidationError as broken:
        first = broken.errors(include_input=False)[0]
        raise FormatBroken(name, f"metadata {first['loc']}: {first['msg']}") from None
    if about.space != space.hex():
        raise FormatBroken(name, "says it is for another space than the one it is sealed for")
    return tuple(_leaf_opening(leaf) for leaf in about.leaves)


def _leaf_opening(leaf: _StoredLeaf) -> LeafOpening:
    return LeafOpening(
        conversation=bytes.fromhex(leaf.conversation),
        tag=bytes.fromhex(leaf.tag),
        j=leaf.j,
        r=bytes.fromhex(leaf.r),
        k_tag=bytes.fromhex(leaf.k_tag),
        prev_c=bytes.fromhex(leaf.prev_c or ""),
        batch_root=bytes.fromhex(leaf.batch_root),
        nodes=leaf.nodes,
    )
