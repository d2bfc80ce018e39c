"""Damage to valid bytes, as hypothesis draws it: flips, cuts, splices, repeats, lying length fields, JSON traps."""

import struct
from collections.abc import Sequence

from hypothesis import strategies as st

# What parsers are known to stumble over; each stands somewhere in the middle of otherwise valid bytes.
TRAPS = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b'"',
        b"\\",
    ),
    *(b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-0", b"NaN", b"-Infinity", b"1e999", b"1.5"),
    *(b'"\\ud800"', b'"\\u0000"', b'"\\udc00\\ud800"', b"9" * 30, b"9" * 5000, b"-9223372036854775809"),
    *(b"[" * 600, b'{"a":' * 600, b"[" * 3000, b'"a":1,"a":2,', "\U0001f600\u2028".encode()),
)
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_repeats_max = 40
_steps_max = 4
_damaged_bytes_max = (
    4 * 1024 * 1024
)  # four repeats of repeats make 650 MB of a footer: minutes, and about no parser


_EDGE_BYTES = tuple(struct.pack(order, edge) for order in (">I", "<I") for edge in _EDGES)

# One step of damage: which, two places (as parts of 2^16 of the length), and a number for what the step needs. Plain numbers,
# because strategies that depend on the bytes take ten times as long to draw as most readers take to read.
_STEP = st.tuples(st.integers(0, 8), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFF))


def mutated(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the seeds after one to four steps of damage."""
    return st.builds(
        lambda seed, steps: _damaged(seed, steps, seeds),
        st.sampled_from(seeds),
        st.lists(_STEP, min_size=1, max_size=_steps_max),
    )


def _damaged(data: bytes, steps: list[tuple[int, int, int, int]], seeds: Sequence[bytes]) -> bytes:
    for kind, first, second, number in steps:
        start, end = sorted(place * len(data) >> 16 for place in (first, second))
        data = _step(data, kind, (start, end), number, seeds)[:_damaged_bytes_max]
    return data


def _step(data: bytes, kind: int, span: tuple[int, int], number: int, seeds: Sequence[bytes]) -> bytes:
    start, end = span
    other = seeds[number % len(seeds)]
    trap = TRAPS[number % len(TRAPS)]
    return (
        lambda: _put(data, start, bytes([data[start] ^ (number or 1)])) if data else data,
        lambda: data[:start],
        lambda: data[end:],
        lambda: data[:start] + data[end:],
        lambda: data[:end] + data[start:end] * (number % _repeats_max + 1) + data[end:],
        lambda: data[:start] + other[min(end, len(other)) :],
        lambda: _put(data, start, _EDGE_BYTES[number % len(_EDGE_BYTES)]),
        lambda: data[:start] + trap + data[start:],
        lambda: _put(data, start, trap),
    )[kind]()


def _put(data: bytes, at: int, piece: bytes) -> bytes:
    """`piece` over what stands there."""
    return data[:at] + piece + data[at + len(piece) :]
