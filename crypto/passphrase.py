"""A secret at rest under a passphrase: Argon2id, then XChaCha20-Poly1305 with the parameters as associated data."""

import struct
from secrets import token_bytes

from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import Aead

from crypto.errors import FormatBroken, KeyNeeded

MAGIC = b"TPPW\x00"
_HEAD = struct.Struct(">5sII16s")  # magic, operations, memory KiB, salt
_box_overhead_bytes = 24 + 16  # nonce and tag; PyNaCl answers anything shorter with a bare ValueError
operations_default = 3
memory_kib_default = 256 * 1024
# Floors and ceilings: a tampered file must neither weaken the derivation nor make us allocate the machine away.
operations_range = range(1, 17)
memory_kib_range = range(8 * 1024, 1024 * 1024 + 1)


def protect(
    secret: bytes,
    passphrase: str,
    *,
    operations: int = operations_default,
    memory_kib: int = memory_kib_default,
) -> bytes:
    """`secret` sealed under `passphrase`; takes about a second with the defaults."""
    head = _HEAD.pack(MAGIC, operations, memory_kib, token_bytes(16))
    return head + Aead(_derive(head, passphrase)).encrypt(secret, head)


def is_protected(data: bytes) -> bool:
    """Whether these bytes need a passphrase."""
    return data.startswith(MAGIC)


def unprotect(data: bytes, passphrase: str, name: str) -> bytes:
    """The secret; KeyNeeded when the passphrase is not the one (or the file was altered: AEAD cannot tell which)."""
    if len(data) < _HEAD.size or not is_protected(data):
        raise FormatBroken(name, "is not a passphrase-protected secret")
    if len(data) < _HEAD.size + _box_overhead_bytes:
        raise FormatBroken(name, "is cut", hint="recover with the kit")
    head = data[: _HEAD.size]
    try:
        return Aead(_derive(head, passphrase)).decrypt(data[_HEAD.size :], head)
    except CryptoError:
        raise KeyNeeded(
            f"the passphrase does not open {name}", hint="try again, or recover with the kit"
        ) from None


def _derive(head: bytes, passphrase: str) -> bytes:
    _, operations, memory_kib, salt = _HEAD.unpack(head)
    if operations not in operations_range or memory_kib not in memory_kib_range:
        raise FormatBroken("passphrase parameters", f"out of range ({operations}, {memory_kib} KiB)")
    key: bytes = argon2id.kdf(32, passphrase.encode(), salt, opslimit=operations, memlimit=memory_kib * 1024)
    return key
