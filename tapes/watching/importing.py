"""The watch's import: every agent's new turns into the local store, whatever the network does; under cloud, to the bucket."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from crypto.errors import TapesError
from tapes.commands.context import Flags, Run, begin
from tapes.commands.desk import Desk
from tapes.config import sync_interval_seconds
from tapes.importers.all_agents import AGENTS, import_all
from tapes.importers.report import ImportReport, LineProblem, Progress
from tapes.watching.rounds import Done

problems_told_max: Final = 100  # each is told once; a log full of errors is `tapes import`'s to list


class Importing:
    """The job. `news` is called after a round that brought new turns."""

    def __init__(self, flags: Flags, news: Callable[[], None]) -> None:
        self._flags = flags
        self._news = news
        self._told: set[LineProblem] = set()

    def __call__(self, step: Callable[[str], None]) -> Done:
        """Import what is new. An agent whose import failed as a whole fails the round, after the others had their turn."""
        run = begin(self._flags)

        def told(at: Progress) -> None:
            step(f"importing {Path(at.path).name}")

        with Desk(run) as desk, desk.intake() as taken:
            reports = dict(import_all(taken.store, progress=told))
        for agent, report in reports.items():
            self._tell_problems(run, agent, report)
        new = {agent: report.nodes_new for agent, report in reports.items() if report.nodes_new}
        if new:
            self._news()
        _raise_failed(reports)
        taken.judge()
        return Done(interval_of(run), _words(new), at_close=closes(run))

    def _tell_problems(self, run: Run, agent: str, report: ImportReport) -> None:
        for problem in report.errors:
            if not _is_whole(agent, problem) and problem not in self._told:
                if len(self._told) >= problems_told_max:
                    return
                self._told.add(problem)
                run.out.warn(f"{agent}: {problem.path}:{problem.line}: {problem.problem}")


def agents_here() -> list[str]:
    """The agents that keep logs on this machine."""
    found = []
    for agent in AGENTS:
        try:
            agent.find()
        except TapesError:
            continue
        found.append(agent.name)
    return found


def interval_of(run: Run) -> float:
    """Seconds between two rounds, as the settings say now."""
    return float(sync_interval_seconds(run.config.text("storage.sync_interval") or ""))


def closes(run: Run) -> bool:
    """Whether a last round is wanted at the end."""
    return run.config.text("storage.sync_on_close") == "true"


def _is_whole(agent: str, problem: LineProblem) -> bool:
    """How `import_all` says that an agent's import failed as a whole."""
    return (problem.path, problem.line) == (agent, 0)


def _raise_failed(reports: dict[str, ImportReport]) -> None:
    failed = [
        f"{agent}: {problem.problem}"
        for agent, report in reports.items()
        for problem in report.errors
        if _is_whole(agent, problem)
    ]
    if failed:
        raise TapesError("; ".join(failed), hint="`tapes import all` shows more")


def _words(new: dict[str, int]) -> str:
    each = ", ".join(f"{number} from {agent}" for agent, number in new.items())
    return f"imported {sum(new.values())} new turns ({each})" if new else ""
