"""Sealed objects: known answers, a closed list of outcomes, and every cut, swap and crafted ciphertext refused."""

import hmac
import json
import struct
from hashlib import blake2b, sha256
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import sealing
from crypto.errors import FormatBroken, SealBroken
from crypto.sealing import (
    Kind,
    Sealing,
    SealKey,
    open_block,
    open_sealed,
    plain_length,
    read_header,
    seal,
    sealed_length,
)
from tests import xchacha
from tests.sealing_keys import OTHER_KEYS, TEAM_KEY, digest

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "sealing.json").read_text())
BLOCK = sealing.BLOCK_BYTES[Kind.TEXT]
STORED_BLOCK = BLOCK + sealing.block_overhead_bytes
BROKEN = (SealBroken, FormatBroken)


def vector_key(fields: dict[str, Any]) -> SealKey:
    """The key of a vector: hex fields, and the epoch."""
    raw = {name: bytes.fromhex(fields[name]) for name in ("team", "space", "key")}
    return SealKey(epoch=fields["epoch"], **raw)


def outcome_of(vector: dict[str, Any]) -> str:
    """One word of the closed list."""
    key = vector_key({**VECTORS["key"], **vector.get("key", {})})
    try:
        plain = open_sealed(key, Kind[vector["kind"]], bytes.fromhex(vector["object"]), vector["name"])
    except SealBroken:
        return "seal-broken"
    except FormatBroken:
        return "format-broken"
    return f"opens {plain.hex()}"


def spelled_out(key: SealKey, kind: Kind, plain: bytes, object_id: bytes, salt: bytes) -> bytes:
    """A one-block object from the text of DESIGN §5 and a plain-Python cipher, without the code under test."""
    header = b"TAPE\x00" + bytes([kind]) + key.space + struct.pack(">I", key.epoch) + object_id
    header += struct.pack(">I", sealing.BLOCK_BYTES[kind])
    context = header + key.team + struct.pack(">IB", 0, 1)
    okm = blake2b(salt + sha256(context).digest(), key=key.key, digest_size=64).digest()
    return header + salt + okm[32:] + xchacha.encrypt(okm[:32], bytes(24), plain, context)


def test_the_plain_python_cipher_agrees_with_the_draft() -> None:
    """The second opinion is itself right: draft-irtf-cfrg-xchacha-03, appendix A.3.1."""
    plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    key, nonce = bytes(range(0x80, 0xA0)), bytes(range(0x40, 0x58))
    boxed = xchacha.encrypt(key, nonce, plain, bytes.fromhex("50515253c0c1c2c3c4c5c6c7"))

    assert boxed[:16].hex() == "bd6d179d3e83d43b9576579493c0e939"
    assert boxed[-16:].hex() == "c0875924c1c7987947deafd8780acf49"


@pytest.mark.parametrize("plain", [b"", b"x", b"sixteen bytes ok" * 5])
@pytest.mark.parametrize("kind", list(Kind))
def test_an_object_is_byte_for_byte_what_the_format_says(
    monkeypatch: pytest.MonkeyPatch, kind: Kind, plain: bytes
) -> None:
    """With the salt fixed, sealing gives the bytes that the written format gives."""
    salt, object_id = digest("salt")[:24], digest("object")[:16]
    monkeypatch.setattr(sealing, "token_bytes", lambda size: salt[:size])

    sealed = seal(TEAM_KEY, kind, plain, object_id=object_id)

    assert sealed == spelled_out(TEAM_KEY, kind, plain, object_id, salt)


@pytest.mark.parametrize("vector", VECTORS["cases"], ids=lambda vector: vector["name"])
def test_vectors_come_to_their_outcome(vector: dict[str, Any]) -> None:
    """Each stored case opens to its plaintext or fails with its own error, and there is no third way."""
    assert outcome_of(vector) == vector["outcome"]


def test_vectors_cover_every_outcome() -> None:
    """A list of outcomes that lost one would still pass case by case."""
    assert {vector["outcome"].split()[0] for vector in VECTORS["cases"]} == {
        "opens",
        "seal-broken",
        "format-broken",
    }


@given(st.binary(max_size=300), st.sampled_from(list(Kind)))
def test_sealed_bytes_open_again(plain: bytes, kind: Kind) -> None:
    """What is sealed opens, with the length that was announced."""
    sealed = seal(TEAM_KEY, kind, plain)

    assert open_sealed(TEAM_KEY, kind, sealed, "object") == plain
    assert len(sealed) == sealed_length(kind, len(plain))
    assert plain_length(kind, len(sealed), "object") == len(plain)


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_block_boundaries(length: int) -> None:
    """Lengths around a block give the fewest blocks, and open."""
    plain = bytes(range(256)) * (length // 256) + bytes(length % 256)
    sealed = seal(TEAM_KEY, Kind.TEXT, plain)

    assert len(sealed) == sealed_length(Kind.TEXT, length)
    assert open_sealed(TEAM_KEY, Kind.TEXT, sealed, "text") == plain


def test_equal_plaintexts_never_look_alike() -> None:
    """An operator who sees two objects cannot tell that they say the same."""
    assert seal(TEAM_KEY, Kind.TEXT, b"same") != seal(TEAM_KEY, Kind.TEXT, b"same")


def test_every_flipped_bit_is_detected() -> None:
    """Each bit of a small object counts: header, salt, commitment, ciphertext and tag."""
    sealed = seal(TEAM_KEY, Kind.TEXT, b"every bit")
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BROKEN):
            open_sealed(TEAM_KEY, Kind.TEXT, bytes(flipped), "text")


def test_every_cut_and_every_added_byte_is_detected() -> None:
    """No prefix of an object opens, nor the object with something behind it."""
    sealed = seal(TEAM_KEY, Kind.TEXT, b"whole")
    for length in range(len(sealed)):
        with pytest.raises(BROKEN):
            open_sealed(TEAM_KEY, Kind.TEXT, sealed[:length], "text")
    with pytest.raises(BROKEN):
        open_sealed(TEAM_KEY, Kind.TEXT, sealed + b"\x00", "text")


@pytest.mark.parametrize("blocks_kept", [0, 1, 2])
def test_an_object_cut_between_blocks_does_not_open(blocks_kept: int) -> None:
    """The last mark: a shorter object of whole, honest blocks is still a cut one."""
    sealed = seal(TEAM_KEY, Kind.TEXT, bytes(3 * BLOCK))
    cut = sealed[: sealing.header_bytes + blocks_kept * STORED_BLOCK]

    with pytest.raises(BROKEN):
        open_sealed(TEAM_KEY, Kind.TEXT, cut, "text")


def test_swapped_blocks_do_not_open() -> None:
    """The block number: two blocks of one object cannot change places."""
    sealed = seal(TEAM_KEY, Kind.TEXT, b"a" * BLOCK + b"b" * BLOCK + b"c")
    head, first, second, rest = _in_blocks(sealed)

    with pytest.raises(SealBroken, match="block 0"):
        open_sealed(TEAM_KEY, Kind.TEXT, head + second + first + rest, "text")


def test_a_block_of_another_object_does_not_open() -> None:
    """The object id: equal-numbered blocks of two objects under one key cannot be exchanged."""
    one = _in_blocks(seal(TEAM_KEY, Kind.TEXT, b"a" * BLOCK + b"b" * BLOCK + b"c"))
    two = _in_blocks(seal(TEAM_KEY, Kind.TEXT, b"d" * BLOCK + b"e" * BLOCK + b"f"))

    with pytest.raises(SealBroken, match="block 1"):
        open_sealed(TEAM_KEY, Kind.TEXT, one[0] + one[1] + two[2] + one[3], "text")


def _in_blocks(sealed: bytes) -> list[bytes]:
    edges = [0, *range(sealing.header_bytes, len(sealed), STORED_BLOCK), len(sealed)]
    return [sealed[start:end] for start, end in pairwise(edges)]


def test_one_block_opens_by_range_read() -> None:
    """A reader that fetched a single block opens it, given its number and whether it is the last."""
    sealed = seal(TEAM_KEY, Kind.TEXT, b"a" * BLOCK + b"b" * BLOCK + b"c")
    head, _, second, last = _in_blocks(sealed)
    header = read_header(head, "text")

    assert open_block(TEAM_KEY, header, 1, second, last=False, name="text") == b"b" * BLOCK
    assert open_block(TEAM_KEY, header, 2, last, last=True, name="text") == b"c"


@pytest.mark.parametrize(("number", "last"), [(0, False), (2, False), (1, True)])
def test_a_range_read_block_is_bound_to_its_place(number: int, last: bool) -> None:  # noqa: FBT001 - a parameter
    """A block opens under no other number, and neither gains nor loses the last mark."""
    head, _, second, _ = _in_blocks(seal(TEAM_KEY, Kind.TEXT, b"a" * BLOCK + b"b" * BLOCK + b"c"))

    with pytest.raises(SealBroken):
        open_block(TEAM_KEY, read_header(head, "text"), number, second, last=last, name="text")


def test_a_cut_range_read_is_an_error() -> None:
    """Fewer bytes than a block's own overhead are named as a cut, not sliced into something."""
    header = read_header(seal(TEAM_KEY, Kind.TEXT, b""), "text")

    with pytest.raises(SealBroken, match="block 0 is cut"):
        open_block(TEAM_KEY, header, 0, bytes(sealing.block_overhead_bytes - 1), last=True, name="text")


@pytest.mark.parametrize("differs", sorted(OTHER_KEYS))
def test_another_key_team_space_or_epoch_opens_nothing(differs: str) -> None:
    """Each part of the place a key is valid in is bound."""
    sealed = seal(TEAM_KEY, Kind.TEXT, b"ours")

    with pytest.raises(SealBroken):
        open_sealed(OTHER_KEYS[differs], Kind.TEXT, sealed, "text")


def test_a_relabelled_header_does_not_open() -> None:
    """A bucket that rewrites kind, space or epoch in clear meets the seal behind them."""
    sealed = seal(TEAM_KEY, Kind.MANIFEST, b"ours")
    as_text = sealed[:5] + bytes([Kind.TEXT]) + sealed[6:]

    with pytest.raises(SealBroken, match="expected TEXT"):
        open_sealed(TEAM_KEY, Kind.TEXT, sealed, "text")
    with pytest.raises(SealBroken, match="not sealed under"):
        open_sealed(TEAM_KEY, Kind.TEXT, as_text, "text")


@given(st.binary(max_size=200))
def test_strange_bytes_never_do_worse_than_fail(data: bytes) -> None:
    """Whatever lies in the bucket, the error is one of the two."""
    for prefix in (b"", seal(TEAM_KEY, Kind.TEXT, b"")[: sealing.header_bytes]):
        with pytest.raises(BROKEN):
            open_sealed(TEAM_KEY, Kind.TEXT, prefix + data, "text")


def test_a_key_never_shows() -> None:
    """A SealKey in a log line or traceback says where it is valid, not what it is."""
    shown = f"{TEAM_KEY!r} {TEAM_KEY}"

    assert TEAM_KEY.key.hex() not in shown
    assert repr(TEAM_KEY.key) not in shown


def forge_for_two(first: bytes, second: bytes, associated: bytes) -> bytes:
    """A ciphertext and tag that XChaCha20-Poly1305 accepts under both subkeys ("invisible salamander").

    Poly1305 is linear in each 16-byte block: the last one is solved so that both tags come out equal; one try in four
    gives a solution that fits into 16 bytes.
    """
    (r1, s1), (r2, s2) = (xchacha.poly_key(key, bytes(24)) for key in (first, second))
    prime = xchacha.POLY_PRIME
    slope = (
        r1 * r1 - r2 * r2
    ) % prime  # the solved block is folded twice: once as itself, once before the lengths
    for attempt in count():
        filler = attempt.to_bytes(16, "little")
        known = xchacha.mac_coefficients(associated, filler + bytes(16))
        known[-2] = 0
        gap = (xchacha.fold(known, r2) + s2 - xchacha.fold(known, r1) - s1) % prime
        block = gap * pow(slope, -1, prime) % prime - (1 << 128)
        if 0 <= block < 1 << 128:
            ciphertext = filler + block.to_bytes(16, "little")
            tags = {xchacha.tag(key, bytes(24), ciphertext, associated) for key in (first, second)}
            if len(tags) == 1:
                return ciphertext + tags.pop()
    raise AssertionError("unreachable")


def test_a_ciphertext_for_two_keys_is_stopped_by_the_commitment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block made to open under two epoch keys: the AEAD takes both, the commitment lets only one pass."""
    other = OTHER_KEYS["key"]
    salt = digest("salt")[:24]
    header = sealing.SealHeader(Kind.TEXT, TEAM_KEY.space, TEAM_KEY.epoch, digest("object")[:16]).pack()
    context = header + TEAM_KEY.team + struct.pack(">IB", 0, 1)
    (first, commitment), (second, _) = (
        (okm[:32], okm[32:])
        for key in (TEAM_KEY, other)
        for okm in [blake2b(salt + sha256(context).digest(), key=key.key, digest_size=64).digest()]
    )
    crafted = header + salt + commitment + forge_for_two(first, second, context)

    mine = open_sealed(TEAM_KEY, Kind.TEXT, crafted, "text")
    with pytest.raises(SealBroken, match="not sealed under this key"):
        open_sealed(other, Kind.TEXT, crafted, "text")

    monkeypatch.setattr(hmac, "compare_digest", lambda _a, _b: True)
    theirs = open_sealed(other, Kind.TEXT, crafted, "text")

    assert len(theirs) == len(mine) == 32
    assert theirs != mine


@given(
    st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 7]), st.integers(1, BLOCK + 3)
)
def test_what_is_sealed_in_pieces_opens_as_one(length: int, piece: int) -> None:
    """However it was cut: one object, as long as one that was sealed at once, with the bytes that were written."""
    plain, stored = bytes(length), bytearray()
    sealing_it = Sealing(TEAM_KEY, Kind.TEXT, stored.extend)
    for start in range(0, length, piece * 37):
        sealing_it.write(plain[start : start + piece * 37])
    sealing_it.close()

    assert open_sealed(TEAM_KEY, Kind.TEXT, bytes(stored), "it") == plain
    assert len(stored) == sealing_it.stored_bytes == sealed_length(Kind.TEXT, length)
    assert read_header(bytes(stored), "it").object_id == sealing_it.object_id
