"""A link code's uses: where a new device leaves its request, how the request is sealed, what two screens compare.

The code is 128 random bits that travel from screen to screen, never through the bucket. All three uses are derived from it, so
that the bucket's operator can neither read a request nor put another in its place: it would need the code.
"""

from hashlib import blake2b, sha256
from secrets import token_bytes
from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from crypto import labels
from crypto.errors import SealBroken
from crypto.identities import PublicKeys, derive_seed, device_id
from crypto.labels import labelled

link_secret_bytes: Final = 16
link_id_bytes: Final = 16
_fingerprint_bytes: Final = (
    10  # 80 bits: out of reach for keys that are searched until their fingerprint fits
)
_group_digits: Final = 4


def new_link_secret() -> bytes:
    """16 random bytes."""
    return token_bytes(link_secret_bytes)


def link_id(secret: bytes) -> bytes:
    """16 bytes that name the request; they tell nothing of the code."""
    return blake2b(labels.LINK_ID, key=secret, digest_size=32).digest()[:link_id_bytes]


def seal_request(secret: bytes, team: bytes, request: bytes) -> bytes:
    """`request` (a few hundred bytes) for whoever has the code: encrypted, and authentic as being from its other holder."""
    return bytes(_aead(secret).encrypt(request, _context(secret, team)))


def open_request(secret: bytes, team: bytes, sealed: bytes, name: str) -> bytes:
    """The request. SealBroken when its author does not have the code, or made it for another team or code."""
    try:
        return _aead(secret).decrypt(sealed, _context(secret, team))
    except (CryptoError, ValueError):
        raise SealBroken(
            name,
            "was not made with this link code: somebody who lacks it put it there",
            hint="end this, and begin again with a new code",
        ) from None


def fingerprint(device: PublicKeys) -> str:
    """Five groups of four hex digits for two people, or one with two screens, to compare."""
    digest = sha256(labelled(labels.DEVICE_FINGERPRINT, device_id(device))).digest()
    digits = digest[:_fingerprint_bytes].hex()
    return " ".join(digits[at : at + _group_digits] for at in range(0, len(digits), _group_digits))


def _aead(secret: bytes) -> Aead:
    return Aead(derive_seed(secret, labels.LINK_SEAL_SEED))


def _context(secret: bytes, team: bytes) -> bytes:
    return labelled(labels.LINK_REQUEST, team + link_id(secret))
