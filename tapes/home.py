"""The home: one folder with everything this device knows, for its owner only. TAPES_HOME moves all of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import TapesError, UsageError
from tapes.config import config_path


@dataclass(frozen=True, slots=True)
class Home:
    """Where things are. Nothing here creates anything but `prepare`."""

    path: Path

    @property
    def config(self) -> Path:
        """Settings."""
        return config_path(self.path)

    @property
    def identity(self) -> Path:
        """The public half of who this device is; the secret half is in the vault."""
        return self.path / "identity.json"

    @property
    def replica(self) -> Path:
        """The log as this device verified it."""
        return self.path / "team.db"

    @property
    def cache(self) -> Path:
        """Ciphertext pulled from the bucket."""
        return self.path / "cache"

    @property
    def index(self) -> Path:
        """The word index."""
        return self.path / "index"

    @property
    def costs(self) -> Path:
        """What `tapes reprice` found."""
        return self.index / "costs.sealed"

    @property
    def filters(self) -> Path:
        """Saved filters."""
        return self.path / "filters.json"

    @property
    def purging(self) -> Path:
        """The mark of a purge that has begun and not ended."""
        return self.path / "purging"

    @property
    def evidence(self) -> Path:
        """What proves that a bucket showed two histories."""
        return self.path / "evidence"

    @property
    def crashes(self) -> Path:
        """Where unexpected errors are described."""
        return self.path / "crashes"

    def prepare(self) -> None:
        """Make the folder, or close one that others can look into (the Go tool makes it 0755)."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o700)
        except OSError as error:
            raise TapesError(
                f"{self.path} cannot be used: {error.strerror}", hint="set TAPES_HOME to a folder of yours"
            ) from None

    @property
    def answering(self) -> Path:
        """The socket of the process that answers from memory."""
        return self.path / "answering.sock"

    @property
    def lock(self) -> Path:
        """What the one process that writes holds."""
        return self.path / "writing.lock"

    @property
    def watch_lock(self) -> Path:
        """What the home's one watch holds."""
        return self.path / "watching.lock"

    @property
    def watch_log(self) -> Path:
        """Where launchd writes what a watch says; systemd has a journal of its own."""
        return self.path / "watch.log"

    @property
    def watch_environment(self) -> Path:
        """What a service file reads its environment from: the bucket's credentials, if somebody put them there."""
        return self.path / "watch.env"

    @property
    def watch_state(self) -> Path:
        """What the watch says it does."""
        return self.path / "watching.json"


def current_home(environ: Mapping[str, str] | None = None) -> Home:
    """The home of this run: TAPES_HOME, else ~/.tapes."""
    named = (os.environ if environ is None else environ).get("TAPES_HOME")
    try:
        return Home(Path(named).expanduser().absolute() if named else Path.home() / ".tapes")
    except RuntimeError:  # no HOME, and no such user
        raise UsageError("there is no home directory", hint="set TAPES_HOME to a folder") from None


def read_passphrase(environ: Mapping[str, str] | None = None) -> str | None:
    """The passphrase in the file that TAPES_PASSPHRASE_FILE names; None without one. Never by flag: argv is visible to all."""
    named = (os.environ if environ is None else environ).get("TAPES_PASSPHRASE_FILE")
    if not named:
        return None
    try:
        text = Path(named).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the passphrase file {named} cannot be read: {type(error).__name__}",
            hint="TAPES_PASSPHRASE_FILE must name a readable text file",
        ) from None
    if not text:
        raise UsageError(f"the passphrase file {named} is empty", hint="write the passphrase into it")
    return text
