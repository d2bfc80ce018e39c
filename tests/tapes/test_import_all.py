"""`tapes import …` from the command line: each agent's own report, and all of those that are here."""

import shutil
from pathlib import Path

from tests.command_line import SAMPLE, Person
from tests.tapes_db import GoDatabase

SAMPLES = SAMPLE.parent


def _somebody(folder: Path) -> Person:
    """Somebody whose own folder holds all agents' logs where they keep them."""
    user = folder / "user"
    shutil.copytree(SAMPLES / "claude", user / ".claude")
    (user / ".codex").mkdir()
    shutil.copytree(SAMPLES / "codex" / "sessions", user / ".codex" / "sessions")
    shutil.copytree(SAMPLES / "gemini", user / ".gemini")
    shutil.copytree(SAMPLES / "opencode", user / ".local" / "share" / "opencode")
    (user / ".tapes").mkdir()
    GoDatabase(user / ".tapes" / "tapes.sqlite").conversation(2)
    return Person(
        folder / "home", {"HOME": str(user), "XDG_DATA_HOME": "", "CLAUDE_CONFIG_DIR": "", "CODEX_HOME": ""}
    )


def test_all_imports_whoever_is_here(tmp_path: Path) -> None:
    """One report per agent; what is imported twice is known."""
    person = _somebody(tmp_path)

    first = person.json("import", "all")["agents"]
    again = person.json("import", "all")["agents"]

    assert {"claude", "codex", "gemini", "opencode", "tapes-db"} == first.keys() == again.keys()
    assert all(report["nodes_new"] > 0 and report["errors"] == [] for report in first.values())
    assert {0} == {report["nodes_new"] for report in again.values()}


def test_an_agent_that_is_not_here_is_no_error(tmp_path: Path) -> None:
    """With nothing anywhere the command says so and ends well; naming the agent is what makes absence an error."""
    nobody = Person(
        tmp_path / "home", {"HOME": str(tmp_path / "empty"), "XDG_DATA_HOME": "", "CODEX_HOME": ""}
    )

    done = nobody.tapes("import", "all")
    codex = nobody.tapes("import", "codex")

    assert (0, "", True) == (done.code, done.out, "no agent" in done.err)
    assert (2, True) == (codex.code, "no Codex logs here" in codex.err)


def test_one_damaged_agent_does_not_stop_the_others(tmp_path: Path) -> None:
    """What is wrong with one agent's logs stands in its report; the rest is imported."""
    person = _somebody(tmp_path)
    (tmp_path / "user" / ".tapes" / "tapes.sqlite").write_bytes(b"SQLite format 3\0" + b"?" * 5_000)

    agents = person.json("import", "all")["agents"]

    assert (0, 1) == (agents["tapes-db"]["nodes_new"], len(agents["tapes-db"]["errors"]))
    assert agents["codex"]["nodes_new"] > 0


def test_sessions_of_all_agents_stand_in_one_list(tmp_path: Path) -> None:
    """After `import all`, `sessions` lists every agent, and `show` reads each one's turns."""
    person = _somebody(tmp_path)
    person.json("import", "all")

    listed = person.json("sessions")["sessions"]

    assert {"claude", "codex", "gemini", "opencode"} <= {session["agent"] for session in listed}
    for session in {session["agent"]: session for session in listed}.values():
        assert 0 == person.tapes("show", session["id"]).code
