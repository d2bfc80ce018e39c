"""`tapes search -i` in a real terminal, typed into and looked at."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

from query.finding import Listing
from query.fuzzy import fuzzy_score
from store.local import LocalStore
from store.local_path import local_store_path
from tapes.finder.worker import Heed, Message, Reply, Serve, Tell, Worker
from tests.command_line import HOUSE, SAMPLE, Person
from tests.laptops import turn
from tests.tmux import environ_of, needs_tmux, terminal

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\u202e 語語語 wide pelican"


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Ada, with the sample's sessions, the index made."""
    person = Person(tmp_path_factory.mktemp("finder") / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    person.ok("search", "kite")
    return person


def ids(text: str) -> list[str]:
    """The lines, all of them whole ids."""
    lines = text.splitlines()
    assert all(re.fullmatch("[0-9a-f]{64}", line) for line in lines)
    return lines


@needs_tmux
def test_words_filters_and_marks_choose_ids(ada: Person, tmp_path: Path) -> None:
    """Typed words narrow the list and show their place; Tab marks; Enter prints what is marked, one id per line, and 0."""
    with terminal(f"tapes search -i > {tmp_path}/out", environ_of(ada.home)) as pane:
        pane.wait("8 sessions")
        pane.type("frobn")
        found = pane.wait("(?m)^1 session$")
        assert "user: What does the frobnicate flag" in found
        pane.type("C-u", "project:lighthouse ")
        pane.wait("(?m)^4 sessions$")
        pane.type("Tab", "Tab")
        pane.wait("2 marked")
        pane.type("Enter")
        pane.wait("LEFT 0")
    chosen = ids((tmp_path / "out").read_text())
    lighthouse = [one["id"] for one in ada.json("sessions", "--project", "lighthouse")["sessions"]]

    assert chosen == lighthouse[:2]


@needs_tmux
def test_letters_in_order_find_a_label(ada: Person, tmp_path: Path) -> None:
    """What nobody said is still found by a project's letters; without marks Enter takes the line under the cursor."""
    with terminal(f"tapes search -i lghths > {tmp_path}/out", environ_of(ada.home)) as pane:
        pane.wait("(?m)^4 sessions$")
        pane.type("Down")
        pane.wait(r"(?m)^> .*lighthouse")
        pane.type("Enter")
        pane.wait("LEFT 0")
    lighthouse = {one["id"] for one in ada.json("sessions", "--project", "lighthouse")["sessions"]}

    [chosen] = ids((tmp_path / "out").read_text())
    assert chosen in lighthouse


@needs_tmux
@pytest.mark.parametrize("key", ["Escape", "C-c"])
def test_leaving_prints_nothing_and_ends_with_130(key: str, ada: Person, tmp_path: Path) -> None:
    """A pipe behind a finder that was left gets no id, and the shell hears of it; the screen is as it was before."""
    with terminal(f"echo before; tapes search -i > {tmp_path}/out", environ_of(ada.home)) as pane:
        pane.wait("8 sessions")
        pane.type("Tab", key)
        screen = pane.wait("LEFT 130")

    assert (tmp_path / "out").read_text() == ""
    assert screen.splitlines()[:2] == ["before", "LEFT 130"]


@needs_tmux
def test_half_a_filter_keeps_the_list_and_says_why(ada: Person) -> None:
    """While a line means nothing yet, the last list stands under what is wrong; an empty list lets Enter do nothing."""
    with terminal("tapes search -i", environ_of(ada.home)) as pane:
        pane.wait("8 sessions")
        pane.type("modle:x")
        assert "kite" in pane.wait("there is no filter 'modle' · did you mean model")
        pane.type("C-u", "project:nowhere ")
        pane.wait("(?m)^0 sessions$")
        pane.type("Enter", "C-u")
        pane.wait("8 sessions")
        pane.type("Escape")
        pane.wait("LEFT 130")


@needs_tmux
def test_a_paste_becomes_one_line(ada: Person) -> None:
    """Several lines and control characters from a clipboard stand in the line as blanks and signs, and are looked for."""
    with terminal("tapes search -i", environ_of(ada.home)) as pane:
        pane.wait("8 sessions")
        pane.paste("project:kite\n make\x07 \n")
        screen = pane.wait("project:kite make␇")
        pane.wait("(?m)^1 session$")
        pane.type("Escape")
        pane.wait("LEFT 130")

    assert screen.splitlines()[0].rstrip() == "> project:kite make␇"


def test_a_look_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    """While a slow look reads, another line ends it unanswered and is answered itself; leaving ends the thread at once."""
    said: list[Message] = []
    reading, answered = Event(), Event()

    def work(serve: Serve, _tell: Tell, heed: Heed) -> None:
        def look(line: str) -> Listing:
            while line.startswith("slow"):
                reading.set()
                time.sleep(0.001)
                heed()
            return Listing((), 0)

        serve(look)

    def deliver(message: Message) -> None:
        said.append(message)
        answered.set()

    with Worker(work, deliver) as worker:
        worker.ask("slow")
        assert reading.wait(30)
        worker.ask("quick")
        assert answered.wait(30)
        reading.clear()
        worker.ask("slow again")
        assert reading.wait(30)
    assert said == [Reply("quick", Listing((), 0))]


@needs_tmux
def test_it_fits_small_and_wide_screens_and_a_drag(ada: Person) -> None:
    """At 80x24 the preview is below the list, at 140 columns beside it; nothing is wider than the screen."""
    with terminal("tapes search -i", environ_of(ada.home)) as pane:
        small = pane.wait("8 sessions[^│]*─────")
        pane.resize(140, 30)
        wide = pane.wait("│")
        pane.resize(40, 10)
        tiny = pane.wait("─{40}")
        pane.type("Escape")
        pane.wait("LEFT 130")

    assert "│" not in small
    assert "────" not in wide
    assert max(map(len, tiny.splitlines())) <= 40
    assert "Make the tail" in tiny.splitlines()[2]


@needs_tmux
def test_no_content_drives_the_terminal(tmp_path: Path) -> None:
    """Escape sequences, bells and direction marks of a session are shown as signs; wide letters keep the columns."""
    person = Person(tmp_path / "home").init("Ada")
    with LocalStore.open(local_store_path(person.home)) as local:
        local.add([turn(HOSTILE, None, project="語語語語語語語語語語")])
    with terminal("tapes search -i pelican", environ_of(person.home)) as pane:
        screen = pane.wait("wide pelican")
        title = pane._tmux("display-message", "-p", "-t", "pane", "#{pane_title}")
        styled = pane.screen(styled=True)
        pane.type("Escape")
        pane.wait("LEFT 130")

    assert "␛]0;owned␇" in screen
    assert "<U+202E>" in screen
    assert "owned" not in title
    assert "\x1b[31m" not in styled


@needs_tmux
def test_no_color_leaves_signs(ada: Person) -> None:
    """With NO_COLOR no style is sent; the cursor and the marks are signs."""
    with terminal("NO_COLOR=1 tapes search -i kite", environ_of(ada.home)) as pane:
        pane.wait("sessions")
        pane.type("Tab")
        pane.wait(r"(?m)^ \* .*\n>  ")
        styled = pane.screen(styled=True)
        pane.type("Escape")
        pane.wait("LEFT 130")

    assert not re.search("\x1b\\[[0-9;]*[1-9][0-9;]*m", styled)


def test_without_a_terminal_it_is_a_usage_error(ada: Person) -> None:
    """From cron or in a script: exit 2 with what to do instead; the same with --json."""
    for words in (("search", "-i"), ("search", "-i", "--json")):
        done = subprocess.run(
            [sys.executable, "-m", "tapes", *words],
            env={**os.environ, **environ_of(ada.home)},
            cwd=HOUSE,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # else whoever runs the tests lends it the terminal they sit at
        )
        assert (2, "") == (done.returncode, done.stdout)
        assert "terminal" in done.stderr


def test_closer_letters_score_better() -> None:
    """A label with the letters together beats one with others between; letters in another order are no match."""
    together, apart = fuzzy_score(["lgh"], "the LGH of"), fuzzy_score(["lgh"], "lighthouse")

    assert together == 0
    assert apart is not None
    assert apart > 0
    assert fuzzy_score(["hgl"], "lighthouse") is None
    assert fuzzy_score(["lab", "xx"], "a label") is None
