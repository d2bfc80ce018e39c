"""`tapes sql` alone: a shell in a real terminal, and statements from a pipe."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapes.sql_shell import statements
from tests.command_line import SAMPLE, Person
from tests.tmux import environ_of, needs_tmux, terminal

ENDLESS = "select count(*) from range(10000000) a, range(10000000) b, range(1000) c;"


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with the sample's sessions."""
    person = Person(tmp_path_factory.mktemp("shell") / "ada")
    person.ok("import", "claude", SAMPLE)
    return person


@needs_tmux
def test_a_session_in_the_shell(ada: Person) -> None:
    """Lines up to a semicolon, words with a dot, an error that ends nothing, a query cancelled, a line thrown away, and out."""
    with terminal("tapes sql", environ_of(ada.home), columns=100, rows=60) as pane:
        pane.wait("(?m)^tapes>")
        assert "nodes, sessions, messages, tool_calls, members, usage_daily" in pane.screen()
        pane.type("select count(*) as turns", "Enter")
        pane.wait(r"(?m)^   \.\.>")
        pane.type("from nodes;", "Enter")
        pane.wait("(?s)turns.*69")
        pane.type("select nothing from nodes;", "Enter")
        pane.wait('"nothing"')
        pane.type(".tables", "Enter")
        pane.wait("(?m)^usage_daily")
        pane.type(".schema members", "Enter")
        pane.wait("what they call themselves")
        pane.type(ENDLESS, "Enter")
        pane.press_until("C-c", "cancelled")
        pane.type("select half", "C-c", "select 41 + 1 as whole;", "Enter")
        pane.wait("(?s)whole.*42")
        pane.type("C-d")
        pane.wait("LEFT 0")
    history = ada.home / "sql_history"

    assert history.stat().st_mode & 0o777 == 0o600
    assert "select 41 + 1 as whole;" in history.read_text()


def test_statements_from_a_pipe(ada: Person) -> None:
    """Each is answered, one after the other, also two on a line; semicolons in quotes end nothing; the last may go without."""
    done = ada.process(
        "sql", "--json", stdin="select 1 as a; select 'x;y' as b\n;\n-- done\nselect 3 as c\n-- over\n"
    )
    rows = [json.loads(line)["rows"] for line in done.out.splitlines()]

    assert done.code == 0
    assert rows == [[[1]], [["x;y"]], [[3]]]


@pytest.mark.parametrize(
    ("stdin", "words", "said"),
    [
        ("", [], "no SQL came in"),
        ("select 1; drop table nodes; select 2;", [], "one SELECT"),
        ("select 1;\n.tables\nselect 2;", [], "SHOW TABLES"),
        ("select 1;", ["--format", "csv", "-o", "x.csv"], "one question"),
    ],
)
def test_a_pipe_that_cannot_be_answered(ada: Person, stdin: str, words: list[str], said: str) -> None:
    """Nothing at all, and something that is no question: exit 2, and nothing after it is answered."""
    done = ada.process("sql", *words, stdin=stdin)

    assert (2, True) == (done.code, said in done.err)
    assert "2" not in done.out.split()


@given(
    st.lists(
        st.sampled_from(["select 1", "';'", '";"', "-- ;\n", "/* ; */", ";", "\n", "'", "x"]), max_size=9
    ).map(" ".join)
)
def test_no_word_of_a_script_is_lost(script: str) -> None:
    """However a script is cut, its statements stand in it one after the other; between them is nothing but semicolons."""
    at = 0
    for one in statements(script.splitlines(keepends=True)):
        found = script.index(one, at)
        assert not script[at:found].strip("; \n")
        assert one.strip("; \n")
        at = found + len(one)


def test_the_history_is_private_from_the_start(tmp_path: Path) -> None:
    """Without a terminal there is no shell, and no file either."""
    done = Person(tmp_path / "home").tapes("sql", "--no-input", stdin="")

    assert done.code == 2
    assert not (tmp_path / "home" / "sql_history").exists()
