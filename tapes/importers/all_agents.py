"""Every importer whose agent has logs in its usual place: `import_all`. An agent that is not there is no error."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import TapesError, UsageError
from store.local import LocalStore
from tapes.importers.claude import files as claude_files
from tapes.importers.claude.run import import_claude
from tapes.importers.codex import files as codex_files
from tapes.importers.codex.run import import_codex
from tapes.importers.gemini import files as gemini_files
from tapes.importers.gemini.run import import_gemini
from tapes.importers.opencode import run as opencode_run
from tapes.importers.report import ImportReport, LineProblem, ProgressHook
from tapes.importers.tapes_db import files as tapes_db_files
from tapes.importers.tapes_db.run import import_tapes_db

Importer = Callable[..., ImportReport]


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent: its name on the command line, where its logs are here (UsageError: nowhere), how they are imported."""

    name: str
    find: Callable[[], object]
    run: Importer


AGENTS = (
    Agent("claude", lambda: claude_files.default_roots(os.environ, Path.home()), import_claude),
    Agent("codex", lambda: codex_files.default_roots(os.environ, Path.home()), import_codex),
    Agent("gemini", lambda: gemini_files.default_root(os.environ, Path.home()), import_gemini),
    Agent(
        "opencode",
        lambda: opencode_run.find_places(opencode_run.default_root(os.environ, Path.home())),
        opencode_run.import_opencode,
    ),
    Agent(
        "tapes-db", lambda: tapes_db_files.find_database(os.environ, Path.home(), Path.cwd()), import_tapes_db
    ),
)


def import_all(
    store: LocalStore, *, progress: ProgressHook | None = None, dry_run: bool = False
) -> Iterator[tuple[str, ImportReport]]:
    """Import each agent's logs from where it keeps them; yields (agent, report) for those that are here.

    What goes wrong with one agent is a row of its report: the others are still imported.
    """
    for agent in AGENTS:
        try:
            agent.find()
        except UsageError:  # it says that there is nothing
            continue
        except PermissionError as denied:
            yield agent.name, _refused(denied)
            continue
        try:
            yield agent.name, agent.run(store, progress=progress, dry_run=dry_run)
        except TapesError as error:
            yield agent.name, ImportReport(errors=(LineProblem(agent.name, 0, error.message),))
        except PermissionError as denied:
            yield agent.name, _refused(denied)


def _refused(denied: PermissionError) -> ImportReport:
    where = os.fsdecode(denied.filename or "")
    return ImportReport(errors=(LineProblem(where, 0, f"cannot be read: {denied.strerror}"),))
