"""Who signs and who can be written to: members, devices, and the certificate that ties a device to its member (DESIGN §5)."""

from dataclasses import dataclass
from hashlib import blake2b, sha256
from secrets import token_bytes
from typing import Final

from nacl.public import PrivateKey

from crypto import labels, signing
from crypto.labels import labelled

key_bytes: Final = 32


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """A signing key and a box key that belong together; 32 bytes each."""

    ed25519: bytes
    x25519: bytes

    def id_under(self, label: bytes) -> bytes:
        """The 32-byte id: SHA-256 over the labelled public halves. One label per kind of holder."""
        return sha256(labelled(label, self.ed25519 + self.x25519)).digest()

    def pack(self) -> bytes:
        """Both keys, signing key first: 64 bytes."""
        return self.ed25519 + self.x25519


@dataclass(frozen=True, slots=True, repr=False)
class SecretKeys:
    """The two seeds behind PublicKeys. Has no repr: a secret never reaches a log or a traceback."""

    sign_seed: bytes
    box_seed: bytes

    @property
    def public(self) -> PublicKeys:
        """The halves that may be shown."""
        return PublicKeys(signing.public_of_seed(self.sign_seed), bytes(PrivateKey(self.box_seed).public_key))

    def sign(self, label: bytes, payload: bytes) -> bytes:
        """Sign under a label; see `crypto.signing`."""
        return signing.sign(self.sign_seed, label, payload)

    def pack(self) -> bytes:
        """Both seeds, for the vault: 64 bytes."""
        return self.sign_seed + self.box_seed


def derive_seed(secret: bytes, label: bytes) -> bytes:
    """A 32-byte seed for one purpose out of a 32-byte secret: keyed BLAKE2b-256 of the label."""
    return blake2b(label, key=secret, digest_size=32).digest()


def member_keys(secret: bytes) -> SecretKeys:
    """A member's signing and recovery keys, from the 32-byte secret that lives only in the recovery kit."""
    return SecretKeys(
        derive_seed(secret, labels.MEMBER_SIGN_SEED), derive_seed(secret, labels.MEMBER_BOX_SEED)
    )


def invite_keys(secret: bytes) -> SecretKeys:
    """An invite's signing and sealing keys, from the 32-byte secret in the link's fragment."""
    return SecretKeys(
        derive_seed(secret, labels.INVITE_SIGN_SEED), derive_seed(secret, labels.INVITE_BOX_SEED)
    )


def new_device_keys() -> SecretKeys:
    """Fresh random device keys; they never leave the device."""
    return SecretKeys(token_bytes(key_bytes), token_bytes(key_bytes))


def unpack_secret_keys(packed: bytes) -> SecretKeys:
    """Inverse of `SecretKeys.pack`."""
    if len(packed) != 2 * key_bytes:
        raise ValueError("secret keys are 64 bytes")
    return SecretKeys(packed[:key_bytes], packed[key_bytes:])


def member_id(public: PublicKeys) -> bytes:
    """A member's 32-byte id."""
    return public.id_under(labels.MEMBER_ID)


def device_id(public: PublicKeys) -> bytes:
    """A device's 32-byte id."""
    return public.id_under(labels.DEVICE_ID)


def invite_id(public: PublicKeys) -> bytes:
    """An invite's 32-byte id."""
    return public.id_under(labels.INVITE_ID)


def certify(signer: SecretKeys, member: bytes, device: PublicKeys) -> bytes:
    """A certificate: "this device acts for this member", signed by the member key or by another device of that member."""
    return signer.sign(labels.DEVICE_CERTIFICATE, member + device.pack())


def certificate_holds(signer_ed25519: bytes, member: bytes, device: PublicKeys, certificate: bytes) -> bool:
    """Whether `certificate` is the named signer's over exactly this member and device."""
    return signing.verifies(signer_ed25519, labels.DEVICE_CERTIFICATE, member + device.pack(), certificate)
