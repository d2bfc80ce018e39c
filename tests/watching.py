"""`tapes watch` in a process of its own, seen from outside; and logs that grow while it watches."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.command_line import HOUSE, SAMPLE, Person

patience_seconds = 60


def until(true: Callable[[], Any], *, what: str, seconds_max: float = patience_seconds) -> Any:
    """Look again until it is true; what it then was."""
    deadline = time.monotonic() + seconds_max
    while not (found := true()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.1)
    return found


@dataclass
class Watching:
    """One running watch."""

    person: Person
    running: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def service(self, name: str) -> dict[str, Any]:
        """A service's state; empty before there is one."""
        try:
            state = json.loads((self.person.home / "watching.json").read_text())
        except FileNotFoundError:
            return {}
        return dict(state["services"].get(name, {})) if state["pid"] == self.running.pid else {}

    def rounds(self, name: str) -> int:
        """How many rounds a service has ended."""
        service = self.service(name)
        return int(service["rounds"]) if service and service["doing"] != "working" else 0

    def until_rounds(self, name: str, number: int) -> None:
        until(lambda: self.rounds(name) >= number, what=f"round {number} of {name}; it said: {self.said}")

    def until_more_rounds(self, name: str, more: int) -> None:
        """So many beyond those ended at an idle moment: one under way may have begun before what the test just did."""
        ended = until(lambda: self.rounds(name), what=f"a round of {name}; it said: {self.said}")
        self.until_rounds(name, ended + more)

    def kill(self) -> None:
        """As the kernel does it."""
        self.running.send_signal(signal.SIGKILL)
        assert -signal.SIGKILL == self.running.wait(patience_seconds)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.running.send_signal(number)
        return self.running.wait(patience_seconds)


@contextmanager
def watching(person: Person, *words: str) -> Iterator[Watching]:
    """A watch that is running for the block, and killed after it if it still is."""
    log = person.home.with_suffix(f".watch-{time.monotonic_ns()}")
    with log.open("wb") as file:
        running = subprocess.Popen(
            [sys.executable, "-m", "tapes", "watch", *words],
            env=environ(person),
            cwd=HOUSE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        yield Watching(person, running, log)
    finally:
        if running.poll() is None:
            running.kill()
        running.wait(patience_seconds)


def environ(person: Person) -> dict[str, str]:
    """The person's environment, for a process."""
    return {**person._environ(), "PYTHONFAULTHANDLER": "1"}


def member(folder: Path, name: str, **environment: str) -> Person:
    """Somebody with an identity and an agent of their own; watches look every second."""
    claude = folder / f"{name}-claude"
    claude.mkdir()
    who = Person(folder / name, {"CLAUDE_CONFIG_DIR": str(claude), **environment}).init(name)
    who.ok("config", "set", "storage.sync_interval", "1s")
    return who


@dataclass
class GrowingLog:
    """One session of the sample, written line by line as its agent does."""

    path: Path
    lines: list[bytes]

    @classmethod
    def of(cls, person: Person) -> "GrowingLog":
        source = max((SAMPLE / "projects").glob("*/*.jsonl"), key=lambda path: path.read_bytes().count(b"\n"))
        path = (
            Path((person.environment or {})["CLAUDE_CONFIG_DIR"])
            / "projects"
            / source.parent.name
            / source.name
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(path, source.read_bytes().splitlines(keepends=True))

    def grow(self, lines: int | None = None) -> None:
        """Write the next lines; None: the rest."""
        with self.path.open("ab") as file:
            file.writelines(self.lines[:lines])
        self.lines = self.lines[len(self.lines) if lines is None else lines :]
