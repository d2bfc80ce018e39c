"""The resident process: takes questions on a Unix socket, answers them one after the other in its first thread.

    connection threads   read a question, wait for its answer with a sign of life a second, see the asker hang up
    the first thread     owns the source; brings it up to date before each answer, and now and then while nobody asks

It ends when its parent does: the parent holds the other end of its standard input.
"""

import os
import queue
import select
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from crypto.secret_process import keep_secrets_in
from tapes.answering.protocol import (
    Question,
    Reply,
    is_same_user,
    path_bytes_max,
    question_bytes_max,
    sign_of_life_seconds,
    spoken_version,
)
from tapes.answering.standing import Refused, Standing
from tapes.home import current_home

askers_max: Final = 16  # at once; more do the work themselves
idle_seconds_max: Final = 1800.0  # nobody asked for so long: the memory goes back
look_seconds: Final = 2.0  # between two looks whether the home has changed
ahead_share: Final = 10  # bringing it up to date unasked takes at most one part in so many of the time
_hang_up_seconds: Final = 0.1  # between two looks whether the asker is still there
_question_seconds_max: Final = 2.0


@dataclass(slots=True)
class _Job:
    """A question on its way to the first thread and back."""

    question: Question
    reply: Reply | None = None
    done: threading.Event = field(default_factory=threading.Event)
    given_up: bool = False


class Server:
    """Answers at `path` until told to end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._standing = Standing()
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._places = threading.BoundedSemaphore(askers_max)
        self._current: _Job | None = None
        self._guard = threading.Lock()
        self._asked_at = self._refreshed_at = 0.0
        self._refresh_seconds = 0.0

    def run(self) -> None:
        """Take questions until `end`."""
        with _listening(self._path) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            try:
                while self._work():
                    pass
            finally:
                self._path.unlink(missing_ok=True)
                self._standing.forget()

    def end(self) -> None:
        """Make `run` return after the question that is being answered."""
        self._jobs.put(None)

    # ── the first thread ────────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> bool:
        try:
            job = self._jobs.get(timeout=look_seconds)
        except queue.Empty:
            self._look_after()
            return True
        if job is None:
            return False
        self._asked_at = time.monotonic()
        with self._guard:
            self._current = job
        job.reply = Reply(version=spoken_version(), refused="given up") if job.given_up else self._reply(job)
        with self._guard:
            self._current = None
        job.done.set()
        return True

    def _reply(self, job: _Job) -> Reply:
        try:
            return self._standing.answer(job.question)
        except Refused as refusal:
            return Reply(version=spoken_version(), refused=str(refusal))
        except Exception as error:  # noqa: BLE001 - the asker's own attempt says what is wrong, in its own words
            if (
                not job.given_up
            ):  # an interrupted question has changed nothing; what broke otherwise is not built upon
                self._standing.forget()
            return Reply(version=spoken_version(), refused=type(error).__name__)

    def _look_after(self) -> None:
        """While nobody asks: give the memory back, or be up to date before the next question comes."""
        now = time.monotonic()
        if self._standing.known is None:
            return
        if now - self._asked_at > idle_seconds_max:
            self._standing.forget()
        elif now - self._refreshed_at > ahead_share * self._refresh_seconds:
            try:
                self._standing.refresh()
            except Exception:  # noqa: BLE001 - it was only ahead of time: a question meets the same problem, and is refused
                self._standing.forget()
            self._refreshed_at = time.monotonic()
            self._refresh_seconds = self._refreshed_at - now

    # ── connections ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                asker, _ = listener.accept()
            except OSError:
                return  # closed: the end
            if not is_same_user(asker) or not self._places.acquire(blocking=False):
                asker.close()
                continue
            threading.Thread(target=self._serve, args=(asker,), daemon=True).start()

    def _serve(self, asker: socket.socket) -> None:
        try:
            with asker, suppress(OSError):
                self._answer(asker)
        finally:
            self._places.release()

    def _answer(self, asker: socket.socket) -> None:
        asker.settimeout(_question_seconds_max)
        line = _line(asker)
        try:
            job = _Job(Question.model_validate_json(line))
        except ValidationError:
            asker.sendall(_spelled(Reply(version=spoken_version(), refused="a question of another version")))
            return
        self._jobs.put(job)
        alive_at = time.monotonic()
        while not job.done.wait(_hang_up_seconds):
            if _hung_up(asker):
                self._give_up(job)
                return
            if time.monotonic() - alive_at >= sign_of_life_seconds:
                asker.sendall(b"\n")
                alive_at = time.monotonic()
        if job.reply is not None:
            asker.settimeout(None)
            asker.sendall(_spelled(job.reply))

    def _give_up(self, job: _Job) -> None:
        """Nobody waits for it any more: skip it, or end what runs. What brings the source up to date is of use to the next."""
        with self._guard:
            job.given_up = True
            known = self._standing.known
            if self._current is job and known is not None:
                known.interrupt()


def serve_home() -> int:
    """Serve this home until standard input ends; the exit code."""
    keep_secrets_in()  # it holds what a command holds, and for longer
    path = current_home().answering
    if len(os.fsencode(path)) > path_bytes_max:
        sys.stderr.write(f"{path}: too long for a socket's name; commands do their work themselves\n")
        return 1
    server = Server(path)

    def until_the_parent_ends() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        server.end()
        time.sleep(sign_of_life_seconds)
        os._exit(0)  # a long answer must not outlive who wanted it; nothing here rests on disk

    threading.Thread(target=until_the_parent_ends, daemon=True).start()
    server.run()
    return 0


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of a process that was killed: only one watch hosts this home's
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(askers_max)
    return listener


def _line(asker: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = asker.recv(65_536)
        if not part or len(line) + len(part) > question_bytes_max:
            raise OSError("no question")
        line += part
    return line


def _hung_up(asker: socket.socket) -> bool:
    """Whether the asker has closed its end: who waits for an answer says nothing more."""
    readable, _, _ = select.select([asker], [], [], 0)
    return bool(readable) and not asker.recv(1, socket.MSG_PEEK)


def _spelled(reply: Reply) -> bytes:
    return reply.model_dump_json().encode() + b"\n"


if __name__ == "__main__":
    sys.exit(serve_home())
