"""Where a device's secrets rest: the OS keyring where there is one, else a file only its owner can read."""

import base64
import contextlib
import os
from pathlib import Path
from typing import Literal, Protocol

from crypto.errors import KeyNeeded, TapesError
from crypto.passphrase import is_protected, protect, unprotect

VaultMode = Literal["auto", "os", "file"]
_SERVICE = "tapes"


class Vault(Protocol):
    """Named secrets of one home."""

    def save(self, name: str, secret: bytes) -> None:
        """Keep `secret` durably under `name`, replacing an earlier one."""
        ...

    def load(self, name: str) -> bytes | None:
        """The secret, or None when none is kept."""
        ...

    def delete(self, name: str) -> None:
        """Forget it; nothing happens when there is none."""
        ...


class FileVault:
    """Files of mode 0600 in a directory of mode 0700, optionally under a passphrase."""

    def __init__(self, directory: Path, passphrase: str | None = None) -> None:
        self._directory = directory
        self._passphrase = passphrase

    def save(self, name: str, secret: bytes) -> None:
        """Write beside, fsync, rename: a kill leaves the old secret or the new one, never half of one."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = protect(secret, self._passphrase) if self._passphrase else secret
        path = self._directory / name
        beside = path.with_name(f".{name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_directory(self._directory)

    def load(self, name: str) -> bytes | None:
        """Read it; refuses a file that others can read, since it may already be known to them."""
        path = self._directory / name
        try:
            mode = path.stat().st_mode
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if os.name == "posix" and mode & 0o077:
            raise TapesError(
                f"{path} can be read by others", hint=f"chmod 600 {path}, and consider a new device key"
            )
        if not is_protected(data):
            return data
        if self._passphrase is None:
            raise KeyNeeded(
                f"{path} is protected by a passphrase",
                hint="put it into a file and set TAPES_PASSPHRASE_FILE to its path",
            )
        return unprotect(data, self._passphrase, str(path))

    def delete(self, name: str) -> None:
        """Unlink the file."""
        (self._directory / name).unlink(missing_ok=True)


class OsVault:
    """The OS keyring (Keychain, Credential Manager, Secret Service); entries are keyed by the home directory."""

    def __init__(self, home: Path) -> None:
        self._account = str(home.resolve())

    def save(self, name: str, secret: bytes) -> None:
        """Hand it to the keyring as base64: some backends keep text only."""
        import keyring  # noqa: PLC0415  # 0.25 s to import, and only this class needs it

        keyring.set_password(_SERVICE, f"{self._account}#{name}", base64.b64encode(secret).decode())

    def load(self, name: str) -> bytes | None:
        """Ask the keyring."""
        import keyring  # noqa: PLC0415  # as above

        kept = keyring.get_password(_SERVICE, f"{self._account}#{name}")
        return base64.b64decode(kept) if kept is not None else None

    def delete(self, name: str) -> None:
        """Remove the entry."""
        import keyring  # noqa: PLC0415  # as above
        from keyring.errors import PasswordDeleteError  # noqa: PLC0415  # as above

        with contextlib.suppress(PasswordDeleteError):  # there was none
            keyring.delete_password(_SERVICE, f"{self._account}#{name}")


def os_keyring_works() -> bool:
    """Whether the OS has a usable keyring: headless Linux usually has none."""
    import keyring  # noqa: PLC0415  # 0.25 s to import, only asked when a home is made
    from keyring.backends.fail import Keyring as NoKeyring  # noqa: PLC0415  # as above

    return not isinstance(keyring.get_keyring(), NoKeyring)


def open_vault(home: Path, mode: Literal["os", "file"], passphrase: str | None = None) -> Vault:
    """The vault of a home. Which kind is decided once, when the home is made, and written to its configuration."""
    return OsVault(home) if mode == "os" else FileVault(home / "keys", passphrase)


def sync_directory(directory: Path) -> None:
    """Make a new or renamed entry of a folder durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
