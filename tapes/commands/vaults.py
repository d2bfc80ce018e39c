"""Where a new home's device keys rest: decided once, when it gets its identity, and written to its settings."""

from typing import Literal

from crypto.errors import UsageError
from crypto.vault import VaultMode, os_keyring_works
from tapes.commands.context import Run
from tapes.home import read_passphrase


def choose_vault(run: Run, wanted: VaultMode | None) -> Literal["os", "file"]:
    """Flag, environment, file; else the OS keyring, unless there is none or a passphrase is given: that protects files."""
    mode = run.config.get("keys.vault", None if wanted == "auto" else wanted)
    if wanted == "auto" or mode.origin == "default":
        return "os" if read_passphrase() is None and os_keyring_works() else "file"
    if mode.value == "os" and not os_keyring_works():
        raise UsageError("this system has no usable keyring", hint="--vault file")
    return "os" if mode.value == "os" else "file"
