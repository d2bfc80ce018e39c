"""When the next round is: at the interval, or, after failures, later and later up to a cap."""

import random
from typing import Final

jitter: Final = 0.1  # of the interval: the laptops of a team that were opened together do not knock in step
backoff_seconds_max: Final = 900.0  # weeks offline cost a look every quarter of an hour
_doublings_max: Final = 20  # 2**n of any more says nothing new and, after weeks, no longer fits a float


def seconds_to_next(interval_seconds: float, failures: int, chance: random.Random) -> float:
    """Seconds until the next round, after `failures` failed rounds in a row.

    Never sooner than 0.9 intervals, so that a failing store is not asked more often than one that answers; never later than
    the cap (or 1.1 intervals, if those are longer).
    """
    if failures == 0:
        return interval_seconds * chance.uniform(1 - jitter, 1 + jitter)
    longest = min(backoff_seconds_max, interval_seconds * 2.0 ** min(failures, _doublings_max))
    low, high = interval_seconds * (1 - jitter), max(longest, interval_seconds * (1 + jitter))
    return chance.uniform(max(low, high / 2), high)
