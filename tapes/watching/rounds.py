"""A job done round after round in a thread of its own: at its interval, later after failures, at once when called."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from crypto.errors import TapesError
from tapes.crash import keep_crash
from tapes.watching.alarm import Alarm
from tapes.watching.pace import seconds_to_next
from tapes.watching.state import StateFile, error_fields, now
from tapes.watching.stopping import Stopped, Stopping

cut_short_seconds: Final = (
    1.0  # for a round under way while nothing answers: waiting longer would not help it
)
step_seconds: Final = 1.0  # between two writes of the state file during one round

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """How a round ended well."""

    interval_seconds: float  # until the next, as the settings say now
    said: str = ""  # worth a line in the log
    off: str = ""  # why there is nothing to do at all, as settings are
    at_close: bool = True  # whether a last round is wanted when the watch ends


Step = Callable[[str], None]  # told how far the work is; it may end the round by `Stopped`
Job = Callable[[Step], Done]  # one round; it reads the settings anew. TapesError: the round failed


class Rounds:
    """A `Resident` (tapes/watching/resident.py) around one job."""

    def __init__(
        self, name: str, job: Job, alarm: Alarm, state: StateFile, say: Say, interval_seconds: float
    ) -> None:
        """`interval_seconds` holds until the first round has read the settings."""
        self.name = name
        self._job = job
        self._alarm = alarm
        self._state = state
        self._say = say
        self._last = Done(interval_seconds)
        self._rounds = self._failures = 0
        self._told = ""  # the failure already in the log: the same one every minute would bury the rest
        self._stepped_at = 0.0
        self._stopping = Stopping()
        self._chance = random.Random()  # noqa: S311 - jitter
        # A daemon: one that hangs in a system call must not keep the process; being cut off is allowed.
        self._thread = threading.Thread(target=self._run, name=f"watch-{name}", daemon=True)

    def start(self) -> None:
        """Begin with a round at once."""
        self._thread.start()

    def call(self) -> None:
        """A round now: there is news. While nothing answers, the wait goes on: news do not mend a network."""
        if self._failures == 0:
            self._alarm.call()

    def call_anyway(self) -> None:
        """A round now, because somebody asked."""
        self._alarm.call()

    def stop(self, seconds_max: float) -> bool:
        """End after the round under way and, if the last one went well, a closing one; for at most so long."""
        seconds = min(seconds_max, cut_short_seconds) if self._failures else seconds_max
        self._stopping.ask(seconds)
        self._alarm.call()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def once(self) -> TapesError | None:
        """One round in the caller's thread; the failure, if it failed."""
        return self._round()

    def _run(self) -> None:
        try:
            while not self._stopping.asked:
                self._round()
                self._wait()
            if self._last.at_close and not self._failures:
                self._round()
            self._state.change(self.name, doing="ended", step="", next_try_at=None)
        except Stopped:
            self._state.change(self.name, doing="ended", step="cut short", next_try_at=None)

    def _wait(self) -> None:
        if self._stopping.asked:
            return
        seconds = seconds_to_next(self._last.interval_seconds, self._failures, self._chance)
        doing = "off" if self._last.off else "waiting"
        self._state.change(self.name, doing=doing, step=self._last.off, next_try_at=now(seconds))
        if self._alarm.wait(seconds) == "slept":
            self._failures = 0  # another place, perhaps another network: begin with short waits again

    def _round(self) -> TapesError | None:
        self._state.change(self.name, doing="working", step="", next_try_at=None)
        self._rounds += 1
        self._alarm.look()
        try:
            self._last = self._job(self._step)
        except TapesError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - a bug in one round must not end weeks of watching
            return self._failed(self._told_crash(error))
        self._succeeded()
        return None

    def _step(self, step: str) -> None:
        """Called for every batch: a chance to stop, and now and then a line for who looks at the status."""
        self._stopping.check()
        if time.monotonic() - self._stepped_at >= step_seconds:
            self._stepped_at = time.monotonic()
            self._state.change(self.name, step=step)

    def _succeeded(self) -> None:
        off = self._last.off  # nothing was tried: no proof that anything works
        if self._failures:
            self._say(f"{self.name}: {off or 'works again'}")
        if self._last.said:
            self._say(f"{self.name}: {self._last.said}")
        self._failures, self._told = 0, ""
        succeeded = {} if off else {"last_success_at": now()}
        self._state.change(self.name, rounds=self._rounds, last_error=None, failures=0, step="", **succeeded)

    def _failed(self, error: TapesError) -> TapesError:
        self._failures += 1
        self._last = replace(self._last, off="")
        self._state.change(
            self.name, rounds=self._rounds, last_error=error_fields(error), failures=self._failures, step=""
        )
        if error.message != self._told:
            self._told = error.message
            self._say(f"{self.name}: error: {error.message}" + (f"; {error.hint}" if error.hint else ""))
        return error

    def _told_crash(self, error: Exception) -> TapesError:
        """The details of an unexpected error are kept once, not at every try of the weeks to come."""
        again = f"unexpected {type(error).__name__}"
        return TapesError(self._told) if self._told.startswith(again) else keep_crash(error)
