"""A segment: stored bytes of many small objects end to end, so that a new device bootstraps in a few reads.

    "TAPESEG" ‖ version u8 ‖ first u64 ‖ commits u32 ‖ manifests u32        24 bytes
    index: for every commit, then every manifest: SHA-256 32 ‖ length u32
    the bytes of every commit (slots first, first + 1, …), then of every manifest

Existing bytes, copied: nothing here is sealed or signed anew, and a reader believes a segment nothing that the parts do not prove
themselves. That the digests of the index hold tells early that a segment is damaged; anybody can write a whole one that lies.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final

from crypto.errors import FormatBroken
from store.limits import MIB
from store.names import seq_max

MAGIC: Final = b"TAPESEG"
VERSION: Final = 0
_HEADER: Final = struct.Struct(">7sBQII")
_ENTRY: Final = struct.Struct(">32sI")
segment_commits_max: Final = 4096
segment_manifests_max: Final = 4 * segment_commits_max
segment_bytes_max: Final = 48 * MIB  # one object, one read, held in memory whole
header_bytes: Final = _HEADER.size
entry_bytes: Final = _ENTRY.size


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of slots' exact bytes from slot `first` on, and sealed manifests that they name, by digest (hex)."""

    first: int
    commits: tuple[bytes, ...]
    manifests: dict[str, bytes]

    @property
    def last(self) -> int:
        """The last slot of the run."""
        return self.first + len(self.commits) - 1


def write_segment(first: int, commits: Sequence[bytes], manifests: Sequence[bytes]) -> bytes:
    """The bytes of a segment; the caller keeps to the limits. ValueError otherwise: what no reader takes is not written."""
    parts = [*commits, *manifests]
    index = b"".join(_ENTRY.pack(sha256(part).digest(), len(part)) for part in parts)
    data = _HEADER.pack(MAGIC, VERSION, first, len(commits), len(manifests)) + index + b"".join(parts)
    if not 1 <= len(commits) <= segment_commits_max or len(manifests) > segment_manifests_max:
        raise ValueError(f"{len(commits)} commits and {len(manifests)} manifests are no segment")
    if len(data) > segment_bytes_max:
        raise ValueError(f"{len(data)} bytes exceed segment_bytes_max {segment_bytes_max}")
    return data


def read_segment(data: bytes, name: str) -> Segment:
    """The parts of an untrusted segment, each with the digest its index states. FormatBroken for anything else."""
    first, commits, manifests = _header(data, name)
    count = commits + manifests
    if _HEADER.size + count * _ENTRY.size > len(data):
        raise FormatBroken(name, "ends inside its index")
    index = list(_ENTRY.iter_unpack(data[_HEADER.size : _HEADER.size + count * _ENTRY.size]))
    ends = [_HEADER.size + count * _ENTRY.size]
    for _, length in index:
        ends.append(ends[-1] + length)
    if ends[-1] != len(data):
        raise FormatBroken(name, f"has {len(data)} bytes, its index makes {ends[-1]}")
    parts = [data[start:end] for start, end in pairwise(ends)]
    for (digest, _), part in zip(index, parts, strict=True):
        if sha256(part).digest() != digest:
            raise FormatBroken(name, "a part does not have the digest its index states")
    if not all(parts):
        raise FormatBroken(name, "has an empty part")
    named = {digest.hex(): part for (digest, _), part in zip(index[commits:], parts[commits:], strict=True)}
    return Segment(first, tuple(parts[:commits]), named)


def _header(data: bytes, name: str) -> tuple[int, int, int]:
    """(first slot, commits, manifests), within their limits."""
    if len(data) < _HEADER.size or len(data) > segment_bytes_max:
        raise FormatBroken(name, f"{len(data)} bytes are no segment")
    magic, version, first, commits, manifests = _HEADER.unpack_from(data)
    if (magic, version) != (MAGIC, VERSION):
        raise FormatBroken(name, "is no segment of this format")
    if not 1 <= commits <= segment_commits_max or manifests > segment_manifests_max:
        raise FormatBroken(name, f"claims {commits} commits and {manifests} manifests")
    if first + commits - 1 > seq_max:
        raise FormatBroken(name, "claims slots beyond the last number")
    return first, commits, manifests
