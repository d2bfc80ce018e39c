"""`tapes stats` and `tapes sql` as people call them."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.local import LocalStore
from store.local_path import local_store_path
from tests.command_line import HOUSE, SAMPLE, Person
from tests.laptops import turn

EVER = ("--period", "3660d", "--tz", "UTC")


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with the sample's sessions."""
    person = Person(tmp_path_factory.mktemp("ada") / "home")
    person.ok("import", "claude", SAMPLE)
    return person


def test_all_time_is_what_the_session_list_totals(ada: Person) -> None:
    """Over all days, `stats` and `sessions` agree on tokens, cost and the number of sessions."""
    found, listed = ada.json("stats", *EVER), ada.json("sessions")

    assert found["current"]["use"]["tokens"] == listed["totals"]["tokens"]
    assert found["current"]["use"]["cost_usd_micro"] == listed["totals"]["cost_usd_micro"]
    assert found["current"]["sessions"] == len(listed["sessions"])
    assert found["time_zone"] == "UTC"
    assert found["members"] == []


def test_csv_has_every_number_in_full(ada: Person) -> None:
    """A row per period, day, model and project; days add up to the period."""
    rows = list(csv.DictReader(io.StringIO(ada.ok("stats", *EVER, "--csv").out)))
    [current] = [row for row in rows if row["kind"] == "current"]

    for kind in ("day", "model", "project"):
        assert sum(int(row["output"]) for row in rows if row["kind"] == kind) == int(current["output"])
    assert int(current["output"]) > 0


@pytest.mark.parametrize("how", [[], ["--md"], ["--members", "--md"]])
def test_text_says_period_zone_and_caveat(how: list[str], ada: Person) -> None:
    """People are told which days of which zone, and that list prices are no bill; no escape sequence in a pipe."""
    out = ada.ok("stats", *EVER, *how).out

    assert "days of UTC" in out
    assert "not your bill" in out
    assert "\x1b" not in out


def test_a_period_without_sessions_says_where_there_are_some(ada: Person, tmp_path: Path) -> None:
    """Zeros do not read as "nothing here": the last day with a session is named, with the period that reaches it."""
    empty = ada.ok("stats", "--period", "1d", "--tz", "UTC").out
    [wider] = re.findall(r"on 2026-03-06: tapes stats --period (\d+d)", empty)

    assert ada.json("stats", "--period", "1d", "--tz", "UTC")["earlier_day"] == "2026-03-06"
    reached = ada.json("stats", "--period", wider, "--tz", "UTC")
    assert reached["current"]["sessions"]
    assert reached["current"]["first_day"] == "2026-03-06"
    assert "none before" in Person(tmp_path / "new").ok("stats").out


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_gets_tiles_that_fit(columns: int, ada: Person) -> None:
    """Tiles, sparkline and bars keep within the terminal's width."""
    done = ada.at_terminal("stats", *EVER, "--color", "never", columns=columns)

    assert done.code == 0
    lines = done.out.replace("\r", "").splitlines()
    assert any("cache hits" in line for line in lines)
    assert max(map(len, lines)) <= columns
    [sparks] = [line for line in lines if "····" in line]  # days without anything
    assert "█" in sparks  # the highest
    assert f"{-(-3660 // min(60, columns))} days a sign" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ["stats", "--period", "soon"],
        ["stats", "--period", "0d"],
        ["stats", "--period", "99999d"],
        ["stats", "--members", "--fold-small"],
        ["stats", "--csv", "--md"],
        ["stats", "--tz", "Mars/Olympus"],
        ["sql", "DROP TABLE nodes"],
        ["sql", "SELECT * FROM nothing"],
        ["sql", "SELECT 1", "--format", "parquet"],
        ["sql", "SELECT 1", "--over", "/does/not/exist"],
        ["sql", "SELECT 1", "--timeout", "0"],
    ],
    ids=" ".join,
)
def test_a_wrong_question_ends_with_2(words: list[str], ada: Person) -> None:
    """What cannot be meant is said on stderr, and stdout stays empty."""
    done = ada.tapes(*words)

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")


def test_sql_answers_in_every_format(ada: Person, tmp_path: Path) -> None:
    """The same count as table, CSV, JSON and --json; Parquet goes to a file."""
    nodes = ada.json("sessions")["totals"]["nodes"]
    question = "SELECT count(*) AS n FROM nodes"
    ada.ok("sql", question, "--format", "parquet", "-o", tmp_path / "n.parquet")
    ada.ok("sql", question, "--format", "csv", "-o", tmp_path / "n.csv")

    assert ada.ok("sql", question).out.split() == ["n", str(nodes)]
    assert ada.json("sql", question)["rows"] == [[nodes]]
    assert json.loads(ada.process("sql", "-", "--format", "json", stdin=question).out) == [{"n": nodes}]
    assert (tmp_path / "n.csv").read_text() == f"n\n{nodes}\n"
    assert (tmp_path / "n.parquet").read_bytes().startswith(b"PAR1")


@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.05, 0.1, 0.3])
def test_an_interrupt_ends_the_query_and_its_process(ada: Person, after_seconds: float) -> None:
    """Ctrl-C on a query that would run for hours, early or late: 130 at once, and the process that ran it is gone."""
    asked = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tapes",
            "sql",
            "SELECT sum(a.i * b.i % 7) FROM range(10000000) a(i), range(10000000) b(i)",
        ],
        env={**os.environ, "TAPES_HOME": str(ada.home)},
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children = Path(f"/proc/{asked.pid}/task/{asked.pid}/children")
    deadline = time.monotonic() + 30
    while not (running := children.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(after_seconds)
    asked.send_signal(signal.SIGINT)
    out, err = asked.communicate(timeout=20)

    assert running
    assert (130, "", "interrupted\n") == (asked.returncode, out, err)
    # The kernel and init take a moment to clear away who has ended; a query would run for hours.
    deadline = time.monotonic() + 10
    while (left := [child for child in running if _alive(child)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def _alive(pid: str) -> bool:
    """Whether a process still runs; a zombie has ended and only waits to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_sql_over_an_export_is_sql_over_the_home(ada: Person, tmp_path: Path) -> None:
    """Somebody with only the folder gets the same rows."""
    ada.ok("export", "--all", "--format", "parquet", "--content", "full", "-o", tmp_path / "out")
    stranger = Person(tmp_path / "stranger")
    for question in (
        "SELECT * FROM usage_daily ORDER BY ALL",
        "SELECT tool, failed FROM tool_calls ORDER BY ALL",
    ):
        here = ada.json("sql", question)["rows"]
        assert here == stranger.json("sql", question, "--over", tmp_path / "out")["rows"]
        assert here


def test_rows_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """A label with an escape sequence is shown as signs."""
    person = Person(tmp_path / "home")
    person.ok("sessions")
    with LocalStore.open(local_store_path(person.home)) as local:
        local.add([turn("x", None, project="\x1b]0;title\x07")])

    assert "\x1b" not in person.ok("sql", "SELECT project FROM nodes").out
    assert "\x1b" not in person.ok("stats", *EVER, "--md").out
