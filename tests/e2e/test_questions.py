"""Every line that issue 5 promises a user, run as written on the sample's sessions."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command_line import SAMPLE, Person
from tests.tmux import environ_of

FORMATS = ("tape", "json", "ndjson", "csv", "md", "html", "parquet")
NO_CONTENT = {
    ("csv", "full"),
    ("csv", "redacted"),
    ("tape", "none"),
    ("md", "none"),
    ("html", "none"),
}


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Ada, in a team of her own, with the sample's sessions."""
    folder = tmp_path_factory.mktemp("questions")
    person = Person(folder / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    person.ok("storage", "configure", "--bucket", (folder / "bucket").as_uri())
    person.ok("config", "set", "default-visibility", "team")
    person.ok("team", "create", "Engine")
    person.ok("storage", "sync")
    return person


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(person: Person, line: str) -> str:
    """A line as somebody types it, without its `tapes`; what it printed."""
    return person.ok(*shlex.split(line)).out


def printed(person: Person, line: str) -> str:
    """As `run`, in a process of its own: files on stdout are bytes, for which this one has no stdout."""
    done = person.process(*shlex.split(line))
    assert done.code == 0, done.err
    return done.out


def shell(person: Person, folder: Path, line: str) -> "subprocess.CompletedProcess[str]":
    """A line with a pipe, in a real shell."""
    tapes = f'tapes() {{ (cd {shlex.quote(str(folder))} && {shlex.quote(sys.executable)} -m tapes "$@"); }}'
    return subprocess.run(
        ["bash", "-c", f"{tapes}; set -o pipefail; {line}"],
        env={**environ_of(person.home), "PATH": "/usr/bin:/bin"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("sort", ["date", "cost", "duration", "tokens"])
def test_a_search_with_every_filter(ada: Person, sort: str) -> None:
    """All filters of the promise together; the same filters with this corpus's own values find its session, in any order."""
    run(
        ada,
        "search 'refactor retry' --project contributor.info --model 'claude-*' --since 7d --until today --status failed"
        f" --cost '>0.5' --member Ada --tool Bash --sort {sort} --limit 20",
    )
    filters = (
        "--project light* --model 'claude-*' --since 2026-02-01 --until 2026-03-01 --status failed --cost '>0.1'"
        f" --member Ada --tool Bash --sort {sort} --limit 20"
    )
    found = json.loads(run(ada, f"search test* {filters} --json"))["sessions"]

    assert {one["project"] for one in found} == {"lighthouse"}
    assert {one["status"] for one in found} == {"failed"}


def test_sessions_take_the_filters(ada: Person) -> None:
    """The same filters without words."""
    lines = run(ada, "sessions --project lighthouse --model 'claude-*' --tool Bash --member Ada").splitlines()

    assert 0 < len(lines) < len(run(ada, "sessions").splitlines())


def test_exports_by_date_project_and_model(ada: Person, here: Path) -> None:
    """A day into a file by its ending, and filters alone to stdout; each says what chose it."""
    run(ada, "export --date 2026-02-16 -o feb-16.tape")
    by_project = json.loads(printed(ada, "export --project lighthouse"))
    by_model = json.loads(printed(ada, "export --model 'claude-*' --since 30d"))
    imported = Person(here / "bob").json("import", "bundle", here / "feb-16.tape")

    assert imported["sessions"] == 2
    assert len(by_project["sessions"]) == 4
    assert by_model["sessions"] == []
    assert by_model["export"]["filter"]["since"] == "30d"


def test_a_search_feeds_an_export(ada: Person, here: Path) -> None:
    """Through a pipe the found sessions are exported; a search that finds none ends the export with 2, never with all."""
    fed = shell(ada, here, "tapes search frobnicate | tapes export -o debug.tape")
    empty = shell(ada, here, "tapes search debuggingxyz | tapes export -o nothing.tape")

    assert fed.returncode == 0, fed.stderr
    assert Person(here / "bob").json("import", "bundle", here / "debug.tape")["sessions"] == 1
    assert (empty.returncode, (here / "nothing.tape").exists()) == (2, False)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_with_every_content(ada: Person, here: Path, kind: str) -> None:
    """Each possible pair makes its file or folder; each impossible one is a usage error that makes nothing."""
    for content in ("none", "redacted", "full"):
        out = here / f"{content}.{kind}"
        done = ada.tapes("export", "--all", "--format", kind, "--content", content, "-o", out)
        assert ((kind, content) in NO_CONTENT) == (done.code == 2), done.err
        assert out.exists() == (done.code == 0)


def test_stats_in_every_form(ada: Person) -> None:
    """For all and for the team, over a period, to read, as JSON, CSV and Markdown: the same cost."""
    costs = [
        json.loads(run(ada, f"stats{team} --period 999d --json"))["current"]["use"]["cost_usd_micro"]
        for team in ("", " --team")
    ]

    assert costs[0] == costs[1] > 0
    assert run(ada, "stats")
    assert run(ada, "stats --team --period 30d --csv").count(",") > 5
    assert "|" in run(ada, "stats --period 30d --md")


def test_sql_in_every_format(ada: Person, here: Path) -> None:
    """One answer as a table, CSV, JSON and Parquet; without a question, from a pipe."""
    question = '"select count(*) as turns from nodes"'
    run(ada, f"sql {question} --format parquet -o turns.parquet")
    [turns] = pq.ParquetFile(here / "turns.parquet").read().column("turns").to_pylist()

    assert run(ada, f"sql {question}").split() == ["turns", str(turns)]
    assert printed(ada, f"sql {question} --format csv").split() == ["turns", str(turns)]
    assert json.loads(printed(ada, f"sql {question} --format json")) == [{"turns": turns}]
    assert str(turns) in ada.ok("sql", stdin="select count(*) from nodes;").out


def test_reprice_and_reindex(ada: Person, here: Path) -> None:
    """Costs computed again by a table and back, the index made anew: the sessions stay the same."""
    before = ada.json("sessions")
    (here / "t.toml").write_text("name = 't'\n[[price]]\nmodel = '*'\ninput = 1\noutput = 1\n")
    ada.ok("reprice", "--table", here / "t.toml")
    changed = ada.json("sessions")
    ada.ok("reprice", "--reset")
    ada.ok("reprice")
    ada.ok("reindex")

    assert [one["id"] for one in changed["sessions"]] == [one["id"] for one in before["sessions"]]
    assert changed["totals"]["cost_usd_micro"] != before["totals"]["cost_usd_micro"]
    assert ada.json("sessions") == before
