"""Frames: what goes in comes out, cuts and lies are named, and no frame makes a reader spend more than it may."""

import json
import random
import struct
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import FormatBroken, SealBroken
from crypto.sealing import Kind, SealKey, open_sealed, seal
from store.frames import OpenFrame, cut_frames, open_frame, raw_length, seal_frame
from store.limits import frame_raw_bytes_max, frame_raw_bytes_min, frame_stored_bytes_max, node_bytes_max
from tests.sealing_keys import OTHER_KEYS, TEAM_KEY, digest
from tests.worked_examples import data_example

TALK = digest("talk")
NODES = [b'{"hash":"00"}', b'{"hash":"01"}']
GOLDEN = Path(__file__).parent.parent / "golden" / "formats"
BROKEN = (SealBroken, FormatBroken)


def crafted(raw_bytes: int, count: int, packed: bytes) -> bytes:
    """A frame as a hostile member may seal it: an honest seal around any claim."""
    return seal(TEAM_KEY, Kind.FRAME, struct.pack(">II32s", raw_bytes, count, TALK) + packed)


def squeeze(raw: bytes) -> bytes:
    """One zstd frame that states its content size."""
    return zstandard.ZstdCompressor().compress(raw)


def joined(*nodes: bytes) -> bytes:
    """Length-prefixed nodes."""
    return b"".join(struct.pack(">I", len(node)) + node for node in nodes)


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=20))
def test_nodes_come_back_as_they_went_in(nodes: list[bytes]) -> None:
    """Any bytes, in order, untouched: stored JSON is never re-serialised."""
    assert open_frame(TEAM_KEY, seal_frame(TEAM_KEY, TALK, nodes), "frame") == OpenFrame(TALK, tuple(nodes))


@given(st.lists(st.integers(1, 700_000), max_size=12))
def test_frames_are_cut_within_their_limits(sizes: list[int]) -> None:
    """Nothing is lost or moved; a run closes at the minimum and passes the maximum only as one node alone."""
    items = [(str(number), bytes(size)) for number, size in enumerate(sizes)]

    runs = list(cut_frames(items))

    assert [item for run in runs for item in run] == items
    for run in runs:
        lengths = [raw_length([stored for _, stored in run[:end]]) for end in range(1, len(run) + 1)]
        assert len(run) == 1 or lengths[-1] <= frame_raw_bytes_max
        assert all(length < frame_raw_bytes_min for length in lengths[:-1])
    for run, following in pairwise(runs):
        held = raw_length([stored for _, stored in run])
        assert held >= frame_raw_bytes_min or held + raw_length([following[0][1]]) > frame_raw_bytes_max


def test_the_largest_node_fits_alone() -> None:
    """48 MiB that do not compress still make a frame within the stored limit; one byte more is refused before sealing."""
    largest = random.Random(1).randbytes(node_bytes_max)

    stored = seal_frame(TEAM_KEY, TALK, [largest])

    assert len(stored) <= frame_stored_bytes_max
    assert open_frame(TEAM_KEY, stored, "frame").nodes == (largest,)
    with pytest.raises(ValueError, match="no frame"):
        seal_frame(TEAM_KEY, TALK, [largest + b"x"])


@pytest.mark.parametrize("nodes", [[], [b""], [b"x", b""], [bytes(frame_raw_bytes_max), b"x"]])
def test_what_no_reader_accepts_is_not_sealed(nodes: list[bytes]) -> None:
    """The writer holds itself to the reader's rules."""
    with pytest.raises(ValueError, match="no frame"):
        seal_frame(TEAM_KEY, TALK, nodes)


@pytest.mark.parametrize("conversation", [b"", TALK[:31], TALK + b"x"])
def test_a_conversation_id_is_32_bytes(conversation: bytes) -> None:
    """A wrong length is refused, not padded: padding would give another conversation."""
    with pytest.raises(ValueError, match="32 bytes"):
        seal_frame(TEAM_KEY, conversation, NODES)


def test_every_flipped_byte_is_detected() -> None:
    """Each byte of a stored frame counts."""
    stored = seal_frame(TEAM_KEY, TALK, NODES)
    for position in range(len(stored)):
        flipped = stored[:position] + bytes([stored[position] ^ 0x01]) + stored[position + 1 :]
        with pytest.raises(BROKEN):
            open_frame(TEAM_KEY, flipped, "frame")


def test_every_cut_is_detected() -> None:
    """No prefix of a frame is a frame."""
    stored = seal_frame(TEAM_KEY, TALK, NODES)
    for length in range(len(stored)):
        with pytest.raises(BROKEN):
            open_frame(TEAM_KEY, stored[:length], "frame")


@pytest.mark.parametrize("differs", sorted(OTHER_KEYS))
def test_another_key_team_space_or_epoch_opens_nothing(differs: str) -> None:
    """A frame opens only where it was sealed for."""
    with pytest.raises(SealBroken):
        open_frame(OTHER_KEYS[differs], seal_frame(TEAM_KEY, TALK, NODES), "frame")


def test_another_kind_is_no_frame() -> None:
    """The same plaintext sealed as something else does not open as a frame."""
    plain = open_sealed(TEAM_KEY, Kind.FRAME, seal_frame(TEAM_KEY, TALK, NODES), "frame")

    with pytest.raises(SealBroken, match="expected FRAME"):
        open_frame(TEAM_KEY, seal(TEAM_KEY, Kind.TEXT, plain), "frame")


LIES = {
    "nothing inside": seal(TEAM_KEY, Kind.FRAME, b""),
    "half a head": seal(TEAM_KEY, Kind.FRAME, bytes(39)),
    "no node": crafted(0, 0, squeeze(b"")),
    "an empty node": crafted(4, 1, squeeze(joined(b""))),
    "an empty node beside another": crafted(9, 2, squeeze(joined(b"x", b""))),
    "more nodes than there are": crafted(10, 2, squeeze(joined(b"xxxxxx"))),
    "fewer nodes than there are": crafted(10, 1, squeeze(joined(b"x", b"y"))),
    "a count that cannot fit": crafted(10, 2**32 - 1, squeeze(joined(b"xxxxxx"))),
    "a node longer than the frame": crafted(5, 1, squeeze(struct.pack(">I", 2) + b"x")),
    "a node of 4 GiB": crafted(5, 1, squeeze(struct.pack(">I", 2**32 - 1) + b"x")),
    "bytes after the last node": crafted(6, 1, squeeze(joined(b"x") + b"y")),
    "raw bytes over the limit for two": crafted(
        frame_raw_bytes_max + 1, 2, squeeze(bytes(frame_raw_bytes_max + 1))
    ),
    "raw bytes over the limit for one": crafted(node_bytes_max + 5, 1, squeeze(b"x")),
    "raw bytes that are not there": crafted(6, 1, squeeze(joined(b"x"))),
    "no zstd at all": crafted(5, 1, b"plain bytes"),
    "nothing compressed": crafted(5, 1, b""),
    "two zstd frames": crafted(5, 1, squeeze(joined(b"x")) * 2),
    "garbage after the zstd frame": crafted(5, 1, squeeze(joined(b"x")) + b"?"),
    "a skippable frame first": crafted(5, 1, b"\x50\x2a\x4d\x18\x00\x00\x00\x00" + squeeze(joined(b"x"))),
    "a cut zstd frame": crafted(5, 1, squeeze(joined(b"x"))[:-1]),
    "no stated content size": crafted(
        5, 1, zstandard.ZstdCompressor(write_content_size=False).compress(joined(b"x"))
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_member_who_lies_inside_the_seal_is_named(lie: str) -> None:
    """The seal proves a member, not honesty: every claim that does not fit is FormatBroken with the frame's name."""
    with pytest.raises(FormatBroken, match="packs/7 frame at 12"):
        open_frame(TEAM_KEY, LIES[lie], "packs/7 frame at 12")


HONEST_BOMB = squeeze(bytes(64 << 20))
BOMBS = {
    "that says its size": HONEST_BOMB,
    # The content size in the zstd header (RFC 8878 §3.1.1.1) is made to agree with the frame's claim.
    "that lies about its size": HONEST_BOMB.replace(
        struct.pack("<I", 64 << 20), struct.pack("<I", frame_raw_bytes_max), 1
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_zstd_bomb_costs_no_memory(bomb: str) -> None:
    """64 MiB of zeros in a few KiB, honest or lying about it: refused, having taken no more than a frame may."""
    stored = crafted(frame_raw_bytes_max, 1, BOMBS[bomb])

    tracemalloc.start()
    with pytest.raises(FormatBroken):
        open_frame(TEAM_KEY, stored, "frame")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 4 * frame_raw_bytes_max


def test_an_oversized_object_is_not_even_opened() -> None:
    """A frame over the stored limit is refused by its length, before the cipher runs over it."""
    with pytest.raises(FormatBroken, match="over the limit"):
        open_frame(TEAM_KEY, bytes(frame_stored_bytes_max + 1), "frame")


def test_the_golden_frame_opens_for_ever() -> None:
    """A frame stored by an earlier version still opens to the same nodes."""
    expected = json.loads((GOLDEN / "expected.json").read_text())["frame"]

    opened = open_frame(TEAM_KEY, (GOLDEN / "frame.bin").read_bytes(), "golden")

    assert opened.conversation.hex() == expected["conversation"]
    assert [node.decode() for node in opened.nodes] == expected["nodes"]


def test_the_worked_example_in_the_chapter_is_the_golden_frame() -> None:
    """The bytes that the chapter takes apart are real, whole and in order, and open as it says."""
    parts, key = data_example("frame"), data_example("key")["fields"]
    stored, plain = b"".join(parts["stored"].values()), b"".join(parts["plain"].values())

    assert SealKey(key["team"], key["space"], int.from_bytes(key["epoch"]), key["key"]) == TEAM_KEY
    assert stored == (GOLDEN / "frame.bin").read_bytes()
    assert open_sealed(TEAM_KEY, Kind.FRAME, stored, "example") == plain
    assert zstandard.ZstdDecompressor().decompress(parts["plain"]["zstd frame"]) == b"".join(
        parts["raw"].values()
    )
    assert open_frame(TEAM_KEY, stored, "example").nodes == (parts["raw"]["node 0"], parts["raw"]["node 1"])
