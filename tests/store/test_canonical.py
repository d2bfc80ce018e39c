"""Canonical JSON: one spelling per value, the same on the fast way and the slow one, and nothing else gets in."""

import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import FormatBroken
from store.canonical import canonical, canonical_go, json_depth_max, parse_canonical
from tests.node_strategies import any_numbers, json_values, small_numbers


@given(json_values(small_numbers))
def test_the_fast_way_writes_what_the_slow_one_would(value: Any) -> None:
    """The C encoder's bytes are those of the RFC 8785 package, whatever the value."""
    assert canonical(value) == rfc8785.dumps(value)


@given(json_values(small_numbers))
def test_what_was_written_is_read_back(value: Any) -> None:
    """Parsing canonical bytes gives the value that was written."""
    assert parse_canonical(canonical(value), "x") == value


@given(json_values(any_numbers))
def test_go_sees_every_number_as_a_double(value: Any) -> None:
    """Rounding every number to a double by hand and writing RFC 8785 gives the same bytes."""
    assert canonical_go(value) == rfc8785.dumps(_as_doubles(value))


def _as_doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_doubles(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.0", "1"),
        ("1e2", "100"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("5e-324", "5e-324"),
        ("1e-999", "0"),
        ("9007199254740993", "9007199254740992"),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
        ("333333333.33333329", "333333333.3333333"),
    ],
)
def test_numbers_are_written_as_es6_writes_them(text: str, expected: str) -> None:
    """The number forms of tapes.md §1.2 and RFC 8785 appendix B."""
    assert canonical_go(json.loads(text)) == expected.encode()


def test_keys_are_ordered_by_utf16_code_units() -> None:
    """U+1F600 is a surrogate pair and sorts before U+FB33, though its code point is larger."""
    assert canonical({"\ufb33": 1, "😀": 2, "a": 3}) == '{"a":3,"😀":2,"\ufb33":1}'.encode()


def test_escapes_are_the_short_ones_and_nothing_else_is_escaped() -> None:
    """Control characters take the shortest escape; DEL, HTML and line separators stay as they are."""
    assert (
        canonical('\b\t\n\f\r\x00\x1f"\\/<&\x7f\u2028')
        == b'"\\b\\t\\n\\f\\r\\u0000\\u001f\\"\\\\/<&\x7f\xe2\x80\xa8"'
    )


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), [math.nan], {"a": 1e3}, "\ud800", {"\udc00": 1}, {1: 2}, b"x"]
)
def test_our_formats_refuse_what_reads_differently_elsewhere(value: Any) -> None:
    """Floats, integers past 2^53, lone surrogates, keys and values that are no JSON: ValueError, never other bytes."""
    with pytest.raises(ValueError, match=r".+"):
        canonical(value)


@pytest.mark.parametrize("value", [math.inf, math.nan, 10**400, "\ud800", {"\ud800": 1.5}, {None: 1}, {1, 2}])
def test_go_bytes_exist_only_for_what_go_accepts(value: Any) -> None:
    """Numbers beyond the doubles and lone surrogates have no canonical form."""
    with pytest.raises(ValueError, match=r".+"):
        canonical_go(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b" 1",
        b"1 ",
        b"1.0",
        b"1e2",
        b"-0",
        b"01",
        b"9007199254740992",
        b"9" * 5000,
        b"NaN",
        b"Infinity",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        b'"a\nb"',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_other_spellings_are_refused(data: bytes) -> None:
    """Whatever is not the one canonical spelling is FormatBroken with the object's name, also when it is hostile."""
    with pytest.raises(FormatBroken, match="commit 7"):
        parse_canonical(data, "commit 7")


@given(st.binary(max_size=40))
def test_random_bytes_parse_to_themselves_or_not_at_all(data: bytes) -> None:
    """Any bytes either are the canonical form of their value or are refused; nothing else is raised."""
    try:
        value = parse_canonical(data, "x")
    except FormatBroken:
        return
    assert canonical(value) == data


def test_depth_is_limited_by_a_constant_and_not_by_the_stack() -> None:
    """Exactly json_depth_max levels pass and one more fails, for writing and for reading."""
    deep = b"[" * json_depth_max + b"]" * json_depth_max
    assert canonical(parse_canonical(deep, "x")) == deep
    with pytest.raises(FormatBroken):
        parse_canonical(b"[" + deep + b"]", "x")
    with pytest.raises(ValueError, match="nested deeper"):
        canonical([json.loads(deep)])


def test_an_error_never_carries_the_text() -> None:
    """The message of a refused value does not show what was in it."""
    with pytest.raises(ValueError, match="surrogate") as caught:
        canonical("secret-word \ud800")
    assert "secret-word" not in str(caught.value) + repr(caught.value.__cause__)
