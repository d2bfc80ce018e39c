"""Sealed objects: a header, then blocks, each under its own once-used key that commits to everything around it.

Layout (big-endian; DESIGN §5; `docs/formats.md` has a worked example):

    object = header ‖ block[0] ‖ … ‖ block[n-1]                       n ≥ 1
    header = "TAPE" ‖ version u8 ‖ kind u8 ‖ space 16 ‖ epoch u32 ‖ object_id 16 ‖ block_bytes u32          46 bytes
    block  = salt 24 ‖ commitment 32 ‖ ciphertext ‖ tag 16            72 bytes more than its plaintext

    context     = header ‖ team 32 ‖ block number u32 ‖ last u8       also the associated data
    okm         = BLAKE2b-512(key = epoch key, salt ‖ SHA-256(context));  subkey = okm[:32], commitment = okm[32:]
    ciphertext ‖ tag = XChaCha20-Poly1305(subkey, nonce = 0, plaintext, context)

AEADs are not key-committing: without the commitment a member could craft one ciphertext that opens to two texts under two
keys. The last mark makes truncation an error; the block number makes a swap one. Every plaintext but an object's last block is
exactly `block_bytes` long, so an object has one encoding.
"""

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b, sha256
from secrets import token_bytes

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from crypto.errors import FormatBroken, SealBroken

MAGIC = b"TAPE"
VERSION = 0
header_bytes = 46
block_overhead_bytes = 72
salt_bytes = 24
commitment_bytes = 32
# The nonce is fixed because each subkey is derived from a fresh 192-bit salt and used exactly once.
_NONCE = bytes(24)
_HEADER = struct.Struct(">4sBB16sI16sI")
_POSITION = struct.Struct(">IB")


class Kind(IntEnum):
    """What a sealed object is; part of the authenticated context, so one kind never opens as another."""

    FRAME = 1
    FOOTER = 2
    MANIFEST = 3
    TEXT = 4
    COMMIT_FIELD = 5
    EPOCH_CHAIN = 6
    STATS = 7
    SHARE = 8
    PROJECTION = 9  # of one device, in its home: never in a bucket


# Fixed per kind: nothing unauthenticated chooses a parameter (DESIGN §5).
BLOCK_BYTES = {
    Kind.FRAME: 1 << 20,
    Kind.FOOTER: 1 << 16,
    Kind.MANIFEST: 1 << 16,
    Kind.TEXT: 1 << 16,
    Kind.COMMIT_FIELD: 1 << 16,
    Kind.EPOCH_CHAIN: 1 << 16,
    Kind.STATS: 1 << 16,
    Kind.SHARE: 1 << 20,
    Kind.PROJECTION: 1 << 16,
}


@dataclass(frozen=True, slots=True)
class SealKey:
    """An epoch key with the place it is valid in. The key itself never shows."""

    team: bytes  # 32
    space: bytes  # 16
    epoch: int  # u32, 1 upwards
    key: bytes  # 32

    def __repr__(self) -> str:
        return f"SealKey(space={self.space.hex()}, epoch={self.epoch})"


@dataclass(frozen=True, slots=True)
class SealHeader:
    """The clear first 46 bytes of a sealed object."""

    kind: Kind
    space: bytes
    epoch: int
    object_id: bytes

    def pack(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(
            MAGIC, VERSION, self.kind, self.space, self.epoch, self.object_id, BLOCK_BYTES[self.kind]
        )


def read_header(data: bytes, name: str) -> SealHeader:
    """Parse a sealed object's header. `name` is what an error calls the object."""
    if len(data) < header_bytes:
        raise FormatBroken(name, f"{len(data)} bytes are too few for a sealed object")
    magic, version, kind, space, epoch, object_id, block_bytes = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise FormatBroken(name, "not a sealed object of a known version")
    try:
        known = Kind(kind)
    except ValueError:
        raise FormatBroken(name, f"unknown sealed kind {kind}") from None
    if block_bytes != BLOCK_BYTES[known]:
        raise FormatBroken(name, f"block size {block_bytes} is not the one of {known.name}")
    return SealHeader(known, space, epoch, object_id)


def sealed_length(kind: Kind, plain_bytes: int) -> int:
    """The stored length of `plain_bytes` of plaintext sealed as `kind`."""
    blocks = max(1, -(-plain_bytes // BLOCK_BYTES[kind]))
    return header_bytes + plain_bytes + blocks * block_overhead_bytes


def plain_length(kind: Kind, stored_bytes: int, name: str) -> int:
    """The plaintext length of a stored object of `stored_bytes`; impossible lengths are FormatBroken."""
    body = stored_bytes - header_bytes
    full = BLOCK_BYTES[kind] + block_overhead_bytes
    blocks = -(-body // full) if body > 0 else 0
    plain = body - blocks * block_overhead_bytes
    if blocks < 1 or plain < 0 or sealed_length(kind, plain) != stored_bytes:
        raise FormatBroken(name, f"{stored_bytes} bytes is no length of a sealed {kind.name}")
    return plain


def _context(header: bytes, team: bytes, number: int, *, last: bool) -> bytes:
    return header + team + _POSITION.pack(number, last)


def _derive(key: bytes, salt: bytes, context: bytes) -> tuple[bytes, bytes]:
    okm = blake2b(salt + sha256(context).digest(), key=key, digest_size=64).digest()
    return okm[:32], okm[32:]


def _seal_block(key: bytes, context: bytes, plain: bytes) -> bytes:
    salt = token_bytes(salt_bytes)
    subkey, commitment = _derive(key, salt, context)
    boxed = crypto_aead_xchacha20poly1305_ietf_encrypt(plain, context, _NONCE, subkey)
    return salt + commitment + boxed


def open_block(
    seal_key: SealKey, header: SealHeader, number: int, stored: bytes, *, last: bool, name: str
) -> bytes:
    """Open one block read by range; the caller knows from the object's length whether it is the last."""
    if len(stored) < block_overhead_bytes:
        raise SealBroken(name, f"block {number} is cut")
    context = _context(header.pack(), seal_key.team, number, last=last)
    subkey, commitment = _derive(seal_key.key, stored[:salt_bytes], context)
    if not hmac.compare_digest(commitment, stored[salt_bytes : salt_bytes + commitment_bytes]):
        raise SealBroken(name, f"block {number} was not sealed under this key, place and length")
    boxed = stored[salt_bytes + commitment_bytes :]
    try:
        plain: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(boxed, context, _NONCE, subkey)
    except CryptoError:
        raise SealBroken(name, f"block {number} is altered") from None
    return plain


def seal(seal_key: SealKey, kind: Kind, plain: bytes, *, object_id: bytes | None = None) -> bytes:
    """Seal `plain` as one object. Two calls never give the same bytes."""
    header = SealHeader(kind, seal_key.space, seal_key.epoch, object_id or token_bytes(16)).pack()
    step = BLOCK_BYTES[kind]
    starts = range(0, len(plain), step) if plain else range(1)
    end = len(plain)
    parts = [header]
    for number, start in enumerate(starts):
        context = _context(header, seal_key.team, number, last=start + step >= end)
        parts.append(_seal_block(seal_key.key, context, plain[start : start + step]))
    return b"".join(parts)


class Sealing:
    """Seals what is written to it block by block, for what is too large to hold twice; the same bytes as `seal` gives."""

    def __init__(self, seal_key: SealKey, kind: Kind, out: Callable[[bytes], object]) -> None:
        self.object_id = token_bytes(16)
        self.stored_bytes = header_bytes
        self._key, self._step, self._out = seal_key, BLOCK_BYTES[kind], out
        self._header = SealHeader(kind, seal_key.space, seal_key.epoch, self.object_id).pack()
        self._number, self._waiting = 0, bytearray()
        out(self._header)

    def write(self, plain: bytes) -> int:
        """Take more in. A full block waits until it is known not to be the last."""
        self._waiting += plain
        while len(self._waiting) > self._step:
            self._seal(self._waiting[: self._step], last=False)
            del self._waiting[: self._step]
        return len(plain)

    def close(self) -> None:
        """Write what is left, as the last block."""
        self._seal(self._waiting, last=True)

    def _seal(self, plain: bytearray, *, last: bool) -> None:
        context = _context(self._header, self._key.team, self._number, last=last)
        block = _seal_block(self._key.key, context, bytes(plain))
        self._number += 1
        self.stored_bytes += len(block)
        self._out(block)


def check_header(seal_key: SealKey, kind: Kind, header: SealHeader, name: str) -> None:
    """Refuse an object that names another kind, space or epoch than the one expected here."""
    if header.kind != kind:
        raise SealBroken(name, f"is a sealed {header.kind.name}, expected {kind.name}")
    if (header.space, header.epoch) != (seal_key.space, seal_key.epoch):
        raise SealBroken(name, f"sealed for another space or epoch ({header.space.hex()}, {header.epoch})")


def open_sealed(seal_key: SealKey, kind: Kind, data: bytes, name: str) -> bytes:
    """Open a whole sealed object. Any flipped, cut, added or swapped byte raises SealBroken or FormatBroken."""
    header = read_header(data, name)
    check_header(seal_key, kind, header, name)
    plain_length(kind, len(data), name)
    full = BLOCK_BYTES[kind] + block_overhead_bytes
    starts = range(header_bytes, len(data), full)
    return b"".join(
        open_block(
            seal_key, header, number, data[start : start + full], last=start + full >= len(data), name=name
        )
        for number, start in enumerate(starts)
    )
