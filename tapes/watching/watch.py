"""The watch itself: its services started together, woken by SIGHUP, ended by SIGTERM or Ctrl-C within a bounded time."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from crypto.errors import TapesError
from tapes.answering.hosting import Answering
from tapes.commands.context import Flags, Run
from tapes.watching.alarm import Alarm
from tapes.watching.importing import Importing, agents_here, closes, interval_of
from tapes.watching.instance import only_watch
from tapes.watching.resident import Resident
from tapes.watching.rounds import Rounds
from tapes.watching.signals import Signals, caught
from tapes.watching.state import StateFile
from tapes.watching.syncing import Syncing

closing_seconds_max: Final = 20.0  # systemd and launchd are told to wait longer (tapes/watching/units.py)


class Watch:
    """A home's watch. To host another service, add it to `residents`."""

    def __init__(self, run: Run) -> None:
        run.home.prepare()
        self._run = run
        self.state = StateFile(run.home.watch_state)
        quiet = Flags(no_input=True, color=run.flags.color)
        interval = interval_of(run)
        self._sync = Rounds("sync", Syncing(quiet), self._alarm(), self.state, self._say, interval)
        importing = Importing(quiet, self._sync.call)
        self._import = Rounds("import", importing, self._alarm(), self.state, self._say, interval)
        # Started and stopped in this order: what was imported last is there when the sync closes.
        self.residents: list[Resident] = [self._import, self._sync, Answering()]

    def once(self) -> list[TapesError]:
        """One import and one sync; what failed. For cron."""
        with only_watch(self._run.home.watch_lock):
            failed = [error for rounds in (self._import, self._sync) if (error := rounds.once()) is not None]
            self.state.end()
        return failed

    def run(self) -> bool:
        """Watch until told to end; whether everything ended in time (if not, the process must be left at once)."""
        with only_watch(self._run.home.watch_lock):
            started: list[Resident] = []
            with caught() as signals:
                self._say(self._intent())
                try:
                    for resident in self.residents:
                        resident.start()
                        started.append(resident)
                    self._until_told(signals)
                except TapesError:
                    self._stop(started)
                    raise
                signals.let_through()  # a second Ctrl-C ends it at once
                return self._stop(started)

    def _until_told(self, signals: Signals) -> None:
        in_terminal = os.isatty(sys.stderr.fileno())
        while signals.next() == signal.SIGHUP:
            if in_terminal and not os.isatty(sys.stderr.fileno()):
                return  # the terminal was closed, and nobody asked for a reload
            self._say("called: one round of everything, with the settings as they are now")
            self._import.call_anyway()
            self._sync.call_anyway()

    def _stop(self, started: Sequence[Resident]) -> bool:
        deadline = time.monotonic() + closing_seconds_max
        if started:
            self._say(f"ending, within {closing_seconds_max:.0f} s")
        late = [each for each in started if not each.stop(max(0.0, deadline - time.monotonic()))]
        for each in late:
            self.state.change(each.name, step="cut short")
            self._say(f"{each.name}: cut short; what is left goes the next time")
        self.state.end()
        return not late

    def _alarm(self) -> Alarm:
        return Alarm(self._run.home.config)

    def _intent(self) -> str:
        config = self._run.config
        every = f"every {config.text('storage.sync_interval')}"
        agents = ", ".join(agents_here()) or "agents, of which none keeps logs here yet"
        bucket = config.text("storage.bucket")
        if config.text("storage.provider") == "local" or bucket is None:
            return f"watching {self._run.home.path}: imports from {agents}, {every}; the provider is local, nothing is synced"
        end = " and at the end" if closes(self._run) else ""
        return f"watching {self._run.home.path}: imports from {agents}, and syncs with {bucket}, {every}{end}"

    def _say(self, text: str) -> None:
        # A terminal that was closed refuses its lines; the watch has its work to end all the same.
        with suppress(OSError):
            self._run.out.say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")
