"""Texts: every word a person saw is searchable, and the objects hold to the same rules as manifests."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import FormatBroken, SealBroken
from crypto.sealing import Kind, open_sealed, seal
from store import texts
from store.nodes import Node
from store.texts import (
    TEXT_SCHEMA,
    cut_texts,
    open_text,
    seal_text,
    searchable_text,
    told_and_tools,
    unmarked,
)
from tests.sealing_keys import OTHER_KEYS, TEAM_KEY, digest

GOLDEN = Path(__file__).parent.parent / "golden" / "formats"
ROWS = [(digest("one").hex(), "first words"), (digest("two").hex(), "")]
SEALED = seal_text(TEAM_KEY, ROWS)
BROKEN = (SealBroken, FormatBroken)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def node_with(content: Any) -> Node:
    """A node whose bucket has this content."""
    return Node(digest("node").hex(), None, None, {"type": "message", "role": "user", "content": content})


def as_rows(table: pa.Table) -> list[tuple[str, str]]:
    """A text table as it was handed in."""
    return [(row["hash"].hex(), row["text"]) for row in table.to_pylist()]


def test_everything_a_person_saw_is_searchable() -> None:
    """Text, thinking, tool names, inputs' strings at any depth, outputs and raw content, in the turn's order."""
    blocks = [
        {"type": "text", "text": "hello"},
        {"type": "thinking", "thinking": "hmm", "thinking_signature": "c2lnbmF0dXJl"},
        {
            "type": "tool_use",
            "tool_name": "Bash",
            "tool_input": {"command": "ls", "env": [{"A": "deep"}, 7, None]},
        },
        {"type": "tool_result", "tool_output": "file.txt"},
        {"type": "tool_result", "tool_output": {"stdout": "nested out"}},
        {
            "type": "tool_result",
            "content": [{"type": "text", "text": "raw"}, "bare", {"type": "image", "data": "aGk="}],
        },
        {"type": "image", "image_base64": "aW1hZ2U="},
    ]

    found = searchable_text(node_with(blocks))

    assert unmarked(found) == "hello\nhmm\nBash\nls\ndeep\nfile.txt\nnested out\nraw\nbare"
    assert told_and_tools(found)[1] == "Bash\nls\ndeep\nfile.txt\nnested out\nraw\nbare"
    assert told_and_tools(found)[0].strip() == "hello\nhmm"
    assert told_and_tools("a\x0eb") == ("a", "b")


def test_no_content_passes_for_a_tools() -> None:
    """The marks of tool parts cannot be written by what is said, nor ended by what a tool says."""
    found = searchable_text(
        node_with(
            [{"type": "text", "text": "\x0efake\x0f"}, {"type": "tool_result", "tool_output": "x\x0fy"}]
        )
    )

    assert told_and_tools(found) == (" fake \n", "x y")


def test_plain_string_content_is_searchable() -> None:
    """A foreign node may hold its words directly."""
    assert searchable_text(node_with("just words")) == "just words"


def test_lone_surrogates_are_replaced() -> None:
    """Half a surrogate pair becomes U+FFFD; whole characters stay, also beyond the basic plane."""
    assert (
        searchable_text(node_with([{"text": "a \ud800 b \U0001f600 \udc00"}]))
        == "a \ufffd b \U0001f600 \ufffd"
    )


def test_deeply_nested_input_is_read_without_recursion() -> None:
    """Foreign JSON deeper than Python's stack costs nothing but its reading."""
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]

    assert searchable_text(node_with([{"tool_input": deep}])) == "\x0ebottom\x0f"
    while isinstance(deep, list):  # taken apart by hand: freeing it at once would recurse in C
        deep = deep.pop()


@given(json_values)
def test_any_content_gives_storable_text(content: Any) -> None:
    """Whatever a foreign bucket holds: text that can be sealed, never an exception."""
    found = searchable_text(node_with(content))

    assert (
        as_rows(open_text(TEAM_KEY, seal_text(TEAM_KEY, [(digest("node").hex(), found)]), "text"))[0][1]
        == found
    )


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.binary(min_size=32, max_size=32).map(bytes.hex), st.text(max_size=30)), max_size=8)
)
def test_what_is_sealed_opens_to_the_same_rows(rows: list[tuple[str, str]]) -> None:
    """Hashes and texts come back equal and in order."""
    table = open_text(TEAM_KEY, seal_text(TEAM_KEY, rows), "text")

    assert as_rows(table) == rows
    assert table.schema.equals(TEXT_SCHEMA)


def test_row_groups_are_small() -> None:
    """A reader of one text unpacks 2,048 of them, not all."""
    sealed = seal_text(TEAM_KEY, [(digest(str(number)).hex(), "words") for number in range(5000)])

    inside = pq.read_metadata(pa.BufferReader(open_sealed(TEAM_KEY, Kind.TEXT, sealed, "text")))

    assert [inside.row_group(number).num_rows for number in range(inside.num_row_groups)] == [2048, 2048, 904]


def test_every_flipped_byte_is_detected() -> None:
    """Each byte of a stored text counts."""
    for position in range(len(SEALED)):
        flipped = SEALED[:position] + bytes([SEALED[position] ^ 0x02]) + SEALED[position + 1 :]
        with pytest.raises(BROKEN):
            open_text(TEAM_KEY, flipped, "text")


def test_every_cut_is_detected() -> None:
    """No prefix of a text is a text."""
    for length in range(len(SEALED)):
        with pytest.raises(BROKEN):
            open_text(TEAM_KEY, SEALED[:length], "text")


@pytest.mark.parametrize("differs", sorted(OTHER_KEYS))
def test_another_key_team_space_or_epoch_opens_nothing(differs: str) -> None:
    """A text opens only where it was sealed for."""
    with pytest.raises(SealBroken):
        open_text(OTHER_KEYS[differs], SEALED, "text")


def test_another_kind_is_no_text() -> None:
    """The same table sealed as a manifest does not open as a text."""
    inside = open_sealed(TEAM_KEY, Kind.TEXT, SEALED, "text")

    with pytest.raises(SealBroken, match="expected TEXT"):
        open_text(TEAM_KEY, seal(TEAM_KEY, Kind.MANIFEST, inside), "text")


@given(st.lists(st.integers(0, 50), max_size=40))
def test_texts_are_cut_into_objects_that_can_be_sealed(sizes: list[int]) -> None:
    """Nothing lost or moved; a run closes when it reaches the target, counted in bytes and not in characters."""
    rows = [(digest(str(number)).hex(), "\u20ac" * size) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr(texts, "text_raw_bytes_target", 100)
        runs = list(cut_texts(rows))

    assert [row for run in runs for row in run] == rows
    for run in runs:
        assert sum(len(text.encode()) for _, text in run[:-1]) < 100
    assert all(sum(len(text.encode()) for _, text in run) >= 100 for run in runs[:-1])


def test_a_run_never_has_more_rows_than_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many empty texts close a run by their number."""
    monkeypatch.setattr(texts, "manifest_rows_max", 3)

    assert [len(run) for run in cut_texts([("00" * 32, "")] * 7)] == [3, 3, 1]


def test_a_text_bomb_is_refused_before_it_is_spread_out() -> None:
    """One long text named by every row: a few KiB stored, 50 GiB spread out."""
    count = 50_000
    words = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * (1 << 20)]))
    table = pa.table({"hash": pa.array([bytes(32)] * count, pa.binary(32)), "text": words})
    required = pa.schema(
        [pa.field("hash", pa.binary(32), nullable=False), pa.field("text", words.type, nullable=False)]
    )
    sink = io.BytesIO()
    pq.write_table(table.cast(required), sink, store_schema=False, compression="zstd")

    with pytest.raises(FormatBroken, match="over the limit"):
        open_text(TEAM_KEY, seal(TEAM_KEY, Kind.TEXT, sink.getvalue()), "text")


@pytest.mark.parametrize("name", ["hash", "text"])
def test_another_shape_is_refused(name: str) -> None:
    """A missing column is an error with the object's name."""
    sink = io.BytesIO()
    pq.write_table(open_text(TEAM_KEY, SEALED, "text").select([name]), sink)

    with pytest.raises(FormatBroken, match="texts/7: has other columns"):
        open_text(TEAM_KEY, seal(TEAM_KEY, Kind.TEXT, sink.getvalue()), "texts/7")


def test_an_oversized_text_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored size is judged before the cipher runs."""
    monkeypatch.setattr(texts, "text_stored_bytes_max", len(SEALED) - 1)

    with pytest.raises(FormatBroken, match="over the limit"):
        open_text(TEAM_KEY, SEALED, "text")


def test_the_golden_text_opens_for_ever() -> None:
    """A text stored by an earlier version still gives the same rows."""
    expected = json.loads((GOLDEN / "expected.json").read_text())["text"]

    table = open_text(TEAM_KEY, (GOLDEN / "text.bin").read_bytes(), "golden")

    assert as_rows(table) == [tuple(row) for row in expected]
