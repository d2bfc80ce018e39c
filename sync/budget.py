"""How much of a bucket one `verify` looks at, and in which order, so that many short runs see all of it in turn."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sync.replica import Replica

note_next_slot = "verify-next-slot"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one run; None: no such limit. `max_age_ms`: what was found good less long ago is passed over."""

    max_age_ms: int | None = None
    max_bytes: int | None = None
    max_seconds: float | None = None


EVERYTHING = Bounds()


class Budget:
    """What is left of a run's bounds. Half of the time is for the log, so that a slow bucket does not starve the objects."""

    def __init__(self, bounds: Bounds, now_ms: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds = bounds
        self.now_ms = now_ms
        self._clock = clock
        self._start = clock()
        self._bytes = 0

    def spend(self, size_bytes: int) -> None:
        """Count bytes of objects."""
        self._bytes += size_bytes

    def allows(self, share: float = 1.0) -> bool:
        """Whether there is time, up to this share of it, and are bytes for one more."""
        bounds = self.bounds
        in_time = bounds.max_seconds is None or self._clock() - self._start < share * bounds.max_seconds
        return in_time and (bounds.max_bytes is None or self._bytes < bounds.max_bytes)

    def due(self, checked_at_ms: int) -> bool:
        """Whether something that was last found good then is to be looked at; a time that is yet to come proves nothing."""
        age_ms = self.now_ms - checked_at_ms
        return self.bounds.max_age_ms is None or not 0 <= age_ms < self.bounds.max_age_ms


def slots_in_turn(replica: Replica, budget: Budget) -> Iterator[int]:
    """The slots to compare with the bucket: all of them, beginning where the last bounded run ended, while the budget lasts."""
    newest = replica.newest_seq()
    if newest is None:
        return
    begin = int(replica.note(note_next_slot) or 0) % (newest + 1)
    for step in range(newest + 1):
        seq = (begin + step) % (newest + 1)
        if not budget.allows(0.5):
            replica.set_note(note_next_slot, str(seq))
            return
        yield seq
