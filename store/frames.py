"""Frames: the nodes of one conversation, compressed together and sealed; the unit of encryption and of range reads.

Sealed plaintext (big-endian; docs/formats-data.md has a worked example):

    frame = raw_bytes u32 ‖ count u32 ‖ conversation 32 ‖ one zstd frame (RFC 8878) that states its content size
    raw   = for each of count nodes: length u32 ‖ stored JSON bytes; raw_bytes long in all

`raw_bytes` stands beside the compressed bytes, under the same seal, and is checked before anything is decompressed: a
member who writes a zstd bomb wastes its own frame and no reader's memory. One frame holds one conversation, so no text shares
a compression window with another's secrets (the length leak of CRIME).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import zstandard

from crypto.errors import FormatBroken
from crypto.sealing import Kind, SealKey, open_sealed, seal
from store.limits import (
    frame_raw_bytes_max,
    frame_raw_bytes_min,
    frame_stored_bytes_max,
    node_bytes_max,
    zstd_level_push,
)

length_prefix_bytes = 4
conversation_bytes = 32
_HEAD = struct.Struct(">II32s")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class OpenFrame:
    """A frame's content: the conversation's 32-byte id and each node's stored JSON bytes, in order."""

    conversation: bytes
    nodes: tuple[bytes, ...]


def raw_length(node_bytes: Sequence[bytes]) -> int:
    """The uncompressed bytes that these nodes take in a frame."""
    return sum(map(len, node_bytes)) + length_prefix_bytes * len(node_bytes)


def raw_bytes_allowed(count: int) -> int:
    """The most uncompressed bytes a frame of `count` nodes may have: only a node alone may exceed the frame limit."""
    return length_prefix_bytes + node_bytes_max if count == 1 else frame_raw_bytes_max


def cut_frames(items: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """Cut one conversation's (node hash, stored bytes), in order, into the runs that become its frames.

    A run closes once it holds `frame_raw_bytes_min`, and never exceeds `frame_raw_bytes_max` unless it is one node.
    """
    run: list[tuple[str, bytes]] = []
    held = 0
    for item in items:
        needed = length_prefix_bytes + len(item[1])
        if run and (held >= frame_raw_bytes_min or held + needed > frame_raw_bytes_max):
            yield run
            run, held = [], 0
        run.append(item)
        held += needed
    if run:
        yield run


def seal_frame(seal_key: SealKey, conversation: bytes, node_bytes: Sequence[bytes]) -> bytes:
    """One sealed frame of these nodes. ValueError for what no reader would accept: no node, an empty or an oversized one."""
    raw = raw_length(node_bytes)
    if not node_bytes or not all(node_bytes) or raw > raw_bytes_allowed(len(node_bytes)):
        raise ValueError(f"{len(node_bytes)} nodes of {raw} bytes are no frame")
    head = _HEAD.pack(raw, len(node_bytes), _conversation(conversation))
    pieces = [piece for node in node_bytes for piece in (_LENGTH.pack(len(node)), node)]
    packed = zstandard.ZstdCompressor(level=zstd_level_push).compress(b"".join(pieces))
    return seal(seal_key, Kind.FRAME, head + packed)


def open_frame(seal_key: SealKey, stored: bytes, name: str) -> OpenFrame:
    """Open a sealed frame that an error will call `name`. SealBroken or FormatBroken for anything but a whole, honest frame."""
    if len(stored) > frame_stored_bytes_max:
        raise FormatBroken(
            name, f"a frame of {len(stored)} bytes is over the limit of {frame_stored_bytes_max}"
        )
    plain = open_sealed(seal_key, Kind.FRAME, stored, name)
    if len(plain) < _HEAD.size:
        raise FormatBroken(name, "is too short for a frame")
    raw_bytes, count, conversation = _HEAD.unpack_from(plain)
    if count < 1 or not count * length_prefix_bytes < raw_bytes <= raw_bytes_allowed(count):
        raise FormatBroken(name, f"{count} nodes in {raw_bytes} bytes are no frame")
    raw = _decompress(memoryview(plain)[_HEAD.size :], raw_bytes, name)
    return OpenFrame(conversation, tuple(_split(raw, count, name)))


def _conversation(conversation: bytes) -> bytes:
    """Struct would silently pad or cut a wrong length."""
    if len(conversation) != conversation_bytes:
        raise ValueError(f"a conversation id has {conversation_bytes} bytes, not {len(conversation)}")
    return conversation


def _decompress(packed: memoryview, raw_bytes: int, name: str) -> bytes:
    """Exactly `raw_bytes` from exactly one zstd frame.

    zstandard allocates whatever size the zstd header states and ignores `max_output_size` then: the header is compared first.
    """
    try:
        stated = zstandard.get_frame_parameters(packed).content_size
        if stated != raw_bytes:
            raise FormatBroken(
                name, f"compressed bytes claim a content of {stated} bytes, the frame {raw_bytes}"
            )
        raw: bytes = zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError as broken:
        raise FormatBroken(name, f"does not decompress: {broken}") from None
    return raw


def _split(raw: bytes, count: int, name: str) -> Iterator[bytes]:
    at = 0
    for number in range(count):
        start = at + length_prefix_bytes
        if start > len(raw):
            raise FormatBroken(name, f"node {number} of {count} is missing")
        (length,) = _LENGTH.unpack_from(raw, at)
        at = start + length
        if length == 0 or at > len(raw):
            raise FormatBroken(name, f"node {number} claims {length} bytes")
        yield raw[start:at]
    if at != len(raw):
        raise FormatBroken(name, f"{len(raw) - at} bytes after the last node")
