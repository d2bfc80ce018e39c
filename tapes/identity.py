"""Making and loading this device's identity: secrets to the vault first, the public file last.

vault `device-<id>`  →  identity.json, linked into place
A kill before the last step leaves no identity, only a key that nothing names. The link fails if another `init` was first, and
since each has its vault entry under its own device id, neither can break the other's.
"""

import json
import os
from pathlib import Path
from secrets import token_hex
from typing import Final, Literal

from pydantic import ValidationError

from crypto.errors import FormatBroken, KeyNeeded, UsageError
from crypto.identities import (
    PublicKeys,
    certify,
    device_id,
    member_id,
    member_keys,
    new_device_keys,
    unpack_secret_keys,
)
from crypto.vault import Vault, sync_directory
from store.events import Keys
from store.fields import Hex32, Hex64, Stored
from sync.identity import Identity, stored_keys

name_chars_max: Final = 100


class IdentityFile(Stored):
    """`identity.json`. Nothing in it is secret."""

    format: Literal[0]
    name: str
    member: Keys
    device: Keys
    certified_by: Hex32 | None
    certificate: Hex64


def check_name(name: str) -> str:
    """A member's name as the team sees it: one printable line."""
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > name_chars_max or not cleaned.isprintable():
        raise UsageError(
            f"a name is one printable line of 1 to {name_chars_max} characters", hint='--name "Ada Lovelace"'
        )
    return cleaned


def refuse_second(path: Path) -> None:
    """Never a second identity in one home: the first one's sessions would become unreadable."""
    if path.exists():
        raise UsageError(
            f"this home has an identity already ({path})",
            hint="set TAPES_HOME to another folder for another one",
        )


def create_identity(path: Path, vault: Vault, name: str, secret: bytes) -> Identity:
    """A new member (from the kit's 32-byte secret, which is not kept) with its first device. Durable when it returns."""
    member = member_keys(secret)
    device = new_device_keys()
    who = member_id(member.public)
    identity = Identity(name, member.public, device, None, certify(member, who, device.public))
    keep_identity(path, vault, identity)
    return identity


def keep_identity(path: Path, vault: Vault, identity: Identity) -> None:
    """Keep who this home is. Durable when it returns; UsageError when the home has an identity already."""
    vault.save(_vault_name(identity.device.public), identity.device.pack())
    _publish(path, identity)


def load_identity(path: Path, vault: Vault) -> Identity:
    """This device's identity. KeyNeeded before `init` or without its secret; FormatBroken when the two do not fit."""
    public = _read(path)
    device_public = _public(public.device)
    packed = vault.load(_vault_name(device_public))
    if packed is None:
        raise KeyNeeded(
            "the device key is missing from the vault",
            hint="restore the home's `keys` folder (or the OS keyring it was made with) from a backup",
        )
    device = unpack_secret_keys(packed) if len(packed) == len(device_public.pack()) else None
    if device is None or device.public != device_public:
        raise FormatBroken(str(path), "is not of the device key in the vault")
    by = bytes.fromhex(public.certified_by) if public.certified_by is not None else None
    return Identity(public.name, _public(public.member), device, by, bytes.fromhex(public.certificate))


def _vault_name(device: PublicKeys) -> str:
    return f"device-{device_id(device).hex()[:32]}"


def _public(keys: Keys) -> PublicKeys:
    return PublicKeys(bytes.fromhex(keys.ed25519), bytes.fromhex(keys.x25519))


def _read(path: Path) -> IdentityFile:
    try:
        return IdentityFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise KeyNeeded("this home has no identity yet", hint="tapes init") from None
    except ValidationError:
        raise FormatBroken(str(path), "is not an identity file of this version") from None


def _publish(path: Path, identity: Identity) -> None:
    file = IdentityFile(
        format=0,
        name=identity.name,
        member=stored_keys(identity.member),
        device=stored_keys(identity.device.public),
        certified_by=identity.certified_by.hex() if identity.certified_by is not None else None,
        certificate=identity.certificate.hex(),
    )
    beside = path.with_name(f".identity.{token_hex(8)}")
    write_private(beside, json.dumps(file.model_dump(), indent=2, ensure_ascii=False) + "\n")
    try:
        os.link(beside, path)  # unlike a rename, fails when somebody was first
    except FileExistsError:
        refuse_second(path)
    finally:
        beside.unlink()
    sync_directory(path.parent)


def write_private(path: Path, text: str) -> None:
    """A new file, mode 0600, durable. UsageError if it exists: what is kept there may be somebody's only copy."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{path} exists and is not overwritten", hint="name another file, or move it away"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name another place") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
