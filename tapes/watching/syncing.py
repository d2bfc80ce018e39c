"""The watch's sync: what is new goes out and comes in; an idle look at the bucket is one GET.

Exactly `tapes storage sync` otherwise, under the same lock of the home, so that both may run at once. Cut off anywhere it
leaves what a killed sync leaves: whole batches, and objects that no commit names.
"""

import time
from collections.abc import Callable
from typing import Final

from sync.providers import Progress, SyncReport
from tapes.commands.context import Flags, Run, begin
from tapes.commands.desk import Desk
from tapes.commands.joining import forget_strangers_log, team_of_one
from tapes.commands.publishing import publish_after
from tapes.commands.standing import syncing
from tapes.watching.importing import closes, interval_of
from tapes.watching.rounds import Done

full_check_seconds: Final = (
    3600.0  # an idle look sees no roll-back and enacts nothing due: a whole sync does, hourly
)
notices_told_max: Final = 1000


class Syncing:
    """The job."""

    def __init__(self, flags: Flags, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._flags = flags
        self._monotonic = monotonic
        self._whole_at: float | None = None  # when the last whole sync ended well
        self._told: set[str] = set()

    def __call__(self, step: Callable[[str], None]) -> Done:
        """Sync if there is anything to do. Raises what a sync raises; a finding (exit 6) is a failed round too."""
        run = begin(self._flags)
        interval = interval_of(run)
        with Desk(run) as desk:
            if not desk.uses_bucket:
                return Done(interval, off="the provider is local: nothing is synced", at_close=False)
            step("waiting for the home")
            desk.lock()
            forget_strangers_log(desk)
            if team_of_one(desk):
                run.out.say("this home had no team: founded a team of one (tapes team invite lets others in)")
            said = self._sync(run, desk, step)
        return Done(interval, said, at_close=closes(run))

    def _sync(self, run: Run, desk: Desk, step: Callable[[str], None]) -> str:
        provider = syncing(desk)
        if not self._whole_is_due() and provider.is_idle():
            return ""

        def told(at: Progress) -> None:
            step(f"{at.step} {at.done}" + (f" of {at.total}" if at.total else ""))

        report = provider.sync(progress=told)
        publish_after(desk, report)
        self._tell(run, report)
        if report.broken:
            raise report.broken[0]
        self._whole_at = self._monotonic()
        return _words(report)

    def _whole_is_due(self) -> bool:
        return self._whole_at is None or self._monotonic() - self._whole_at >= full_check_seconds

    def _tell(self, run: Run, report: SyncReport) -> None:
        """Remarks, each once: most of them come back with every sync."""
        remarks = [*report.notices, *(broken.message for broken in report.broken[1:])]
        remarks += [f"turn {node} stays on this device: {reason}" for node, reason in report.skipped]
        for remark in remarks:
            if remark not in self._told and len(self._told) < notices_told_max:
                self._told.add(remark)
                run.out.warn(remark)


def _words(report: SyncReport) -> str:
    parts = []
    if report.pushed_nodes:
        parts.append(f"pushed {report.pushed_nodes} turns")
    if report.pulled_nodes:
        parts.append(f"pulled {report.pulled_nodes} turns")
    return ", ".join(parts)
