"""XChaCha20-Poly1305 in plain Python (draft-irtf-cfrg-xchacha-03, RFC 8439): a second opinion, and a way inside it."""

import struct

_MASK = 0xFFFFFFFF
_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
_ROUNDS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
POLY_PRIME = 2**130 - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


def _turn(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _MASK


def _permute(state: list[int]) -> list[int]:
    s = list(state)
    for a, b, c, d in _ROUNDS * 10:
        s[a] = (s[a] + s[b]) & _MASK
        s[d] = _turn(s[d] ^ s[a], 16)
        s[c] = (s[c] + s[d]) & _MASK
        s[b] = _turn(s[b] ^ s[c], 12)
        s[a] = (s[a] + s[b]) & _MASK
        s[d] = _turn(s[d] ^ s[a], 8)
        s[c] = (s[c] + s[d]) & _MASK
        s[b] = _turn(s[b] ^ s[c], 7)
    return s


def _chacha_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    state = [*_CONSTANTS, *struct.unpack("<8I", key), counter, *struct.unpack("<3I", nonce)]
    return struct.pack("<16I", *((a + b) & _MASK for a, b in zip(state, _permute(state), strict=True)))


def _hchacha(key: bytes, nonce: bytes) -> bytes:
    mixed = _permute([*_CONSTANTS, *struct.unpack("<8I", key), *struct.unpack("<4I", nonce)])
    return struct.pack("<8I", *mixed[:4], *mixed[12:])


def keystream(key: bytes, nonce: bytes, counter: int, length: int) -> bytes:
    """`length` bytes of XChaCha20 from 64-byte block `counter` on."""
    inner, short = _hchacha(key, nonce[:16]), bytes(4) + nonce[16:]
    blocks = range(counter, counter + -(-length // 64))
    return b"".join(_chacha_block(inner, number, short) for number in blocks)[:length]


def poly_key(key: bytes, nonce: bytes) -> tuple[int, int]:
    """The one-time (r, s) that Poly1305 uses under this key and nonce."""
    once = keystream(key, nonce, 0, 32)
    return int.from_bytes(once[:16], "little") & _CLAMP, int.from_bytes(once[16:], "little")


def mac_coefficients(associated: bytes, ciphertext: bytes) -> list[int]:
    """The numbers Poly1305 folds: one for each 16 bytes of padded data, then the lengths."""
    padded = b"".join(part + bytes(-len(part) % 16) for part in (associated, ciphertext))
    padded += struct.pack("<QQ", len(associated), len(ciphertext))
    return [int.from_bytes(padded[at : at + 16], "little") + (1 << 128) for at in range(0, len(padded), 16)]


def fold(coefficients: list[int], r: int) -> int:
    """The Poly1305 polynomial at r, modulo 2^130 - 5."""
    total = 0
    for coefficient in coefficients:
        total = (total + coefficient) * r % POLY_PRIME
    return total


def encrypt(key: bytes, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
    """Ciphertext and tag."""
    stream = keystream(key, nonce, 1, len(plain))
    ciphertext = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    return ciphertext + tag(key, nonce, ciphertext, associated)


def tag(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """The 16-byte Poly1305 tag."""
    r, s = poly_key(key, nonce)
    return ((fold(mac_coefficients(associated, ciphertext), r) + s) % (1 << 128)).to_bytes(16, "little")
