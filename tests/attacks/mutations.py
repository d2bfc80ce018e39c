"""Damage to valid bytes, as hypothesis draws it: flips, cuts, splices, repeats, lying length fields, JSON traps."""

import struct
from collections.abc import Sequence

from hypothesis import strategies as st

# What parsers are known to stumble over; each stands somewhere in the middle of otherwise valid bytes.
TRAPS = (
    *(b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\xc3\x28", b"\xed\xa0\x80", b'"', b"\\"),
    *(b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-0", b"NaN", b"-Infinity", b"1e999", b"1.5"),
    *(b'"\\ud800"', b'"\\u0000"', b'"\\udc00\\ud800"', b"9" * 30, b"9" * 5000, b"-9223372036854775809"),
    *(b"[" * 600, b'{"a":' * 600, b"[" * 3000, b'"a":1,"a":2,', "\U0001f600\u2028".encode()),
)
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_repeats_max = 40
_steps_max = 4


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after one to four steps of damage."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, _steps_max))):
        data = draw(_step(data, seeds))
    return data


def _step(data: bytes, seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    at = st.integers(0, max(len(data) - 1, 0))
    span = st.tuples(at, at).map(sorted)
    return st.one_of(
        st.builds(lambda i, mask: _put(data, i, bytes([data[i] ^ mask]) if data else b""), at, _masks),
        at.map(lambda i: data[:i]),
        at.map(lambda i: data[i:]),
        span.map(lambda s: data[: s[0]] + data[s[1] :]),
        st.builds(lambda s, n: data[: s[1]] + data[s[0] : s[1]] * n + data[s[1] :], span, _repeats),
        st.builds(lambda i, other, j: data[:i] + other[j % (len(other) or 1) :], at, st.sampled_from(seeds), at),
        st.builds(lambda i, length: _put(data, i, length), at, _lengths),
        st.builds(lambda i, trap: data[:i] + trap + data[i:], at, st.sampled_from(TRAPS)),
        st.builds(lambda i, trap: _put(data, i, trap), at, st.sampled_from(TRAPS)),
    )


_masks = st.integers(1, 255)
_repeats = st.integers(1, _repeats_max)
_lengths = st.builds(struct.pack, st.sampled_from([">I", "<I"]), st.sampled_from(_EDGES))


def _put(data: bytes, at: int, piece: bytes) -> bytes:
    """`piece` over what stands there."""
    return data[:at] + piece + data[at + len(piece) :]
