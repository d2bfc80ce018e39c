"""Packs: frames end to end, and a sealed index of them: the immutable objects that hold all content.

    pack    = "TAPEPAK" ‖ version u8 ‖ frame entries ‖ sealed footer ‖ trailer                 (big-endian)
    entry   = length u32 ‖ sealed frame
    trailer = footer_length u32 ‖ "TAPEEND" ‖ version u8                                       12 bytes
    footer  = frame_count u32 ‖ frame records ‖ node records of frame 0, of frame 1, …        (sealed as Kind.FOOTER)
    frame record = offset u32 ‖ length u32 ‖ sha256 32 ‖ raw_bytes u32 ‖ conversation 32 ‖ node_count u32
    node record  = node hash 32 ‖ opening 32

`offset` and `length` are those of the sealed frame, without its length prefix: they are what a range read asks for. The lengths
in clear let anybody walk and check a pack without a key; the footer lets a key holder rebuild manifest rows without a manifest.
Hashes and openings are random bytes: the footer is a plain table because no compressor makes it smaller.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from crypto.errors import FormatBroken, SealBroken
from crypto.leaves import opening_bytes
from crypto.sealing import (
    Kind,
    SealKey,
    header_bytes,
    open_sealed,
    plain_length,
    read_header,
    seal,
    sealed_length,
)
from store.frames import OpenFrame, open_frame, raw_bytes_allowed, raw_length
from store.limits import frame_stored_bytes_max, pack_bytes_max, pack_bytes_target

version = 0
_MAGIC = b"TAPEPAK" + bytes([version])
_END = b"TAPEEND" + bytes([version])
_LENGTH = struct.Struct(">I")
_TRAILER = struct.Struct(">I8s")
_FRAME = struct.Struct(">II32sI32sI")
_NODE = struct.Struct(">32s32s")
_zstd_margin_bytes = 1024  # with raw/256, over ZSTD_compressBound (zstd.h) for every raw size

_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch

RangeReader = Callable[[int, int], bytes]  # (offset, length) → exactly that many bytes


class FramePlace(NamedTuple):
    """Where a sealed frame lies in its pack, in bytes, and the 32-byte SHA-256 of what lies there."""

    offset: int
    length: int
    sha256: bytes


class NodeEntry(NamedTuple):
    """A node as the footer lists it: its hash (64 hex digits) and its 32-byte commitment opening."""

    hash: str
    opening: bytes


class FrameEntry(NamedTuple):
    """A frame as the footer lists it; `nodes` in the order they have inside the frame."""

    place: FramePlace
    raw_bytes: int
    conversation: bytes
    nodes: tuple[NodeEntry, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack. `sha256` (hex) is its name in the bucket and the checksum of its upload."""

    sha256: str
    data: bytes
    frames: tuple[FrameEntry, ...]


class PackWriter:
    """Collects sealed frames of one space and epoch in memory, at most `pack_bytes_max`. Not for several threads."""

    def __init__(self, seal_key: SealKey) -> None:
        self._seal_key = seal_key
        self._parts = [_MAGIC]
        self._end = len(_MAGIC)
        self._frames: list[FrameEntry] = []
        self._footer_bytes = _LENGTH.size

    @property
    def size(self) -> int:
        """The pack's length in bytes if it were finished now."""
        return self._end + sealed_length(Kind.FOOTER, self._footer_bytes) + _TRAILER.size

    def takes(self, raw_bytes: int, node_count: int) -> bool:
        """Whether a frame of these nodes belongs into this pack; False once the target is reached or it might not fit."""
        if not self._frames:
            return True
        packed_max = raw_bytes + raw_bytes // 256 + _zstd_margin_bytes
        grown = self._footer_bytes + _FRAME.size + _NODE.size * node_count
        worst = self._end + _LENGTH.size + sealed_length(Kind.FRAME, packed_max)
        fits = worst + sealed_length(Kind.FOOTER, grown) + _TRAILER.size <= pack_bytes_max
        return fits and self.size < pack_bytes_target

    def add_frame(
        self, conversation: bytes, raw_bytes: int, nodes: Sequence[tuple[str, bytes]], sealed: bytes
    ) -> FramePlace:
        """Add the sealed frame of a conversation's (node hash, opening) as the next. ValueError if `takes` was not asked."""
        if not self.takes(raw_bytes, len(nodes)):
            raise ValueError("the pack is full: finish it and start another")
        place = FramePlace(self._end + _LENGTH.size, len(sealed), sha256(sealed).digest())
        entries = tuple(_entry(node_hash, opening) for node_hash, opening in nodes)
        self._parts += (_LENGTH.pack(len(sealed)), sealed)
        self._end = place.offset + place.length
        self._frames.append(FrameEntry(place, raw_bytes, conversation, entries))
        self._footer_bytes += _FRAME.size + _NODE.size * len(nodes)
        return place

    def finish(self) -> Pack:
        """The whole pack: one copy of its bytes, hashed once. ValueError for a pack without frames."""
        if not self._frames:
            raise ValueError("a pack has at least one frame")
        footer = seal(self._seal_key, Kind.FOOTER, _encode_footer(self._frames))
        data = b"".join([*self._parts, footer, _TRAILER.pack(len(footer), _END)])
        return Pack(sha256(data).hexdigest(), data, tuple(self._frames))


def bytes_reader(data: bytes) -> RangeReader:
    """Range reads of a pack that is in memory."""
    return lambda offset, length: data[offset : offset + length]


def read_footer(seal_key: SealKey, read: RangeReader, pack_bytes: int, name: str) -> tuple[FrameEntry, ...]:
    """The index of a pack of `pack_bytes` bytes, by two range reads at its end. SealBroken or FormatBroken."""
    start, length = _footer_span(read, pack_bytes, name)
    plain = open_sealed(seal_key, Kind.FOOTER, read(start, length), f"{name} footer")
    return _decode_footer(plain, start, f"{name} footer")


def scan_frames(data: bytes, name: str) -> tuple[FramePlace, ...]:
    """Walk a pack without a key: every length fits, every frame and the footer are sealed for one space and epoch."""
    if not data.startswith(_MAGIC):
        raise FormatBroken(name, "is not a pack of a known version")
    footer_start, footer_length = _footer_span(bytes_reader(data), len(data), name)
    footer = memoryview(data)[footer_start : footer_start + footer_length]
    home = _sealed_home(footer, Kind.FOOTER, f"{name} footer")
    places = tuple(_walk(data, footer_start, name))
    if not places:
        raise FormatBroken(name, "has no frame")
    for place in places:
        frame = memoryview(data)[place.offset : place.offset + place.length]
        if _sealed_home(frame, Kind.FRAME, frame_name(name, place)) != home:
            raise FormatBroken(frame_name(name, place), "is sealed for another space or epoch than its pack")
    return places


def check_pack(data: bytes, expected_sha256: str, name: str) -> tuple[FramePlace, ...]:
    """A pack's frames, once its bytes are those its name (hex SHA-256) promises. Needs no key."""
    if len(data) > pack_bytes_max:
        raise FormatBroken(name, f"a pack of {len(data)} bytes is over the limit of {pack_bytes_max}")
    if sha256(data).hexdigest() != expected_sha256:
        raise FormatBroken(name, "its bytes are not those it is named after")
    return scan_frames(data, name)


def open_placed_frame(seal_key: SealKey, place: FramePlace, stored: bytes, name: str) -> OpenFrame:
    """Open the bytes read at a place. A frame is whole in itself: only the digest tells it from another of the same pack."""
    label = frame_name(name, place)
    if len(stored) != place.length or sha256(stored).digest() != place.sha256:
        raise SealBroken(label, "is not the frame that was put there")
    return open_frame(seal_key, stored, label)


def read_index(seal_key: SealKey, data: bytes, name: str) -> tuple[FrameEntry, ...]:
    """The footer of a whole pack, and its frames are there: FormatBroken where walk and footer disagree. No frame is opened."""
    entries = read_footer(seal_key, bytes_reader(data), len(data), name)
    if tuple(entry.place for entry in entries) != scan_frames(data, name):  # every digest among it
        raise FormatBroken(name, "its footer lists other frames than it has")
    return entries


def open_pack(seal_key: SealKey, data: bytes, name: str) -> Iterator[tuple[FrameEntry, OpenFrame]]:
    """Every frame of a whole pack beside its footer entry; FormatBroken where walk, footer and content disagree."""
    for entry in read_index(seal_key, data, name):
        place = entry.place
        stored = data[place.offset : place.offset + place.length]
        opened = open_frame(seal_key, stored, frame_name(name, place))
        found = (opened.conversation, len(opened.nodes), raw_length(opened.nodes))
        if found != (entry.conversation, len(entry.nodes), entry.raw_bytes):
            raise FormatBroken(frame_name(name, place), "holds other nodes than its footer says")
        yield entry, opened


def frame_name(pack_name: str, place: FramePlace) -> str:
    """What errors call a frame."""
    return f"{pack_name} frame at {place.offset}"


def _entry(node_hash: str, opening: bytes) -> NodeEntry:
    """Struct would silently pad or cut wrong lengths; a pack with them would be readable and wrong."""
    if not _is_hash(node_hash) or len(opening) != opening_bytes:
        raise ValueError("a node entry needs 64 lower-case hex digits and an opening of 32 bytes")
    return NodeEntry(node_hash, opening)


def _listed(record: tuple[bytes, bytes]) -> NodeEntry:
    return NodeEntry(record[0].hex(), record[1])


def _encode_footer(frames: Sequence[FrameEntry]) -> bytes:
    parts = [_LENGTH.pack(len(frames))]
    for frame in frames:
        place = frame.place
        head = (
            place.offset,
            place.length,
            place.sha256,
            frame.raw_bytes,
            frame.conversation,
            len(frame.nodes),
        )
        parts.append(_FRAME.pack(*head))
    for frame in frames:
        parts += (_NODE.pack(bytes.fromhex(node.hash), node.opening) for node in frame.nodes)
    return b"".join(parts)


def _decode_footer(plain: bytes, frames_end: int, name: str) -> tuple[FrameEntry, ...]:
    (count,) = _LENGTH.unpack_from(plain) if len(plain) >= _LENGTH.size else (0,)
    nodes_start = _LENGTH.size + count * _FRAME.size
    if count == 0 or nodes_start > len(plain):
        raise FormatBroken(name, f"{count} frames do not fit")
    records = list(_FRAME.iter_unpack(plain[_LENGTH.size : nodes_start]))
    if len(plain) != nodes_start + _NODE.size * sum(record[5] for record in records):
        raise FormatBroken(name, "node counts do not fit")
    nodes = map(_listed, _NODE.iter_unpack(plain[nodes_start:]))
    at = len(_MAGIC)
    entries = []
    for offset, length, digest, raw_bytes, conversation, node_count in records:
        place = FramePlace(offset, length, digest)
        if offset != at + _LENGTH.size or not 1 <= node_count <= raw_bytes <= raw_bytes_allowed(node_count):
            raise FormatBroken(name, f"the record of the frame at {offset} cannot be true")
        at = offset + length
        entries.append(FrameEntry(place, raw_bytes, conversation, tuple(islice(nodes, node_count))))
    if at != frames_end:
        raise FormatBroken(name, "its frames do not fill the pack")
    return tuple(entries)


def _footer_span(read: RangeReader, pack_bytes: int, name: str) -> tuple[int, int]:
    """Offset and length of the sealed footer, believed only as far as the pack's own length allows."""
    if not len(_MAGIC) + header_bytes + _TRAILER.size < pack_bytes <= pack_bytes_max:
        raise FormatBroken(name, f"{pack_bytes} bytes is no length of a pack")
    tail = read(pack_bytes - _TRAILER.size, _TRAILER.size)
    if len(tail) != _TRAILER.size:
        raise FormatBroken(name, "is cut")
    length, magic = _TRAILER.unpack(tail)
    start = pack_bytes - _TRAILER.size - length
    if magic != _END or start < len(_MAGIC):
        raise FormatBroken(name, "does not end as a pack does")
    plain_length(Kind.FOOTER, length, f"{name} footer")
    return start, length


def _walk(data: bytes, end: int, name: str) -> Iterator[FramePlace]:
    at = len(_MAGIC)
    while at < end:
        (length,) = _LENGTH.unpack_from(data, at)
        start = at + _LENGTH.size
        at = start + length
        if at > end or length > frame_stored_bytes_max:
            raise FormatBroken(name, f"the frame at {start} claims {length} bytes")
        yield FramePlace(start, length, sha256(memoryview(data)[start:at]).digest())


def _sealed_home(sealed: memoryview, kind: Kind, name: str) -> tuple[bytes, int]:
    """The space and epoch that a sealed object says it is for."""
    header = read_header(bytes(sealed[:header_bytes]), name)
    if header.kind != kind:
        raise FormatBroken(name, f"is a sealed {header.kind.name}, expected {kind.name}")
    plain_length(kind, len(sealed), name)
    return header.space, header.epoch
