"""Packs: placed, indexed and hashed; checkable without a key, and no footer is believed against the bytes."""

import json
import random
import struct
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import FormatBroken, SealBroken
from crypto.sealing import Kind, open_sealed, seal
from store import packs
from store.facts import facts_of
from store.frames import cut_frames, raw_length, seal_frame
from store.limits import pack_bytes_max
from store.manifest_schema import NodePlace, Row, rows_table
from store.manifests import open_manifest, seal_manifest
from store.node_parse import node_from_bytes
from store.packs import (
    FrameEntry,
    NodeEntry,
    PackWriter,
    bytes_reader,
    check_pack,
    open_pack,
    open_placed_frame,
    read_footer,
    scan_frames,
)
from tests.sealing_keys import (
    DEVICE,
    MEMBER,
    OTHER_KEYS,
    TEAM_KEY,
    add_nodes,
    digest,
    leaf_openings,
    make_turn,
    pack_turns,
    pushed_rows,
)
from tests.worked_examples import data_example

TALKS = {"talk": [make_turn(number) for number in range(3)], "other": [make_turn(0, "other")]}
PACK = pack_turns(TALKS)
GOLDEN = Path(__file__).parent.parent / "golden" / "formats"
BROKEN = (SealBroken, FormatBroken)


def one_node_pack(*contents: bytes) -> packs.Pack:
    """A pack with a frame for each content, so that equal lengths give equal frames in size."""
    writer = PackWriter(TEAM_KEY)
    for number, content in enumerate(contents):
        add_nodes(writer, "talk", [(digest(str(number)).hex(), content, digest(f"opening {number}"))])
    return writer.finish()


def rebuilt(frame_entries: bytes, footer_plain: bytes) -> bytes:
    """A pack with an honest seal around any footer."""
    footer = seal(TEAM_KEY, Kind.FOOTER, footer_plain)
    return b"TAPEPAK\x00" + frame_entries + footer + struct.pack(">I", len(footer)) + b"TAPEEND\x00"


def entries_of(pack: packs.Pack) -> bytes:
    """The stored frame entries of a pack."""
    last = pack.frames[-1].place
    return pack.data[8 : last.offset + last.length]


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=5), min_size=1, max_size=6)
)
def test_what_is_packed_is_found_again(frames: list[list[bytes]]) -> None:
    """Frames, hashes, openings and conversations come back, by walk, by footer and by range read alike."""
    writer = PackWriter(TEAM_KEY)
    places = [
        add_nodes(
            writer,
            f"talk {number}",
            [
                (digest(f"{number}.{i}").hex(), node, digest(f"opening {number}.{i}"))
                for i, node in enumerate(nodes)
            ],
        )
        for number, nodes in enumerate(frames)
    ]
    announced = writer.size
    pack = writer.finish()

    assert announced == len(pack.data)
    assert pack.sha256 == sha256(pack.data).hexdigest()
    assert check_pack(pack.data, pack.sha256, "pack") == tuple(places)
    opened = list(open_pack(TEAM_KEY, pack.data, "pack"))
    assert [entry for entry, _ in opened] == list(pack.frames)
    assert [list(frame.nodes) for _, frame in opened] == frames
    for number, (entry, frame) in enumerate(opened):
        place = entry.place
        stored = pack.data[place.offset : place.offset + place.length]
        assert open_placed_frame(TEAM_KEY, place, stored, "pack") == frame
        assert entry.conversation == frame.conversation == digest(f"talk {number}")
        assert entry.nodes[0] == NodeEntry(digest(f"{number}.0").hex(), digest(f"opening {number}.0"))


def test_the_footer_is_read_by_two_small_ranges() -> None:
    """An index costs two range reads at the end of the object, never the object."""
    asked: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return PACK.data[offset : offset + length]

    assert read_footer(TEAM_KEY, read, len(PACK.data), "pack") == PACK.frames
    last = PACK.frames[-1].place
    assert asked == [
        (len(PACK.data) - 12, 12),
        (last.offset + last.length, len(PACK.data) - 12 - last.offset - last.length),
    ]


def test_manifest_rows_can_be_rebuilt_from_a_pack_alone() -> None:
    """Facts from the nodes, places from the walk, openings from the footer: the table a lost manifest had."""
    table = rows_table(pushed_rows(PACK, TALKS), MEMBER, DEVICE)
    manifest = open_manifest(TEAM_KEY, seal_manifest(TEAM_KEY, table, leaf_openings(TALKS)), "manifest")

    rows = []
    for entry, frame in open_pack(TEAM_KEY, PACK.data, "pack"):
        for index, (node, stored) in enumerate(zip(entry.nodes, frame.nodes, strict=True)):
            found = node_from_bytes(stored, "node")
            assert found.hash == node.hash
            place = NodePlace(bytes.fromhex(PACK.sha256), entry.place, index, node.opening)
            rows.append(Row(facts_of(found), frame.conversation, len(stored), place))

    assert rows_table(rows, MEMBER, DEVICE).equals(manifest.table)


def test_every_flipped_byte_is_detected() -> None:
    """Even without knowing the pack's name: magic, length prefixes, frames, footer and trailer all count."""
    for position in range(len(PACK.data)):
        flipped = PACK.data[:position] + bytes([PACK.data[position] ^ 0x40]) + PACK.data[position + 1 :]
        with pytest.raises(BROKEN):
            list(open_pack(TEAM_KEY, flipped, "pack"))
        with pytest.raises(FormatBroken, match="named after"):
            check_pack(flipped, PACK.sha256, "pack")


def test_every_cut_is_detected_without_a_key() -> None:
    """A scrub that holds no key sees a torn upload by its structure."""
    for length in range(len(PACK.data)):
        with pytest.raises(FormatBroken):
            scan_frames(PACK.data[:length], "pack")


def test_bytes_between_or_behind_are_detected() -> None:
    """A pack has no room for bytes that nobody accounts for."""
    first = PACK.frames[0].place
    edge = first.offset + first.length
    for data in (PACK.data + b"x", PACK.data[:edge] + b"x" + PACK.data[edge:], b"x" + PACK.data):
        with pytest.raises(BROKEN):
            list(open_pack(TEAM_KEY, data, "pack"))


def test_equal_sized_frames_cannot_change_places() -> None:
    """Each frame is whole in itself, so only its digest tells that the bucket exchanged two."""
    pack = one_node_pack(b"node one", b"node two")
    one, two = (entry.place for entry in pack.frames)
    assert one.length == two.length
    first = pack.data[one.offset : one.offset + one.length]
    second = pack.data[two.offset : two.offset + two.length]
    swapped = (
        pack.data[: one.offset] + second + pack.data[one.offset + one.length : two.offset] + first
        + pack.data[two.offset + two.length :]
    )  # fmt: skip

    assert len(scan_frames(swapped, "pack")) == 2
    with pytest.raises(FormatBroken, match="other frames"):
        list(open_pack(TEAM_KEY, swapped, "pack"))
    with pytest.raises(SealBroken, match="frame at 12"):
        open_placed_frame(TEAM_KEY, one, second, "pack")


@pytest.mark.parametrize("differs", sorted(OTHER_KEYS))
def test_another_key_team_space_or_epoch_opens_nothing(differs: str) -> None:
    """Footer and frames open only where they were sealed for."""
    with pytest.raises(SealBroken, match="footer"):
        read_footer(OTHER_KEYS[differs], bytes_reader(PACK.data), len(PACK.data), "pack")


@pytest.mark.parametrize("differs", ["space", "epoch"])
def test_a_frame_of_another_space_or_epoch_is_out_of_place(differs: str) -> None:
    """One pack, one space and epoch: visible without a key, from the sealed headers."""
    stranger = seal_frame(OTHER_KEYS[differs], digest("talk"), [b"node"])
    footer = open_footer(PACK)
    data = rebuilt(entries_of(PACK) + struct.pack(">I", len(stranger)) + stranger, footer)

    with pytest.raises(FormatBroken, match="another space or epoch"):
        scan_frames(data, "pack")


def open_footer(pack: packs.Pack) -> bytes:
    """The footer's plaintext."""
    last = pack.frames[-1].place
    return open_sealed(TEAM_KEY, Kind.FOOTER, pack.data[last.offset + last.length : -12], "footer")


def _changed(**changes: Any) -> bytes:
    first, *rest = PACK.frames
    return packs._encode_footer([first._replace(**changes), *rest])


def _moved(**changes: Any) -> bytes:
    return _changed(place=PACK.frames[0].place._replace(**changes))


FALSE_FOOTERS = {
    "empty": b"",
    "no frame": struct.pack(">I", 0),
    "frames that do not fit": struct.pack(">I", 2**32 - 1) + bytes(200),
    "one frame missing": packs._encode_footer(PACK.frames[:1]),
    "one frame twice": packs._encode_footer([*PACK.frames, PACK.frames[-1]]),
    "order turned round": packs._encode_footer(PACK.frames[::-1]),
    "a byte more": packs._encode_footer(PACK.frames) + b"x",
    "a node less": packs._encode_footer(PACK.frames)[:-64],
    "offset 0": _moved(offset=0),
    "offset past the end": _moved(offset=2**32 - 1),
    "length 0": _moved(length=0),
    "length past the end": _moved(length=2**32 - 1),
    "another digest": _moved(sha256=bytes(32)),
    "another conversation": _changed(conversation=bytes(32)),
    "another size": _changed(raw_bytes=PACK.frames[0].raw_bytes + 1),
    "an impossible size": _changed(raw_bytes=2**32 - 1),
    "a frame without nodes": _changed(nodes=()),
    "a node too many": _changed(nodes=(*PACK.frames[0].nodes, PACK.frames[0].nodes[0])),
}


@pytest.mark.parametrize("lie", FALSE_FOOTERS)
def test_a_false_footer_is_named(lie: str) -> None:
    """A footer is a member's claim: where it differs from the bytes beside it, the pack is refused."""
    with pytest.raises(BROKEN, match="pack"):
        list(open_pack(TEAM_KEY, rebuilt(entries_of(PACK), FALSE_FOOTERS[lie]), "pack"))


def test_the_true_footer_is_accepted_by_the_same_road() -> None:
    """The crafted packs above fail for their lie, not for how they are put together."""
    data = rebuilt(entries_of(PACK), packs._encode_footer(PACK.frames))

    assert [entry for entry, _ in open_pack(TEAM_KEY, data, "pack")] == list(PACK.frames)


def test_a_pack_without_frames_does_not_exist() -> None:
    """Neither written nor accepted."""
    with pytest.raises(ValueError, match="at least one frame"):
        PackWriter(TEAM_KEY).finish()
    with pytest.raises(FormatBroken, match="no frame"):
        scan_frames(rebuilt(b"", struct.pack(">I", 0)), "pack")


@given(st.binary(max_size=300))
def test_strange_bytes_never_do_worse_than_fail(middle: bytes) -> None:
    """Whatever lies under a pack's name, the error names it."""
    for data in (
        middle,
        b"TAPEPAK\x00" + middle,
        rebuilt(middle, b"?"),
        b"TAPEPAK\x00" + middle + b"TAPEEND\x00",
    ):
        with pytest.raises(BROKEN, match="packs/7"):
            scan_frames(data, "packs/7")
        with pytest.raises(BROKEN, match="packs/7"):
            list(open_pack(TEAM_KEY, data, "packs/7"))


def test_a_short_answer_to_a_range_read_is_no_footer() -> None:
    """A store that answers with fewer bytes than asked is caught here too."""
    with pytest.raises(FormatBroken, match="is cut"):
        read_footer(TEAM_KEY, lambda _offset, _length: b"", len(PACK.data), "pack")


def test_an_oversized_pack_is_refused_before_it_is_hashed() -> None:
    """The size limit is the first thing judged."""
    with pytest.raises(FormatBroken, match="over the limit"):
        check_pack(bytes(pack_bytes_max + 1), PACK.sha256, "pack")


@pytest.mark.parametrize(
    ("node_hash", "opening"), [("00" * 31, digest("o")), ("AB" * 32, digest("o")), ("ab" * 32, b"short")]
)
def test_hashes_and_openings_have_one_length(node_hash: str, opening: bytes) -> None:
    """A wrong length is refused, not padded into a readable, wrong footer."""
    with pytest.raises(ValueError, match="64 lower-case hex"):
        add_nodes(PackWriter(TEAM_KEY), "talk", [(node_hash, b"node", opening)])


@settings(max_examples=25)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_a_pack_that_takes_a_frame_never_outgrows_its_limit(sizes: list[int], dice: random.Random) -> None:
    """Asked before each frame, `takes` keeps even incompressible frames below the maximum, and stops at the target."""
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr(packs, "pack_bytes_max", 12_000)
        smaller.setattr(packs, "pack_bytes_target", 6_000)
        writer = PackWriter(TEAM_KEY)
        nodes = (dice.randbytes(size) for size in sizes)
        for node in takewhile(lambda node: writer.takes(raw_length([node]), 1), nodes):
            assert writer.size < 6_000
            add_nodes(writer, "talk", [(digest("node").hex(), node, digest("opening"))])

        assert len(writer.finish().data) <= 12_000


def test_a_full_pack_refuses_another_frame() -> None:
    """A caller that does not ask gets an error, not a pack that no reader accepts."""
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr(packs, "pack_bytes_target", 100)
        writer = PackWriter(TEAM_KEY)
        add_nodes(writer, "talk", [(digest("node").hex(), b"node", digest("opening"))])
        with pytest.raises(ValueError, match="full"):
            add_nodes(writer, "talk", [(digest("node").hex(), b"node", digest("opening"))])


def test_cut_frames_and_packs_fit_together() -> None:
    """A conversation of many turns goes through cutting, packing and back, in order."""
    turns = [(digest(str(number)).hex(), b'{"n":%d}' % number * 9000) for number in range(40)]
    writer = PackWriter(TEAM_KEY)
    for run in cut_frames(turns):
        add_nodes(writer, "talk", [(node_hash, stored, digest(node_hash)) for node_hash, stored in run])

    opened = list(open_pack(TEAM_KEY, writer.finish().data, "pack"))

    assert len(opened) > 1
    assert [node for _, frame in opened for node in frame.nodes] == [stored for _, stored in turns]
    assert [node.hash for entry, _ in opened for node in entry.nodes] == [node_hash for node_hash, _ in turns]


def test_the_golden_pack_opens_for_ever() -> None:
    """A pack stored by an earlier version still gives the same nodes under the same name."""
    expected = json.loads((GOLDEN / "expected.json").read_text())["pack"]
    data = (GOLDEN / "pack.bin").read_bytes()

    assert len(check_pack(data, expected["sha256"], "golden")) == 2
    found = {frame.conversation: frame.nodes for _, frame in open_pack(TEAM_KEY, data, "golden")}
    assert found == {
        digest(talk): tuple(node.encode() for node in nodes) for talk, nodes in expected["nodes"].items()
    }


def test_the_worked_example_in_the_chapter_is_a_whole_pack() -> None:
    """The chapter's pack is made of the bytes it shows, around the golden frame, and opens to them."""
    parts = data_example("pack")
    data = b"".join(parts["stored"].values())

    ((entry, frame),) = open_pack(TEAM_KEY, data, "example")

    assert (
        data[entry.place.offset : entry.place.offset + entry.place.length]
        == (GOLDEN / "frame.bin").read_bytes()
    )
    assert b"".join(parts["footer"].values()) == packs._encode_footer([entry])
    assert isinstance(entry, FrameEntry)
    assert len(frame.nodes) == len(entry.nodes) == 2


def test_another_kind_in_a_frames_place_is_refused_without_a_key() -> None:
    """A sealed text that poses as a frame shows by its clear header."""
    stranger = seal(TEAM_KEY, Kind.TEXT, b"words")
    data = rebuilt(struct.pack(">I", len(stranger)) + stranger, open_footer(PACK))

    with pytest.raises(FormatBroken, match="is a sealed TEXT, expected FRAME"):
        scan_frames(data, "pack")
