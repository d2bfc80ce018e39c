"""One `tapes` command in a process of its own and what it cost: seconds, CPU, peak memory, requests, bytes.

    python -m bench.measured COST.json storage sync

Two words are no commands: `idle` is the look a watch takes at the bucket between syncs; `first` waits, beside a running
sync, for the first session this home can read, and shows it. Bench only: bench/scale.py starts it.
"""

import json
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

from store.blobs import BlobStore
from store.metering import MeteredStore
from tapes import cli
from tapes.home import current_home

_mib = 1 << 20
_poll_seconds = 0.02
_first_seconds_max = 600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process; `peak_mib` is of the larger of it and the helpers it started, CPU of all of them."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    puts: int
    gets: int
    lists: int
    up_bytes: int
    down_bytes: int


class _Meters:
    """Every meter that this process makes."""

    def __init__(self) -> None:
        self.made: list[MeteredStore] = []
        plain = MeteredStore.__init__

        def counted(meter: MeteredStore, inner: BlobStore) -> None:
            plain(meter, inner)
            self.made.append(meter)

        MeteredStore.__init__ = counted  # type: ignore[method-assign]

    def total(self, what: str) -> int:
        """Over all of them."""
        return sum(getattr(meter.traffic(), what) for meter in self.made)


def _idle() -> int:
    from tapes.commands.context import begin, no_flags  # noqa: PLC0415 - a command's imports count as the command's
    from tapes.commands.desk import Desk  # noqa: PLC0415
    from tapes.commands.standing import syncing  # noqa: PLC0415

    with Desk(begin(no_flags)) as desk:
        desk.lock()
        return 0 if syncing(desk).is_idle() else 1


def _first() -> int:
    """From here on, as a reader who looks until there is something, lists the sessions and opens one."""
    end = time.monotonic() + _first_seconds_max
    while not _anything_pulled() and time.monotonic() < end:
        time.sleep(_poll_seconds)
    listed = StringIO()
    with redirect_stdout(listed):
        code = cli.run(["sessions", "--json"])
    if code == 0 and (sessions := json.loads(listed.getvalue())["sessions"]):
        with redirect_stdout(StringIO()):
            return cli.run(["show", sessions[0]["id"]])
    return 1


def _anything_pulled() -> bool:
    with sqlite3.connect(f"file:{current_home().replica}?mode=ro", uri=True) as replica:
        return replica.execute("SELECT 1 FROM manifests WHERE state = 'applied'").fetchone() is not None


def run(words: Sequence[str]) -> Cost:
    """Run it; its stdout is this process's."""
    meters, begun = _Meters(), time.perf_counter()
    special = {("idle",): _idle, ("first",): _first}.get(tuple(words))
    code = special() if special else cli.run(words)
    seconds = time.perf_counter() - begun
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Cost(
        code=code,
        seconds=seconds,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        peak_mib=max(usage.ru_maxrss for usage in usages) * 1024 / _mib,
        puts=meters.total("puts"),
        gets=meters.total("gets"),
        lists=meters.total("lists"),
        up_bytes=meters.total("up_bytes"),
        down_bytes=meters.total("down_bytes"),
    )


def main() -> int:
    """Run and write the cost."""
    os.umask(0o077)
    cost = run(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(asdict(cost)))
    return cost.code


if __name__ == "__main__":
    sys.exit(main())
