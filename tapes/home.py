"""The home: one folder with everything this device knows, for its owner only. TAPES_HOME moves all of it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crypto.errors import TapesError, UsageError
from tapes.config import config_path

lock_poll_seconds: Final = 0.2
lock_wait_seconds_max: Final = 600.0


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

    @contextmanager
    def writing(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the home's write lock; `on_wait` is called once if another process has it.

        The journal holds one commit: two processes that sync at once would each forget the other's. The kernel drops the lock
        with the process, so a kill leaves none behind.
        """
        self.prepare()
        with (self.path / "writing.lock").open("w") as handle:
            _wait_for(handle.fileno(), on_wait)
            yield


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


def _wait_for(handle: int, on_wait: Callable[[], None]) -> None:
    deadline = time.monotonic() + lock_wait_seconds_max
    told = False
    while not _try_lock(handle):
        if time.monotonic() > deadline:
            raise TapesError(
                f"another tapes process has held this home for {lock_wait_seconds_max:.0f} s",
                hint="let it finish or end it, then try again",
            )
        if not told:
            on_wait()
            told = True
        time.sleep(lock_poll_seconds)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
