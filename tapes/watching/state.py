"""What a watch is doing, told to other processes through a small file of the home.

Replaced whole at each change, so that a reader and a kill meet the old text or the new. It is a projection of a running
process: whether that one still lives is the lock's to say (tapes/watching/instance.py), and a lost file costs nothing.
"""

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from crypto.errors import TapesError
from store.nodes import Json
from tapes.watching.instance import watching_pid

Doing = Literal["starting", "working", "waiting", "off", "ended"]


@dataclass(slots=True)
class ServiceState:
    """One service: what it does, how its last round went, when the next is. Times are RFC 3339, UTC."""

    doing: Doing = "starting"
    step: str = ""  # of the work in hand, as "pushing 4096 of 20000"; or why it is off
    rounds: int = 0
    last_success_at: str | None = None
    last_error: dict[str, Json] | None = None  # {at, message, hint, exit_code}; None again after a success
    failures: int = 0  # in a row
    next_try_at: str | None = None


@dataclass(slots=True)
class WatchState:
    """The whole watch."""

    pid: int | None
    started_at: str | None
    ended_at: str | None = None
    services: dict[str, ServiceState] = field(default_factory=dict)


class StateFile:
    """The state's one writer. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._state = WatchState(os.getpid(), now())

    def change(self, service: str, **fields: Any) -> None:
        """Change fields of one service's state."""
        with self._lock:
            state = self._state.services.setdefault(service, ServiceState())
            for name, value in fields.items():
                setattr(state, name, value)
            self._write()

    def end(self) -> None:
        """The watch ended of its own accord."""
        with self._lock:
            self._state.ended_at = now()
            for service in self._state.services.values():
                service.doing, service.next_try_at = "ended", None
            self._write()

    def fields(self) -> dict[str, Any]:
        """The state as JSON."""
        with self._lock:
            return asdict(self._state)

    def _write(self) -> None:
        """Beside, then rename; no fsync, because after a power cut nobody watches and nothing in it counts.

        A full disk must not end the watch: then the file is older than the truth, and the log lines are not.
        """
        beside = self._path.with_name(f".{self._path.name}.new")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(asdict(self._state), file)
            beside.replace(self._path)
        except OSError:
            return


def read_state(path: Path, lock: Path) -> dict[str, Any] | None:
    """What `storage status` says of the watch: the last state and whether it still runs; None: nobody ever watched here."""
    pid = watching_pid(lock)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        state = WatchState(
            **{**stored, "services": {n: ServiceState(**s) for n, s in stored["services"].items()}}
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # Another version's file, or one that a power cut left empty: the next watch writes it anew.
        state = WatchState(pid, None)
    return {"running": pid is not None, **asdict(state), "pid": pid}


def error_fields(error: TapesError) -> dict[str, Json]:
    """An error as the state shows it; TapesErrors carry no secrets."""
    return {"at": now(), "message": error.message, "hint": error.hint, "exit_code": error.exit_code}


def now(later_seconds: float = 0) -> str:
    """The wall clock, so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=later_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
