"""Reading stored nodes: what we wrote comes back whole, what others wrote is checked, and nothing crashes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import FormatBroken
from store.limits import node_bytes_max
from store.node_parse import node_depth_max, node_from_bytes, read_identity
from store.nodes import Node, node_to_bytes, node_to_dict
from tests.node_strategies import any_numbers, json_values, nodes, turn


def _bytes(**changes: Any) -> bytes:
    """A good node's stored bytes with some fields changed; None takes a field out."""
    fields = {**node_to_dict(turn("hello")), **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not None}).encode()


@given(nodes())
def test_a_written_node_comes_back_whole(node: Node) -> None:
    """Every field survives the stored bytes, and the hash fits the era it claims."""
    assert node_from_bytes(node_to_bytes(node), "x") == node


@given(nodes())
def test_the_exact_way_reads_what_the_strict_one_does(node: Node) -> None:
    """Bytes with a space after each comma, which only the strict parser takes, give the node that our own bytes give."""
    spaced = json.dumps(json.loads(node_to_bytes(node))).encode()

    assert node_from_bytes(spaced, "x") == node_from_bytes(node_to_bytes(node), "x")


_SOME_JSON = json_values(
    any_numbers, st.sampled_from(["usd_micro", "source", "harness", "raw", "output", "extra", "table"])
)


def _verdict(data: bytes) -> tuple[str, str | None, bool] | None:
    try:
        node = node_from_bytes(data, "x")
    except FormatBroken:
        return None
    return node.hash, node.parent_hash, node.verified


@given(
    nodes(),
    st.dictionaries(
        st.sampled_from(
            [
                "hash",
                "hash_version",
                "parent_hash",
                "bucket",
                "usage",
                "cost",
                "source",
                "project",
                "created_at",
            ]
        ),
        _SOME_JSON,
        max_size=2,
    ),
)
def test_a_look_says_of_a_node_what_reading_it_does(node: Node, changes: dict[str, Any]) -> None:
    """Without making it: the same hash and verdict, and the same bytes refused, whatever stands in whichever field."""
    data = json.dumps({**node_to_dict(node), **changes}, separators=(",", ":")).encode()
    expected = _verdict(data)

    if expected is None:
        with pytest.raises(FormatBroken):
            read_identity(data, "x")
    else:
        assert expected == read_identity(data, "x")


def test_a_hash_that_fits_no_era_is_kept_unverified() -> None:
    """The node stays, with its own hash and its era struck out: neither dropped nor given another name."""
    node = node_from_bytes(_bytes(hash="0" * 64), "x")

    assert (node.hash, node.hash_version, node.verified) == ("0" * 64, None, False)
    assert node.bucket == turn("hello").bucket


def test_the_claimed_era_is_tested_not_believed() -> None:
    """A claim of another era, of an unknown one or of none gives the era that was recomputed."""
    assert node_from_bytes(_bytes(hash_version="E6"), "x").hash_version == "E3"
    assert node_from_bytes(_bytes(hash_version="E3t"), "x").hash_version == "E3t"
    assert node_from_bytes(_bytes(hash_version="nonsense"), "x").hash_version == "E3"
    assert node_from_bytes(_bytes(hash_version=None), "x").hash_version == "E3"


def test_without_verifying_the_claim_stands_if_it_is_an_era() -> None:
    """Bytes of this device are not hashed again, but an invented era is struck out all the same."""
    assert node_from_bytes(_bytes(hash="0" * 64), "x", verify=False).hash_version == "E3"
    assert node_from_bytes(_bytes(hash_version="E99"), "x", verify=False).hash_version is None


def test_an_undecodable_bucket_is_unverified_and_kept() -> None:
    """Wrong types inside the bucket leave no hash to compare with; the turn is still there to read."""
    for content in ["text", [5], [{"type": "t", "tool_input": []}], [{"text": {}}]]:
        node = node_from_bytes(_bytes(bucket={"content": content}), "x")
        assert node.hash_version is None
        assert node.bucket == {"content": content}


def test_unknown_fields_of_a_later_version_are_no_error() -> None:
    """A field we do not know is left to who does."""
    assert node_from_bytes(_bytes(invented={"a": [1.5]}), "x").verified


def test_an_empty_parent_is_a_root() -> None:
    """Go writes "" where we write nothing."""
    assert node_from_bytes(_bytes(parent_hash=""), "x").parent_hash is None


@pytest.mark.parametrize(
    "changes",
    [
        {"hash": None},
        {"hash": 5},
        {"hash": "A" * 64},
        {"hash": "0" * 63},
        {"hash": "0" * 64 + "\n"},
        {"parent_hash": "x"},
        {"parent_hash": "F" * 64},
        {"parent_hash": ["a"]},
        {"bucket": None},
        {"bucket": []},
        {"bucket": "x"},
        {"hash_version": 3},
        {"stop_reason": 1},
        {"project": []},
        {"created_at": 12},
        {"usage": 5},
        {"usage": {"output": -1}},
        {"usage": {"output": 1.0}},
        {"usage": {"output": True}},
        {"usage": {"output": "1"}},
        {"usage": {"output": 2**63}},
        {"usage": {"raw": []}},
        {"cost": {}},
        {"cost": {"source": "computed", "usd_micro": 10**30}},
        {"cost": {"source": 5}},
        {"source": {}},
        {"source": {"harness": None}},
        {"source": {"harness": "claude", "extra": 5}},
        {"source": {"harness": "claude", "session": 5}},
    ],
    ids=repr,
)
def test_wrong_shapes_are_refused_by_name(changes: dict[str, Any]) -> None:
    """A field of the wrong type or range is FormatBroken and names the object it stood in."""
    with pytest.raises(FormatBroken, match="frame 3"):
        node_from_bytes(_bytes(**changes), "frame 3")


_GOOD = _bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        _GOOD[:-1],
        _GOOD + b"x",
        b"\xff" + _GOOD,
        b"\xef\xbb\xbf" + _GOOD,
        b"\x00" * 100,
        _GOOD[:-1] + b',"hash":"' + b"0" * 64 + b'"}',
        _GOOD[:-1] + b',"x":{"a":1,"a":2}}',
        _GOOD[:-1] + b',"x":NaN}',
        _GOOD[:-1] + b',"x":-Infinity}',
        _GOOD[:-1] + b',"x":' + b"9" * 5_000 + b"}",
        _GOOD[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        _GOOD[:-1] + b',"x":' + b"[" * (node_depth_max + 1) + b"]" * (node_depth_max + 1) + b"}",
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
    ],
    ids=range(18),
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    """Cut, doubled, too deep, too long a number, no UTF-8, a key twice: FormatBroken, never another exception."""
    with pytest.raises(FormatBroken):
        node_from_bytes(data, "x")


def test_a_node_over_the_limit_is_refused_before_it_is_parsed() -> None:
    """200 MB of zero bytes cost nothing."""
    with pytest.raises(FormatBroken, match="over"):
        node_from_bytes(bytes(200_000_000), "x")
    assert node_bytes_max < 200_000_000


def test_strange_but_legal_content_is_kept() -> None:
    """NUL, lone surrogates, numbers beyond the doubles and hundreds of levels are somebody's turn, verified or not."""
    nul = turn("a\x00b\ud800")
    assert node_from_bytes(node_to_bytes(nul), "x") == nul
    huge = _GOOD.replace(b'"content": [', b'"content": [{"type": "t", "tool_input": {"a": 1e400}}, ')
    assert node_from_bytes(huge, "x").hash_version is None
    deep = _GOOD[:-1] + b',"x":' + b"[" * 400 + b"]" * 400 + b"}"
    assert node_from_bytes(deep, "x").verified


@given(st.data())
def test_one_changed_byte_is_refused_or_shows(data: st.DataObject) -> None:
    """Whatever byte changes, the node is refused, or unverified, or only metadata (or a key's case, as in Go) changed."""
    stored = bytearray(_GOOD)
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= data.draw(st.integers(1, 255))
    try:
        node = node_from_bytes(bytes(stored), "x")
    except FormatBroken:
        return
    good = turn("hello")
    assert not node.verified or (node.hash, _lower_keys(node.bucket)) == (good.hash, _lower_keys(good.bucket))


def _lower_keys(value: Any) -> Any:
    """Go's decoder matches names whatever their case: {"Type": …} is the same bucket, and has the same hash."""
    if isinstance(value, dict):
        return {key.lower(): _lower_keys(item) for key, item in value.items()}
    return [_lower_keys(item) for item in value] if isinstance(value, list) else value
