"""Epoch keys: random generations of a space's key, wrapped to each recipient, committed to in public, chained backwards.

    wrap       = 01 ‖ SealedBox(recipient X25519, key 32 ‖ SHA-256("tapes/v0/wrap" 00 team 32 space 16 epoch u32 recipient 32))
    commitment = BLAKE2b-256(key = epoch key, "tapes/v0/epoch-commitment" 00 team space epoch)
    chain      = sealed object (EPOCH_CHAIN) under epoch e, holding the key of epoch e-1

A sealed box does not say who made it: a wrap counts only inside a valid, signed event. The digest inside pins place and
recipient, so that a wrap cannot be moved; the public commitment shows a recipient at once that all were given the same key. The
first byte leaves room for X25519+ML-KEM wraps.
"""

import hmac
import struct
from hashlib import blake2b, sha256
from secrets import token_bytes

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from crypto import labels
from crypto.errors import SealBroken
from crypto.labels import labelled
from crypto.sealing import Kind, SealKey, open_sealed, seal

wrap_type_sealed_box = 1
wrap_bytes = 1 + 48 + 64


def new_epoch_key(team: bytes, space: bytes, epoch: int) -> SealKey:
    """A fresh random key for one epoch of one space."""
    return SealKey(team, space, epoch, token_bytes(32))


def _place(team: bytes, space: bytes, epoch: int) -> bytes:
    return team + space + struct.pack(">I", epoch)


def key_commitment(seal_key: SealKey) -> bytes:
    """32 public bytes that only this key gives in this place."""
    place = _place(seal_key.team, seal_key.space, seal_key.epoch)
    return blake2b(labelled(labels.EPOCH_COMMITMENT, place), key=seal_key.key, digest_size=32).digest()


def _binding(team: bytes, space: bytes, epoch: int, recipient: bytes) -> bytes:
    return sha256(labelled(labels.WRAP, _place(team, space, epoch) + recipient)).digest()


def wrap_key(seal_key: SealKey, recipient_x25519: bytes) -> bytes:
    """The epoch key for one recipient: 113 bytes."""
    binding = _binding(seal_key.team, seal_key.space, seal_key.epoch, recipient_x25519)
    boxed = SealedBox(PublicKey(recipient_x25519)).encrypt(seal_key.key + binding)
    return bytes([wrap_type_sealed_box]) + boxed


def unwrap_key(
    box_seed: bytes, team: bytes, space: bytes, epoch: int, wrap: bytes, commitment: bytes
) -> SealKey:
    """Open a wrap meant for us; SealBroken when it is junk, was moved, or holds another key than the committed one."""
    name = f"wrap of space {space.hex()} epoch {epoch}"
    if len(wrap) != wrap_bytes or wrap[0] != wrap_type_sealed_box:
        raise SealBroken(name, "unknown wrap type or length")
    private = PrivateKey(box_seed)
    try:
        plain = SealedBox(private).decrypt(wrap[1:])
    except CryptoError:
        raise SealBroken(name, "does not open with this key") from None
    if not hmac.compare_digest(plain[32:], _binding(team, space, epoch, bytes(private.public_key))):
        raise SealBroken(name, "was made for another place or recipient")
    seal_key = SealKey(team, space, epoch, plain[:32])
    if not hmac.compare_digest(key_commitment(seal_key), commitment):
        raise SealBroken(name, "holds another key than the one its epoch committed to")
    return seal_key


def seal_chain(newer: SealKey, older: SealKey) -> bytes:
    """The key of the epoch before, for whoever holds this one."""
    return seal(newer, Kind.EPOCH_CHAIN, older.key)


def open_chain(newer: SealKey, chain: bytes, older_commitment: bytes) -> SealKey:
    """Step one epoch back; SealBroken when the chained key is not the one its own epoch committed to."""
    name = f"chain of space {newer.space.hex()} epoch {newer.epoch}"
    key = open_sealed(newer, Kind.EPOCH_CHAIN, chain, name)
    older = SealKey(newer.team, newer.space, newer.epoch - 1, key)
    if len(key) != 32 or not hmac.compare_digest(key_commitment(older), older_commitment):
        raise SealBroken(name, "chains to another key than the earlier epoch committed to")
    return older
