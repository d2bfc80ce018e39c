"""Many Ed25519 signatures checked in a process of its own, while the caller goes on with what else a log asks for.

Threads would not do: each check holds no interpreter lock for 60 µs, and then waits up to 5 ms to get it back. An accelerator and
nothing more: without an answer the caller checks for itself.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Final, Self

from crypto import signature_child
from crypto.labels import labelled

batch_signatures: Final = (
    64  # what is written to the pipe at once; small, so that the first answers come early
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature somebody states: 32 bytes of public key, a label and the payload, 64 bytes of signature."""

    public: bytes
    label: bytes
    payload: bytes
    signature: bytes


def worthwhile() -> bool:
    """Whether this process may use a second core."""
    return len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) > 1


class SignaturesAhead:
    """Claims go in, answers come back in the same order. One user at a time; ends its process when it is left."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
            [sys.executable, "-I", signature_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        self._claimed = 0
        self._answers = bytearray()
        self._writer = Thread(target=self._write, daemon=True)
        self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # first: it may be what the writer waits for
        self._waiting.put(None)
        self._writer.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()

    def claim(self, claims: Sequence[Claim]) -> int:
        """Hand claims over without waiting; the number of the first, the others follow."""
        first, self._claimed = self._claimed, self._claimed + len(claims)
        for start in range(0, len(claims), batch_signatures):
            self._waiting.put(b"".join(_spelled(claims[start : start + batch_signatures])))
        return first

    def answer(self, number: int) -> bool | None:
        """Whether claim `number` holds; waits for it. None when the process ended without a word on it."""
        stdout = self._process.stdout
        while stdout is not None and number >= len(self._answers):
            came = os.read(stdout.fileno(), 65_536)
            if not came:
                return None
            self._answers += came
        return self._answers[number] == 1

    def _write(self) -> None:
        stdin = self._process.stdin
        while stdin is not None and (batch := self._waiting.get()) is not None:
            with suppress(BrokenPipeError):  # it ended: its answers end too, and the caller sees that
                stdin.write(batch)
                stdin.flush()


def _spelled(claims: Iterable[Claim]) -> Iterable[bytes]:
    for claim in claims:
        signed = labelled(claim.label, claim.payload)
        yield signature_child.HEADER.pack(claim.public, claim.signature, len(signed))
        yield signed
