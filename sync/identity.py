"""Who this device writes as."""

from dataclasses import dataclass

from crypto.identities import PublicKeys, SecretKeys, device_id, member_id
from store.events import DeviceClaim, Keys


@dataclass(frozen=True, slots=True)
class Identity:
    """A member's public half, this device's keys and the certificate between them; `name` is shown to the team, sealed.

    `member` are the member's first keys, of which its id is the hash: another kit later changes neither.
    """

    name: str
    member: PublicKeys
    device: SecretKeys
    certified_by: bytes | None  # None: the member key; else a device id
    certificate: bytes

    @property
    def member_id(self) -> bytes:
        """32 bytes."""
        return member_id(self.member)

    @property
    def device_id(self) -> bytes:
        """32 bytes."""
        return device_id(self.device.public)

    def claim(self) -> DeviceClaim:
        """This device as an event names it."""
        return DeviceClaim(
            keys=stored_keys(self.device.public),
            by=self.certified_by.hex() if self.certified_by is not None else None,
            certificate=self.certificate.hex(),
        )


def stored_keys(public: PublicKeys) -> Keys:
    """Public keys as an event spells them."""
    return Keys(ed25519=public.ed25519.hex(), x25519=public.x25519.hex())
