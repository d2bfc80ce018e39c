"""Frames made side by side: here and in other processes, given back in the order they were asked for.

Sealing and re-hashing are most of a push's work, and half of that holds the interpreter's lock: threads would only wait. An
accelerator and nothing more: a process that ends, or does not answer, costs what it was asked, which is then done here. So is all
of a small push, and everything on a machine with one core; the frames are the same but for their random salts.
"""

import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from crypto.sealing import SealKey
from store import frame_child
from store.frames import raw_length
from store.limits import MIB, frame_raw_bytes_max
from store.outgoing import FrameJob, OutgoingFrame, make_frame

# More would wait: the asking process reads rows no faster than three make frames of them.
processes_max: Final = 3
alone_bytes_max: Final = 16 * MIB  # before other processes are worth their start of 50 ms each
asked_at_once: Final = 2  # of one process: one it works on, one on its way to it
frames_in_line_max: Final = (
    24  # asked for and not yet given back: bounds memory, whatever one process is slow with
)
answer_seconds_max: Final = (
    60.0  # for a frame of milliseconds: a process that is stopped must not stop the push
)
_pipe_bytes: Final = (
    1 * MIB
)  # what Linux allows anybody; holds a few frames, so that nobody waits for this process to write on
_F_SETPIPE_SZ: Final = 1031


def processes_worthwhile() -> int:
    """How many processes beside this one: for cores that would idle. A busy machine only pays for them, as does one core."""
    if sys.platform == "win32":  # pipes always block there
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        idle = int(cores - os.getloadavg()[0])
    except OSError:  # this system does not say
        return 0
    return max(0, min(processes_max, cores - 1, idle))


class _Slot:
    """A frame's place in the line."""

    def __init__(self, seal_key: SealKey, job: FrameJob) -> None:
        self.seal_key = seal_key
        self.job = job
        self.frame: OutgoingFrame | None = None

    def make(self) -> None:
        self.frame = make_frame(self.seal_key, self.job)


class _Child:
    """One process, what it was asked, and the bytes on their way to and from it."""

    def __init__(self) -> None:
        its_input, self.to_it = os.pipe()
        self.from_it, its_output = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                [sys.executable, "-I", "-m", frame_child.__name__],
                stdin=its_input,
                stdout=its_output,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )
        except OSError:
            self._close()
            raise
        finally:
            os.close(its_input)
            os.close(its_output)
        self.asked: deque[_Slot] = deque()
        self.ready = False
        self.leaving: deque[memoryview] = deque()
        self.came = bytearray()
        for pipe in (self.to_it, self.from_it):
            os.set_blocking(pipe, False)
            _widen(pipe)

    def ask(self, slot: _Slot) -> None:
        """Hand over without waiting. Never before it is ready: until then a debugger could see what it is told."""
        self.asked.append(slot)
        self.leaving.append(memoryview(frame_child.job_bytes(slot.seal_key, slot.job)))

    def write(self) -> None:
        """As much as the pipe takes."""
        while self.leaving:
            try:
                written = os.write(self.to_it, self.leaving[0])
            except BlockingIOError:
                return
            if written == len(self.leaving[0]):
                self.leaving.popleft()
            else:
                self.leaving[0] = self.leaving[0][written:]

    def read(self) -> bool:
        """What came, answers and all; False when the process ended."""
        try:
            came = os.read(self.from_it, _pipe_bytes)
        except BlockingIOError:
            return True
        self.came += came
        if came and not self.ready:
            del self.came[: len(frame_child.READY)]
            self.ready = True
        while self._take_answer():
            pass
        return bool(came)

    def _take_answer(self) -> bool:
        head = frame_child.ANSWER.size
        if len(self.came) < head:
            return False
        sealed_bytes, nodes = frame_child.ANSWER.unpack_from(self.came)
        length = frame_child.answer_length(sealed_bytes, nodes) if sealed_bytes else 0
        if len(self.came) < head + length:
            return False
        slot = self.asked.popleft()
        if sealed_bytes:
            slot.frame = frame_child.frame_of(bytes(self.came[head : head + length]), sealed_bytes)
        else:
            slot.make()  # raises what is wrong with it
        del self.came[: head + length]
        return True

    def end(self) -> None:
        """At once."""
        self.process.kill()
        self._close()
        self.process.wait()

    def _close(self) -> None:
        os.close(self.to_it)
        os.close(self.from_it)


class FramesAhead:
    """Give it jobs and take frames; use it in a `with`. One user at a time."""

    def __init__(self, processes: int | None = None, alone_bytes: int = alone_bytes_max) -> None:
        """`processes`: as many as are worthwhile when they are needed, or so many."""
        self._to_start = processes
        self._alone_bytes = alone_bytes
        self._children: list[_Child] = []
        self._line: deque[_Slot] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def expect(self, raw_bytes: int) -> None:
        """So much is about to be asked for: if others are to help, they start now, and are ready when it is."""
        if raw_bytes > self._alone_bytes:
            self._start()

    def take(self, seal_key: SealKey, job: FrameJob) -> None:
        """Have a frame made; by this process where no other is free for it. Raises what `make_frame` raises."""
        slot = _Slot(seal_key, job)
        self._line.append(slot)
        size = raw_length(job.stored)
        self._alone_bytes -= size
        if self._alone_bytes < 0:
            self._start()
        self._move(0)
        free = [child for child in self._children if child.ready and len(child.asked) < asked_at_once]
        if free and size <= frame_raw_bytes_max:  # reading a huge node takes a multiple of it: once is enough
            child = min(free, key=lambda each: len(each.asked))
            child.ask(slot)
            self._write(child)
        else:
            slot.make()

    def made(self, *, to_the_end: bool = False) -> Iterator[OutgoingFrame]:
        """The frames that are next and done; waits for all, or where too many are in line."""
        while self._line:
            slot = self._line[0]
            while slot.frame is None and (to_the_end or len(self._line) > frames_in_line_max):
                self._move(answer_seconds_max)
            if slot.frame is None:
                return
            self._line.popleft()
            yield slot.frame

    def drop(self) -> None:
        """Forget what was asked for; whoever asks next begins with new processes."""
        self._line.clear()
        while self._children:
            self._children.pop().end()
            self._to_start = (self._to_start or 0) + 1

    def _start(self) -> None:
        if self._to_start is None:
            self._to_start = processes_worthwhile()
        while self._to_start > 0:
            self._to_start -= 1
            with suppress(OSError):  # no more processes allowed: then without
                self._children.append(_Child())

    def _move(self, seconds_max: float) -> None:
        """Move bytes; waits so long for the first. Processes that kept silent all the time are done without."""
        if not self._children:
            return
        with selectors.DefaultSelector() as ready:
            for child in self._children:
                ready.register(child.from_it, selectors.EVENT_READ, child)
                if child.leaving:
                    ready.register(child.to_it, selectors.EVENT_WRITE, child)
            moving = ready.select(seconds_max)
        if not moving and seconds_max:
            for child in list(self._children):
                self._lose(child)
        for key, event in moving:
            child = key.data
            if child not in self._children:
                continue
            if event & selectors.EVENT_WRITE:
                self._write(child)
            elif not child.read():
                self._lose(child)

    def _write(self, child: _Child) -> None:
        try:
            child.write()
        except BrokenPipeError:
            self._lose(child)

    def _lose(self, child: _Child) -> None:
        """Go on without a process; what it was asked is done here."""
        if child in self._children:
            self._children.remove(child)
            child.end()
            for slot in child.asked:
                slot.make()


def _widen(descriptor: int) -> None:
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 - not there on Windows

        with suppress(OSError):
            fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _pipe_bytes)
