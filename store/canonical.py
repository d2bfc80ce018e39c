"""Canonical JSON: RFC 8785 for our own formats, and the bytes that Go's jsontext canonicalises to, for node hashes.

Three ways give the same bytes. When every key is ASCII and every number an integer below 2^53, `orjson` and the C encoder of the
standard library already write RFC 8785 (same escapes, and code-point order is UTF-16 order). orjson is five times faster but
refuses more than 254 levels, so what it refuses goes to the other. Everything else goes to the `rfc8785` package, which knows ES6
doubles and UTF-16 order but is 20 times slower. `jcs` was not taken: it lets NaN and 2^53+1 pass.
"""

import json
from typing import Final, NamedTuple

import orjson
import rfc8785

from crypto.errors import FormatBroken
from store.nodes import Json

json_depth_max: Final = 64  # levels of values in our own formats: [] has one, [1] two; the deepest has seven
go_depth_max: Final = 10_001  # jsontext refuses a container inside 10,000 others; Python's stack ends earlier
integer_max: Final = 2**53 - 1  # beyond this a double is no longer exact (RFC 8785 §3.2.2.3)

_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)


class _Traits(NamedTuple):
    """What keeps a value from the fast path."""

    doubles: bool  # a float, or an integer that a double may not hold
    wide_keys: bool  # a key in which UTF-16 order may differ from code-point order


def canonical(value: Json) -> bytes:
    """RFC 8785 bytes of a str, int, bool, None, list, tuple or dict of those; anything else is a ValueError.

    Floats and integers beyond ±(2^53-1) are refused: our formats must read the same in every language.
    """
    traits = _survey(value, json_depth_max)
    if traits.doubles:
        raise ValueError("our formats hold no floats and no integers beyond 2^53")
    return _encode(value, slow=traits.wide_keys)


def canonical_go(value: Json) -> bytes:
    """The bytes of Go's `jsontext.Value.Canonicalize`: RFC 8785 with every number rounded to an IEEE double first.

    ValueError for infinities, NaN, lone surrogates, non-string keys and nesting that cannot be walked.
    """
    traits = _survey(value, go_depth_max)
    if traits.doubles:
        return _encode(_doubles(value), slow=True)
    return _encode(value, slow=traits.wide_keys)


def canonical_plain(value: Json) -> bytes | None:
    """As `canonical` and `canonical_go`, for a value of exact JSON types without floats, under ASCII keys.

    None where the encoder refuses it. It meets lone surrogates, integers beyond 2^53 and deep nesting itself: no look at every
    value comes first.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return None


def parse_canonical(data: bytes, name: str) -> Json:
    """Parse untrusted bytes that must be exactly `canonical(value)`; anything else is FormatBroken on `name`.

    One value has one spelling, so that a hash or signature over the bytes is one over the value: duplicate keys, spaces,
    other escapes, other number forms and bad UTF-8 all fail the comparison with what we would have written. The caller
    bounds the size; time and memory are linear in it.
    """
    try:
        value = json.loads(data.decode())
        again = canonical(value)
    except (ValueError, RecursionError):  # also int() refusing thousands of digits
        raise FormatBroken(name, "is no JSON of our formats") from None
    if again != data:
        raise FormatBroken(name, "is not canonical JSON (RFC 8785)")
    return value


def check_depth(value: Json, depth_max: int) -> None:
    """ValueError when values nest in more than `depth_max` levels, or when something in there is no JSON value."""
    _survey(value, depth_max)


def _survey(value: Json, depth_max: int) -> _Traits:
    """Look at every value once, level by level: no recursion, so no input can exhaust the stack here."""
    doubles = wide_keys = False
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > depth_max:
            raise ValueError(f"nested deeper than {depth_max} levels")
        below: list[Json] = []
        for item in level:
            if isinstance(item, str) or item is None:
                continue
            if isinstance(item, dict):
                wide_keys = wide_keys or not _ascii_keys(item)
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
            elif isinstance(item, int):
                doubles = doubles or not -integer_max <= item <= integer_max
            elif isinstance(item, float):
                doubles = True
            else:
                raise ValueError(f"no JSON value: {type(item).__name__}")  # noqa: TRY004 - the documented error
        level = below
    return _Traits(doubles, wide_keys)


def _ascii_keys(mapping: dict[str, Json]) -> bool:
    try:
        return all(map(str.isascii, mapping))
    except TypeError:
        raise ValueError("object keys must be strings") from None


def _encode(value: Json, *, slow: bool) -> bytes:
    if not slow and (plain := canonical_plain(value)) is not None:
        return plain
    try:
        return rfc8785.dumps(value) if slow else _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        # Raised anew because the original carries the text, and error texts must not.
        raise ValueError("a lone surrogate has no UTF-8") from None
    except RecursionError:
        raise ValueError("nested too deeply to encode") from None


def _doubles(value: Json) -> Json:
    """The value with integers that a double may not hold exactly turned into doubles. One frame per level."""
    try:
        if isinstance(value, dict):
            # An explicit loop: a comprehension costs a second frame per level on Python 3.11.
            made = {}
            for key, item in value.items():
                made[key] = _doubles(item)
            return made
        if isinstance(value, list | tuple):
            items = []
            for item in value:
                items.append(_doubles(item))  # noqa: PERF401 - as above
            return items
        if isinstance(value, int) and not -integer_max <= value <= integer_max:
            return float(value)
    except OverflowError:
        raise ValueError("a number beyond the doubles") from None
    except RecursionError:
        raise ValueError("nested too deeply to encode") from None
    return value
