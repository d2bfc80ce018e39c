"""The finder's other thread: it alone touches store, index and bucket, and answers the newest line asked.

What was typed in between is not looked up: of several lines that wait, only the last one means anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Self

from crypto.errors import UsageError
from query.finding import Listing

Look = Callable[[str], Listing]
Serve = Callable[[Look], None]
Tell = Callable[[str, int, int], None]
Heed = Callable[[], None]


class Left(Exception):
    """The screen is gone: whatever is under way may stop."""


class Superseded(Exception):
    """Another line was typed meanwhile: the answer to this one would be shown to nobody."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a line: a listing, or what is wrong with it."""

    line: str
    listing: Listing | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """How far the preparations are."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Broken:
    """The end: nothing more can be looked up."""

    error: BaseException


Message = Reply | Told | Broken


class Worker:
    """Use it in a `with`. `work(serve, tell, heed)` opens what is needed, calls `serve(look)`; Left passes through it at the end.

    A look that takes long calls `heed`, which raises when its answer is no longer wanted.
    """

    def __init__(self, work: Callable[[Serve, Tell, Heed], None], deliver: Callable[[Message], None]) -> None:
        self._work = work
        self._deliver = deliver
        self._changed = Condition()
        self._line: str | None = None
        self._left = False
        self._looking = False
        self._thread = Thread(target=self._run, name="finder")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._left = True
            self._changed.notify()
        self._thread.join()

    def ask(self, line: str) -> None:
        """Look this line up next; a line that still waits is forgotten."""
        with self._changed:
            self._line = line
            self._changed.notify()

    def _run(self) -> None:
        try:
            self._work(self._serve, self._tell, self._heed)
        except Left:
            return
        except BaseException as error:  # noqa: BLE001 - a thread has nobody above it: the screen ends with it
            self._deliver(Broken(error))

    def _serve(self, look: Look) -> None:
        while True:
            line = self._next()
            self._looking = True
            try:
                reply = Reply(line, look(line))
            except Superseded:
                continue
            except UsageError as half:  # half a line rarely means something
                reply = Reply(line, problem=f"{half.message} · {half.hint}" if half.hint else half.message)
            self._deliver(reply)

    def _heed(self) -> None:
        with self._changed:
            if self._left:
                raise Left
            if self._looking and self._line is not None:
                raise Superseded

    def _next(self) -> str:
        with self._changed:
            self._changed.wait_for(lambda: self._left or self._line is not None)
            line, self._line, self._looking = self._line, None, False
            if self._left or line is None:
                raise Left
            return line

    def _tell(self, what: str, done: int, total: int) -> None:
        if self._left:  # indexing goes in small steps, each whole: the next run takes it up
            raise Left
        self._deliver(Told(what, done, total))
