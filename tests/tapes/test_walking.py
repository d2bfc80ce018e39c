"""Logs that cannot be read, or never end, beside logs that can."""

import os
from pathlib import Path

import pytest

from store.local import LocalStore
from tapes.importers import all_agents
from tapes.importers.claude.run import import_claude
from tapes.importers.codex.run import import_codex
from tapes.importers.gemini.run import import_gemini
from tapes.importers.opencode.run import import_opencode
from tapes.importers.report import ImportReport
from tapes.importers.walking import files_below

SAMPLES = Path(__file__).parents[2] / "tapes" / "samples"
IMPORTERS = {
    "claude": (import_claude, "projects/p/pipe.jsonl"),
    "codex": (import_codex, "sessions/rollout-2026-pipe.jsonl"),
    "gemini": (import_gemini, "tmp/ferry/chats/session-pipe.json"),
    "opencode": (import_opencode, "storage/session/global/ses_pipe.json"),
}


@pytest.mark.parametrize("agent", IMPORTERS)
def test_a_pipe_or_a_device_among_the_logs_is_not_waited_for(agent: str, tmp_path: Path) -> None:
    """A watch that opens a pipe imports nothing any more, and says nothing."""
    importer, pipe = IMPORTERS[agent]
    place = tmp_path / pipe
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    place.with_stem(place.stem + "-zero").symlink_to("/dev/zero")

    with LocalStore.open(tmp_path / "ours.db") as store:
        assert importer(store, [tmp_path]).nodes_new == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path: Path) -> None:
    """Else its sessions are missing in silence until their agent deletes them."""
    (tmp_path / "closed").mkdir(mode=0)

    assert [tmp_path / "closed"] == list(files_below(tmp_path, lambda name: name.endswith(".jsonl")))


def test_one_agents_closed_folder_keeps_nobody_elses_logs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`import all` and the watch go on with the next agent, and the report names the folder."""

    def closed() -> object:
        raise PermissionError(13, "Permission denied", "/home/kim/.gemini/tmp")

    def imported(*_: object, **__: object) -> ImportReport:
        return ImportReport(nodes_new=7)

    agents = (
        all_agents.Agent("gemini", closed, imported),
        all_agents.Agent("codex", lambda: None, imported),
    )
    monkeypatch.setattr(all_agents, "AGENTS", agents)
    with LocalStore.open(tmp_path / "ours.db") as store:
        reports = dict(all_agents.import_all(store))

    assert ("/home/kim/.gemini/tmp", 7) == (reports["gemini"].errors[0].path, reports["codex"].nodes_new)
