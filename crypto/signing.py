"""Ed25519 signatures (RFC 8032), always over a label: a signature made for one purpose says nothing for another."""

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from crypto.labels import labelled

signature_bytes = 64


def public_of_seed(seed: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a 32-byte seed."""
    return bytes(SigningKey(seed).verify_key)


def sign(seed: bytes, label: bytes, payload: bytes) -> bytes:
    """64 bytes over `label ‖ 0x00 ‖ payload`."""
    return SigningKey(seed).sign(labelled(label, payload)).signature


def verifies(public: bytes, label: bytes, payload: bytes, signature: bytes) -> bool:
    """Whether `signature` is `public`'s over exactly this label and payload. Wrong lengths are just "no"."""
    try:
        VerifyKey(public).verify(labelled(label, payload), signature)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True
