"""Manifests: one strict shape, bounded, opening to what was sealed; a member's lies inside the seal are named."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import FormatBroken, SealBroken
from crypto.leaves import batch_root, node_commitment
from crypto.sealing import Kind, open_sealed, seal
from store import manifests, parquet
from store.canonical import canonical
from store.facts import NodeFacts
from store.limits import label_bytes_max, manifest_rows_max
from store.manifest_rules import check_author
from store.manifest_schema import (
    MANIFEST_SCHEMA,
    NodePlace,
    Row,
    count_max,
    own_table,
    rows_table,
)
from store.manifests import LeafOpening, Manifest, open_manifest, seal_manifest
from store.packs import FramePlace, open_pack
from tests.golden.make_formats import plain_rows
from tests.sealing_keys import (
    DEVICE,
    MEMBER,
    OTHER_KEYS,
    TEAM_KEY,
    digest,
    leaf_openings,
    make_turn,
    pack_turns,
    pushed_rows,
)

TALKS = {"talk": [make_turn(number) for number in range(3)], "other": [make_turn(0, "other")]}
PACK = pack_turns(TALKS)
TABLE = rows_table(pushed_rows(PACK, TALKS), MEMBER, DEVICE)
LEAVES = leaf_openings(TALKS)
SEALED = seal_manifest(TEAM_KEY, TABLE, LEAVES)
INSIDE = open_sealed(TEAM_KEY, Kind.MANIFEST, SEALED, "manifest")
GOLDEN = Path(__file__).parent.parent / "golden" / "formats"
BROKEN = (SealBroken, FormatBroken)

digests = st.binary(min_size=32, max_size=32)
labels = st.none() | st.text(max_size=8)
counts = st.none() | st.integers(0, count_max)
facts = st.builds(
    NodeFacts,
    hash=digests.map(bytes.hex),
    parent_hash=st.none() | digests.map(bytes.hex),
    created_us=st.none() | st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
    tool_calls=st.integers(0, 1000),
    tool_errors=st.integers(0, 1000),
    git_activity=st.booleans(),
    **dict.fromkeys(
        (
            "hash_version", "harness", "harness_session", "usage_id", "project", "agent", "provider", "model",
            "role", "kind", "stop_reason", "cost_source", "cost_table",
        ),
        labels,
    ),
    **dict.fromkeys(
        ("input_uncached", "cache_read", "cache_write", "cache_write_1h", "output", "cost_usd_micro"), counts
    ),
)  # fmt: skip
places = st.builds(
    NodePlace,
    pack=digests,
    frame=st.builds(FramePlace, offset=st.integers(12, 2**26), length=st.integers(1, 2**25), sha256=digests),
    frame_index=st.integers(0, 1000),
    opening=digests,
)
rows = st.builds(Row, facts, digests, st.integers(1, 2**25), st.none() | places, st.none())


def leaves_for(some_rows: list[Row]) -> list[LeafOpening]:
    """A leaf for each conversation over its placed rows."""
    placed = [row.conversation for row in some_rows if row.place]
    blank = bytes(32)
    return [
        LeafOpening(talk, blank[:16], 0, blank, blank, b"", blank, placed.count(talk))
        for talk in dict.fromkeys(placed)
    ]


def as_parquet(table: pa.Table, about: bytes | None, **options: Any) -> bytes:
    """Parquet bytes as a stranger's writer may make them."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table)
        if about is not None:
            writer.add_key_value_metadata({b"tapes": about})
    return sink.getvalue()


def about(**changes: Any) -> bytes:
    """The metadata JSON of the manifest above, with some fields changed."""
    metadata = pq.read_metadata(pa.BufferReader(INSIDE)).metadata
    return canonical({**json.loads(metadata[b"tapes"]), **changes})


def sealed(table: pa.Table, metadata: bytes | None) -> bytes:
    """An honest seal around any table and metadata."""
    return seal(TEAM_KEY, Kind.MANIFEST, as_parquet(table, metadata))


@settings(max_examples=50)
@given(st.lists(rows, max_size=12))
def test_what_is_sealed_opens_to_the_same_rows_and_leaves(some_rows: list[Row]) -> None:
    """Any facts, placed or metadata only, come back equal and in order."""
    table, leaves = rows_table(some_rows, MEMBER, DEVICE), leaves_for(some_rows)

    manifest = open_manifest(TEAM_KEY, seal_manifest(TEAM_KEY, table, leaves), "manifest")

    assert manifest.table.equals(table)
    assert manifest.table.schema.equals(MANIFEST_SCHEMA)
    assert manifest.leaves == tuple(leaves)


@given(facts, st.none() | places)
def test_a_row_says_what_its_facts_say(fact: NodeFacts, place: NodePlace | None) -> None:
    """Each column holds the fact of its name; hashes as bytes, times in microseconds."""
    (row,) = rows_table([Row(fact, digest("talk"), 17, place)], MEMBER, DEVICE).to_pylist()
    times = row.pop("created_us")

    assert times == pa.scalar(fact.created_us, pa.timestamp("us")).as_py()
    assert row.pop("hash").hex() == fact.hash
    assert (row.pop("parent") or b"").hex() == (fact.parent_hash or "")
    assert row.pop("verified") is (fact.hash_version is not None)
    assert (row.pop("conversation"), row.pop("stored_bytes")) == (digest("talk"), 17)
    assert (row.pop("member"), row.pop("device")) == (MEMBER, DEVICE)
    found = [
        row.pop(name)
        for name in ("pack", "frame_offset", "frame_length", "frame_sha256", "frame_index", "opening")
    ]
    frame = place and place.frame
    assert found == [
        place and place.pack,
        frame and frame.offset,
        frame and frame.length,
        frame and frame.sha256,
        place and place.frame_index,
        place and place.opening,
    ]
    assert row == {name: getattr(fact, name) for name in row}


def test_own_rows_have_the_same_shape_without_places() -> None:
    """What is only on this device reads like what was pushed, so that one query counts both."""
    local = [
        SimpleNamespace(facts=row.facts, conversation=row.conversation.hex(), stored_bytes=row.stored_bytes)
        for row in pushed_rows(PACK, TALKS)
    ]

    own = own_table(local, MEMBER, DEVICE)

    assert own.schema.equals(TABLE.schema)
    where = {"pack", "frame_offset", "frame_length", "frame_sha256", "frame_index", "opening"}
    for column in MANIFEST_SCHEMA.names:
        if column in where:
            assert own.column(column).null_count == own.num_rows == 4
        else:
            assert own.column(column).equals(TABLE.column(column))


def test_many_rows_go_through_in_order() -> None:
    """More rows than one batch or one page: none lost, none moved."""
    several = [
        row._replace(stored_bytes=number + 1) for number, row in enumerate(pushed_rows(PACK, TALKS) * 5000)
    ]
    table = rows_table(iter(several), MEMBER, DEVICE)

    opened = open_manifest(TEAM_KEY, seal_manifest(TEAM_KEY, table, leaves_for(several)), "manifest").table

    assert opened.column("stored_bytes").to_pylist() == list(range(1, 20_001))


def test_foreign_labels_and_counts_are_made_storable() -> None:
    """A log may hold lone surrogates, endless names and impossible numbers: cut or unknown, never an error or a zero."""
    strange = pushed_rows(PACK, TALKS)[0].facts._replace(
        project="bad \ud800 end",
        model="\u20ac" * label_bytes_max,
        agent="a" * (label_bytes_max + 1),
        output=10**30,
        cache_read=-1,
    )
    (row,) = rows_table([Row(strange, digest("talk"), 1)], MEMBER, DEVICE).to_pylist()

    assert row["project"] == "bad \ufffd end"
    assert row["model"] == "\u20ac" * (label_bytes_max // 3)
    assert row["agent"] == "a" * label_bytes_max
    assert (row["output"], row["cache_read"]) == (None, None)


def test_every_flipped_byte_is_detected() -> None:
    """Each byte of a stored manifest counts."""
    for position in range(len(SEALED)):
        flipped = SEALED[:position] + bytes([SEALED[position] ^ 0x10]) + SEALED[position + 1 :]
        with pytest.raises(BROKEN):
            open_manifest(TEAM_KEY, flipped, "manifest")


def test_every_cut_is_detected() -> None:
    """No prefix of a manifest is a manifest."""
    for length in range(len(SEALED)):
        with pytest.raises(BROKEN):
            open_manifest(TEAM_KEY, SEALED[:length], "manifest")


@pytest.mark.parametrize("differs", sorted(OTHER_KEYS))
def test_another_key_team_space_or_epoch_opens_nothing(differs: str) -> None:
    """A manifest opens only where it was sealed for."""
    with pytest.raises(SealBroken):
        open_manifest(OTHER_KEYS[differs], SEALED, "manifest")


def test_another_kind_is_no_manifest() -> None:
    """The same table sealed as a text does not open as a manifest."""
    with pytest.raises(SealBroken, match="expected MANIFEST"):
        open_manifest(TEAM_KEY, seal(TEAM_KEY, Kind.TEXT, INSIDE), "manifest")


def column_set(name: str, values: list[Any]) -> pa.Table:
    """The table with other values in one column."""
    field = MANIFEST_SCHEMA.field(name)
    return TABLE.set_column(MANIFEST_SCHEMA.get_field_index(name), field, pa.array(values, field.type))


def renamed(name: str, new: pa.Field) -> pa.Table:
    """The table with another field in one column's place."""
    return TABLE.set_column(MANIFEST_SCHEMA.get_field_index(name), new, TABLE.column(name).cast(new.type))


def test_the_true_table_is_accepted_by_the_same_road() -> None:
    """The crafted manifests below fail for their lie, not for how they are put together."""
    opened = open_manifest(TEAM_KEY, sealed(TABLE, about()), "manifest")

    assert opened.table.equals(TABLE)
    assert opened.leaves == tuple(LEAVES)


SHAPES: dict[str, Callable[[], pa.Table]] = {
    "a column missing": lambda: TABLE.drop_columns(["output"]),
    "a column more": lambda: TABLE.append_column("extra", pa.array([1, 2, 3, 4])),
    "another name": lambda: renamed("output", pa.field("outputs", pa.int64())),
    "another type": lambda: renamed("output", pa.field("output", pa.int32())),
    "another order": lambda: TABLE.select(TABLE.column_names[::-1]),
    "nulls allowed": lambda: renamed("hash", pa.field("hash", pa.binary(32))),
    "a zoned time": lambda: renamed("created_us", pa.field("created_us", pa.timestamp("us", tz="UTC"))),
    "bytes for text": lambda: renamed("project", pa.field("project", pa.binary())),
    "no columns": lambda: pa.table({"x": pa.array([], pa.int8())}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_another_shape_is_refused(shape: str) -> None:
    """Names, types, order and nullability are the format's; nothing is coerced."""
    with pytest.raises(FormatBroken, match=r"manifests/7: has other columns or types"):
        open_manifest(TEAM_KEY, sealed(SHAPES[shape](), about()), "manifests/7")


ROWS: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "negative tokens": (lambda: column_set("output", [-1, 0, 0, 0]), "output has a value"),
    "tokens that overflow a sum": (lambda: column_set("output", [2**63 - 1] * 4), "output has a value"),
    "negative money": (lambda: column_set("cost_usd_micro", [-5, 0, 0, 0]), "cost_usd_micro has"),
    "a time beyond the calendar": (lambda: column_set("created_us", [2**63 - 1] * 4), "created_us has"),
    "a node of no bytes": (lambda: column_set("stored_bytes", [0, 1, 1, 1]), "stored_bytes has"),
    "a frame before its pack": (lambda: column_set("frame_offset", [-4, 12, 12, 12]), "frame_offset has"),
    "an endless frame": (lambda: column_set("frame_length", [2**40, 1, 1, 1]), "frame_length has"),
    "half a place": (lambda: column_set("frame_offset", [None, 12, 12, 12]), "part of a place"),
    "a place without opening": (lambda: column_set("opening", [None, *[digest("o")] * 3]), "no opening"),
    "verified under no era": (lambda: column_set("verified", [True, False, False, False]), "verified without"),
    "an era without verification": (lambda: column_set("hash_version", ["E3", None, None, None]), "without being"),
    "rows without a leaf": (lambda: column_set("conversation", [digest("third")] * 4), "leaves do not fit"),
    "a row without its leaf": (lambda: TABLE.slice(1), "leaves do not fit"),
    "no row": (lambda: TABLE.slice(0, 0), "leaves do not fit"),
}  # fmt: skip


@pytest.mark.parametrize("lie", ROWS)
def test_a_row_that_cannot_be_true_is_refused(lie: str) -> None:
    """What readers rely on is judged once, here: ranges, whole places, and leaves that fit the rows."""
    make, problem = ROWS[lie]

    with pytest.raises(FormatBroken, match=f"manifests/7: .*{problem}"):
        open_manifest(TEAM_KEY, sealed(make(), about()), "manifests/7")


STORED_LEAVES: list[dict[str, Any]] = json.loads(about())["leaves"]
ABOUT: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "no JSON": b"\xff",
    "not canonical": b" " + about(),
    "a newer format": about(format=1),
    "another space": about(space="00" * 16),
    "no leaves": about(leaves=[]),
    "a field more": about(extra=1),
    "a leaf twice": about(leaves=[*STORED_LEAVES, STORED_LEAVES[0]]),
    "a leaf that counts wrong": about(leaves=[{**STORED_LEAVES[0], "nodes": 2}, STORED_LEAVES[1]]),
    "a leaf with a short key": about(leaves=[{**STORED_LEAVES[0], "k_tag": "00"}, STORED_LEAVES[1]]),
    "a leaf of another type": about(leaves=[{**STORED_LEAVES[0], "j": "0"}, STORED_LEAVES[1]]),
    "over its limit": canonical("x" * manifests.about_bytes_max),
}


@pytest.mark.parametrize("lie", ABOUT)
def test_false_metadata_is_refused(lie: str) -> None:
    """The leaf openings are as strict as the rows."""
    with pytest.raises(FormatBroken, match="manifests/7"):
        open_manifest(TEAM_KEY, sealed(TABLE, ABOUT[lie]), "manifests/7")


def test_the_writer_holds_itself_to_the_leaf_rule() -> None:
    """A push that would be refused by every reader fails on the device that makes it."""
    with pytest.raises(ValueError, match="leaves do not fit"):
        seal_manifest(TEAM_KEY, TABLE, LEAVES[:1])
    with pytest.raises(ValueError, match="two leaves"):
        seal_manifest(TEAM_KEY, TABLE, [*LEAVES, LEAVES[0]])


def test_too_many_rows_are_refused_both_ways() -> None:
    """One row over the limit is neither written nor read."""
    many = rows_table(
        [Row(pushed_rows(PACK, TALKS)[0].facts, digest("talk"), 1)] * (manifest_rows_max + 1), MEMBER, DEVICE
    )

    with pytest.raises(ValueError, match="not one stored table"):
        seal_manifest(TEAM_KEY, many, [])
    with pytest.raises(FormatBroken, match="over the limit"):
        open_manifest(TEAM_KEY, sealed(many, about(leaves=[])), "manifest")


def test_a_dictionary_bomb_is_refused_before_it_is_spread_out() -> None:
    """One long label named by every row: 30 KiB stored, 20 GiB as text."""
    count = 20_000
    plain = rows_table([Row(pushed_rows(PACK, TALKS)[0].facts, digest("talk"), 1)] * count, MEMBER, DEVICE)
    label = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * (1 << 20)]))
    at = MANIFEST_SCHEMA.get_field_index("project")
    bomb = as_parquet(
        plain.set_column(at, "project", label), about(leaves=[]), store_schema=False, compression="zstd"
    )
    assert len(bomb) < 64 << 10

    before = pa.total_allocated_bytes()
    with pytest.raises(FormatBroken, match="over the limit"):
        open_manifest(TEAM_KEY, seal(TEAM_KEY, Kind.MANIFEST, bomb), "manifest")

    assert pa.total_allocated_bytes() - before < 64 << 20


def test_text_that_is_not_utf8_is_refused() -> None:
    """Arrow does not look; a reader downstream would stumble."""
    wrong = TABLE.column("project").cast(pa.binary()).to_pylist()
    wrong[0] = b"\xff\xfe"
    column = pa.array(wrong, pa.binary()).view(pa.string())
    table = TABLE.set_column(
        MANIFEST_SCHEMA.get_field_index("project"), MANIFEST_SCHEMA.field("project"), column
    )

    with pytest.raises(FormatBroken, match="no readable table"):
        open_manifest(TEAM_KEY, sealed(table, about()), "manifest")


@settings(max_examples=200, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_damage_below_the_seal_is_an_error_or_a_lawful_table(dice: random.Random) -> None:
    """A member may seal any bytes: pyarrow's own exceptions never get out, and what opens keeps every rule."""
    damaged = bytearray(INSIDE)
    for _ in range(dice.randint(1, 4)):
        damaged[dice.randrange(len(damaged))] = dice.randrange(256)

    opened, problem = outcome_of(seal(TEAM_KEY, Kind.MANIFEST, bytes(damaged)))

    if opened is None:
        assert problem.startswith("manifests/7: ")
    else:
        assert opened.table.schema.equals(MANIFEST_SCHEMA)
        opened.table.validate(full=True)


def outcome_of(stored: bytes) -> tuple[Manifest | None, str]:
    """The opened manifest, or what was wrong with it; any other exception fails the test."""
    try:
        return open_manifest(TEAM_KEY, stored, "manifests/7"), ""
    except FormatBroken as broken:
        return None, str(broken)


@given(st.binary(max_size=200))
def test_sealed_garbage_is_no_table(data: bytes) -> None:
    """Bytes that are no Parquet at all, with and without its magic."""
    for inside in (data, b"PAR1" + data + b"PAR1"):
        with pytest.raises(FormatBroken):
            open_manifest(TEAM_KEY, seal(TEAM_KEY, Kind.MANIFEST, inside), "manifest")


def test_an_oversized_manifest_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored size is judged before the cipher runs."""
    monkeypatch.setattr(manifests, "manifest_stored_bytes_max", len(SEALED) - 1)

    with pytest.raises(FormatBroken, match="over the limit"):
        open_manifest(TEAM_KEY, SEALED, "manifest")


@pytest.mark.parametrize(
    ("column", "member", "device"), [("member", DEVICE, DEVICE), ("device", MEMBER, MEMBER)]
)
def test_rows_of_another_author_are_refused(column: str, member: bytes, device: bytes) -> None:
    """A manifest speaks only for the member and device whose commit names it."""
    manifest = open_manifest(TEAM_KEY, SEALED, "manifest")

    check_author(manifest, MEMBER, DEVICE, "manifest")
    with pytest.raises(FormatBroken, match=f"another {column}"):
        check_author(manifest, member, device, "manifest")


def test_labels_repeat_at_no_cost() -> None:
    """A thousand more rows of one session cost their hashes, not their labels: dictionaries and zstd at work."""
    row = pushed_rows(PACK, TALKS)[0]
    small, large = (rows_table([row._replace(place=None)] * count, MEMBER, DEVICE) for count in (10, 1010))

    form = manifests._FORM
    assert len(parquet.write_table(large, form)) < len(parquet.write_table(small, form)) + 4096


def test_the_golden_manifest_opens_for_ever() -> None:
    """A manifest stored by an earlier version still gives the same rows, and its leaves commit to the golden pack's nodes."""
    expected = json.loads((GOLDEN / "expected.json").read_text())["manifest"]
    manifest = open_manifest(TEAM_KEY, (GOLDEN / "manifest.bin").read_bytes(), "golden")

    assert plain_rows(manifest.table) == expected
    for leaf, (entry, frame) in zip(
        manifest.leaves, open_pack(TEAM_KEY, (GOLDEN / "pack.bin").read_bytes(), "golden"), strict=True
    ):
        commitments = [
            node_commitment(node.opening, bytes.fromhex(node.hash), stored)
            for node, stored in zip(entry.nodes, frame.nodes, strict=True)
        ]
        assert (leaf.conversation, leaf.nodes) == (entry.conversation, len(entry.nodes))
        assert leaf.batch_root == batch_root(commitments)
