"""Node hashes against vectors printed by the Go code, era by era, and the projection against its plain definition."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.eras import ERAS, HashUndefined, era_of, hash_bucket, make_node, preimage, well_formed
from store.projection import TAGS_E4, TAGS_E6, project_text
from tests.node_strategies import buckets, hashes

_VECTORS = Path(__file__).parent.parent / "vectors"
_UPSTREAM = json.loads((_VECTORS / "tapes-node-hash.json").read_text())["vectors"]
_ODD = json.loads((_VECTORS / "tapes-node-hash-odd.json").read_text())["vectors"]


def _hash_or_none(bucket: Any, parent: str | None, era: str) -> str | None:
    try:
        return hash_bucket(bucket, parent, era)
    except HashUndefined:
        return None


@pytest.mark.parametrize("vector", _UPSTREAM, ids=[v["id"] for v in _UPSTREAM])
def test_upstream_vectors(vector: dict[str, Any]) -> None:
    """Each hash that papercomputeco/tapes printed is ours, in every era it was printed for."""
    ours = {era: hash_bucket(vector["bucket"], vector["parent"], era) for era in vector["hash"]}

    assert ours == vector["hash"]


@pytest.mark.parametrize("vector", _ODD, ids=[v["id"] for v in _ODD])
def test_odd_vectors(vector: dict[str, Any]) -> None:
    """Where Go's decoder bends, drops or refuses something, so do we; where it has no hash, we have none."""
    bucket = json.loads(vector["bucket_json"])
    ours = {era: _hash_or_none(bucket, vector["parent"], era) for era in ERAS}

    assert ours == vector["hash"]


def test_the_preimage_is_the_one_written_in_the_study() -> None:
    """The E3 preimage of `hello` and the E6 one, byte for byte (tapes.md §1.5)."""
    bucket = _UPSTREAM[0]["bucket"]

    assert preimage(bucket, None) == (
        b'{"content":{"content":[{"is_error":false,"text":"hello world","type":"text"}],"model":"test-model",'
        b'"provider":"test-provider","role":"user","type":"message"},"parent":""}'
    )
    assert preimage(bucket, None, "E6") == (
        b'{"content":{"content":[{"is_error":false,"text":"hello world","type":"text"}],"role":"user",'
        b'"type":"message"},"parent":""}'
    )


@given(buckets, st.none() | hashes, st.sampled_from(list(ERAS)))
def test_every_hash_is_recognised(bucket: dict[str, Any], parent: str | None, era: str) -> None:
    """A node hashed in an era is found in that era when the hint says so, and in an equal one without it."""
    made = hash_bucket(bucket, parent, era)

    assert era_of(bucket, parent, made, era) == era
    found = era_of(bucket, parent, made)
    assert found is not None
    assert hash_bucket(bucket, parent, found) == made


@given(buckets, st.none() | hashes, st.sampled_from(list(ERAS)))
def test_the_quick_way_hashes_as_the_faithful_one(
    bucket: dict[str, Any], parent: str | None, era: str
) -> None:
    """Go reads `Model` as `model`, and only the faithful way knows that: both spellings have one hash, or none."""
    spelled = {("Model" if name == "model" else name): value for name, value in bucket.items()}

    assert _hash_or_none(bucket, parent, era) == _hash_or_none(spelled, parent, era)


@given(buckets)
def test_the_stored_form_hashes_like_the_original(bucket: dict[str, Any]) -> None:
    """Writing a bucket as JSON and reading it back changes no hash in any era."""
    again = json.loads(json.dumps(bucket))

    assert all(_hash_or_none(again, None, era) == _hash_or_none(bucket, None, era) for era in ERAS)


def test_a_wrong_hash_fits_no_era_and_a_wrong_hint_is_not_believed() -> None:
    """A changed word is in no era; a node of E3 that claims E6 is found to be of E3; an invented era is ignored."""
    bucket = _UPSTREAM[0]["bucket"]
    changed = {**bucket, "content": [{"type": "text", "text": "hello, world"}]}

    assert era_of(changed, None, _UPSTREAM[0]["hash"]["E3"]) is None
    assert era_of(bucket, None, _UPSTREAM[0]["hash"]["E3"], "E6") == "E3"
    assert era_of(bucket, None, _UPSTREAM[0]["hash"]["E3"], "E99") == "E3"


def test_make_node_writes_the_current_era() -> None:
    """A made node is of E3, an empty parent is a root, and metadata does not touch the hash."""
    bucket = _UPSTREAM[0]["bucket"]
    node = make_node(bucket, "", project="p", stop_reason="end_turn")

    assert (node.hash, node.hash_version, node.parent_hash) == (_UPSTREAM[0]["hash"]["E3"], "E3", None)
    assert node.project == "p"


def test_a_second_content_under_another_spelling_has_no_hash() -> None:
    """`content` beside `Content` would depend on Go's memory reuse, so no hash is claimed for it."""
    assert era_of({"content": [], "Content": [{"type": "t"}]}, None, "0" * 64) is None
    with pytest.raises(HashUndefined):
        hash_bucket({"content": [], "Content": []}, None)


@pytest.mark.parametrize("levels", [950, 100_000])
def test_deep_nesting_is_no_crash(levels: int) -> None:
    """A value deeper than the stack has no hash; nothing worse happens."""
    deep: Any = 1.5
    for _ in range(levels):
        deep = [deep]
    with pytest.raises(HashUndefined):
        hash_bucket({"content": [{"type": "t", "tool_input": {"a": deep}}]}, None)


@given(st.text(st.characters(codec=None), max_size=8))
def test_well_formed_text_is_what_utf16_keeps(text: str) -> None:
    """Pairs of surrogates are joined, lone ones replaced one by one, and the rest is untouched."""
    made = well_formed(text)

    made.encode()
    assert well_formed(made) == made
    assert made == json.loads(json.dumps(text)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_tagged = st.lists(
    st.sampled_from(
        ["<status>", "</status>", "<sta", "tus>", "<", ">", "x", "<session>", "</session>", "é", "</sta"]
    )
).map("".join)


@given(_tagged)
def test_spans_are_cut_as_the_plain_definition_cuts_them(text: str) -> None:
    """The linear search over seams finds exactly what cutting and searching again from the start finds."""
    expected = text
    for tag in TAGS_E6:
        while f"<{tag}>" in expected:
            before, rest = expected.split(f"<{tag}>", 1)
            expected = before + (rest.split(f"</{tag}>", 1)[1] if f"</{tag}>" in rest else "")

    assert project_text(text, TAGS_E6) == expected


@pytest.mark.parametrize(
    "text",
    [
        " " * 2_000_000 + "x",
        "<system-reminder></system-reminder>" * 60_000,
        "<system-re" * 100_000
        + "<system-reminder></system-reminder>"
        + "minder></system-reminder>" * 100_000,
        "\n \n" * 500_000,
    ],
    ids=["blanks", "spans", "seams", "lines"],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    """Megabytes of blanks, tags or seams are projected in well under the seconds that quadratic time would need."""
    started = time.process_time()
    project_text(text, TAGS_E4)

    assert time.process_time() - started < 3
