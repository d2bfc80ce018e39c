"""`tapes search`, `tapes reindex` and the filters of `tapes sessions`, as people and pipes meet them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tapes.saved_filters import SavedFilters
from tests.command_line import SAMPLE, Person


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Ada, with the sample logs imported."""
    person = Person(tmp_path_factory.mktemp("search") / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    return person


def test_a_pipe_gets_one_session_a_line_with_its_id_first(ada: Person) -> None:
    """Every line of stdout begins with a whole id that `show` takes; the remarks are on stderr."""
    done = ada.ok("search", "frobnicate")
    [line] = done.out.splitlines()
    session = line.split()[0]

    assert len(session) == 64
    assert done.err.startswith("1 session, ")
    assert "frobnicate" in ada.ok("show", session).out


def test_a_terminal_gets_snippets_with_marks(ada: Person) -> None:
    """People see title, turn and the words in their place; nothing wider than the screen is needed."""
    screen = ada.at_terminal("search", "frobnicate", columns=80).out

    assert "What does the frobnicate flag of kite do?" in screen
    assert "\x1b[1;33mfrobnicate\x1b[0m" in screen.replace("\x1b[1;2;33m", "\x1b[1;33m")


def test_scan_and_index_and_no_identity_agree(ada: Person, tmp_path: Path) -> None:
    """The same logs in a home that has no key for an index give the same sessions."""
    alone = Person(tmp_path / "alone")
    alone.ok("import", "claude", SAMPLE)
    asked = ("search", "test* OR kite", "tool:Bash")

    indexed, scanned, unkeyed = ada.json(*asked), ada.json(*asked, "--scan"), alone.json(*asked)

    assert indexed == scanned
    assert [one["hits"] for one in indexed["sessions"]] == [one["hits"] for one in unkeyed["sessions"]] != []
    assert not (tmp_path / "alone" / "index").exists()


def test_turns_and_tools_as_a_scope(ada: Person) -> None:
    """In a pipe one line a turn, the session's id first; tool calls and results alone are fewer; JSON says the scope."""
    turns = ada.ok("search", "kite", "--scope", "turn", "--limit", "1000")
    tools = ada.json("search", "kite", "--scope", "tool", "--limit", "1000")
    lines = turns.out.splitlines()

    assert all(len(line.split()[0]) == 64 for line in lines)
    assert f"{len(lines)} matching turns in " in turns.err
    assert tools["scope"] == "tool"
    assert 0 < tools["total"]["matches"] < len(lines)
    assert len(tools["sessions"]) == tools["total"]["matches"]
    assert "kite" in ada.at_terminal("search", "kite", "--scope", "tool").out


def test_flags_and_the_line_are_one_filter(ada: Person) -> None:
    """What a flag says, the line can say; both together are both."""
    by_flags = ada.json("search", "test*", "--project", "light*", "--status", "failed", "--cost", ">0.1")
    by_line = ada.json("search", "test* project:light* status:error cost:>0.1")

    assert by_flags == by_line
    assert by_line["filter"] == {
        "text": "test*",
        "project": ["light*"],
        "status": ["failed"],
        "cost": [">0.1"],
    }
    assert {one["status"] for one in by_line["sessions"]} == {"failed"}


def test_a_saved_filter_means_what_it_says(ada: Person) -> None:
    """By @name in a line and by flag, with more beside it; kept as written, replaced, listed, forgotten."""
    ada.ok("filter", "save", "lamp", "project:lighthouse status:error")
    by_name = ada.json("search", "@lamp test*")
    ada.ok("filter", "save", "tests", "test*")

    assert by_name == ada.json("search", "test* project:lighthouse status:failed")
    assert by_name == ada.json("search", "@tests", "--filter", "lamp")
    assert by_name["filter"] == {"project": ["lighthouse"], "status": ["failed"], "text": "test*"}
    assert ada.json("sessions", "--filter", "lamp") == ada.json(
        "sessions", "--project", "lighthouse", "--status", "failed"
    )
    assert [line.split()[0] for line in ada.ok("filter", "list").out.splitlines()] == ["lamp", "tests"]
    ada.ok("filter", "rename", "lamp", "light")
    assert by_name == ada.json("search", "@light test*")
    ada.ok("filter", "rename", "light", "lamp")
    assert ada.json("search", "@tests beam")["filter"]["text"] == "test* beam"
    ada.ok("filter", "remove", "lamp")
    ada.ok("filter", "remove", "tests")
    assert ada.tapes("search", "@lamp").code == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("search", "@lamb x"), "did you mean @lamp?"),
        (("search", "-i", "@lamb", "--filter", "x"), "no saved filter"),
        (("filter", "save", "Lamp", "x"), "name"),
        (("filter", "save", "lamp", ""), "nothing to save"),
        (("filter", "save", "lamp", "modle:x"), "did you mean model?"),
        (("filter", "save", "two", "@lamp x"), "cannot stand here"),
        (("filter", "remove", "nobody"), "no saved filter"),
        (("filter", "remove", "lam"), "did you mean @lamp?"),
        (("filter", "rename", "lam", "x"), "did you mean @lamp?"),
        (("filter", "rename", "lamp", "Lamp"), "name"),
        (("filter", "rename", "lamp", "lamp"), "already"),
        (("search", "a OR b @lamp"), "OR"),
    ],
)
def test_slips_with_saved_filters_are_usage_errors(tmp_path: Path, words: tuple[str, ...], hint: str) -> None:
    """Exit code 2 with what was meant; nothing is saved that could not be used."""
    person = Person(tmp_path / "home")
    person.ok("filter", "save", "lamp", "lamp project:x")
    done = person.tapes(*words)

    assert (2, "") == (done.code, done.out)
    assert hint in done.err
    assert [one["name"] for one in person.json("filter", "list")["filters"]] == ["lamp"]


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ('{"format": 1, "filters": {"a": {"line": "x"}}}', "update tapes"),
        ('{"format": 0, "filters": {"a": 1}}', "correct or remove"),
        ("[]", "correct or remove"),
        ("{", "correct or remove"),
    ],
)
def test_a_file_of_filters_that_is_not_ours_stays_as_it_is(tmp_path: Path, kept: str, said: str) -> None:
    """Of a newer version, damaged, of another shape: exit 2 with what to do, and nothing is written over it."""
    path = tmp_path / "home" / "filters.json"
    path.parent.mkdir()
    path.write_text(kept)

    for words in (("list",), ("save", "b", "x"), ("remove", "a"), ("rename", "a", "b")):
        done = Person(path.parent).tapes("filter", *words)
        assert (2, True) == (done.code, said in done.err)
    assert path.read_text() == kept


def test_a_filter_that_means_nothing_any_more_can_be_forgotten(tmp_path: Path) -> None:
    """A line of a field that this version has not is listed and removed; only using it is an error."""
    person = Person(tmp_path / "home")
    person.ok("filter", "save", "old", "project:x")
    path = person.home / "filters.json"
    path.write_text(path.read_text().replace("project:x", "galaxy:x"))

    assert person.tapes("sessions", "--filter", "old").code == 2
    assert "galaxy:x" in person.ok("filter", "list").out
    person.ok("filter", "remove", "old")
    assert person.json("filter", "list")["filters"] == []


def test_filters_saved_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """Four threads that save, each its own names: nobody's write undoes another's."""

    def save(number: int) -> None:
        for name in range(8):
            SavedFilters(tmp_path).save(f"f{number}-{name}", "project:x")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, range(4)))
    assert len(SavedFilters(tmp_path).all()) == 32


def test_an_empty_home_says_what_brings_sessions(tmp_path: Path) -> None:
    """Search, list and dashboard of a fresh home name the next step, and end well."""
    person = Person(tmp_path / "home")
    person.ok("config", "set", "storage.provider", "hybrid")
    for words in (("search", "lamp"), ("search", "--status", "failed"), ("sessions",)):
        done = person.ok(*words)
        assert (done.out, done.err) == ("", "No sessions yet. Next: tapes import all\n")
    assert "tapes import all" in person.ok("stats").out
    person.ok("config", "set", "storage.bucket", "file:///nowhere")
    assert "tapes storage sync" in person.ok("sessions", "--no-input").err


def test_sessions_takes_the_same_filters(ada: Person) -> None:
    """A filtered list has those sessions and their totals; one that nothing passes says so."""
    everything, some = ada.json("sessions"), ada.json("sessions", "--project", "kite")
    nothing = ada.ok("sessions", "--since", "2031-01-01", "--tz", "Europe/Vienna")

    assert 0 < len(some["sessions"]) < len(everything["sessions"])
    assert {one["project"] for one in some["sessions"]} == {"kite"}
    assert some["totals"]["nodes"] < everything["totals"]["nodes"]
    assert nothing.out == ""
    assert "No session passes the filter." in nothing.err
    assert "times in Europe/Vienna" in nothing.err


def test_a_list_says_what_sessions_are_called(ada: Person) -> None:
    """The same titles as in a search, in JSON and at the end of a piped line; the order asked for, and its first so many."""
    listed = ada.json("sessions")["sessions"]
    found = ada.json("search", "--since", "2020-01-01", "--limit", "100")["sessions"]
    titles = {one["id"]: one["title"] for one in found}
    costly = ada.json("sessions", "--sort", "cost")["sessions"]

    assert {one["id"]: one["title"] for one in listed} == titles
    assert len({title for title in titles.values() if title}) >= 6
    for line in ada.ok("sessions").out.splitlines():
        assert line.endswith(titles[line.split()[0]] or "-")
    assert sorted(listed, key=lambda one: -one["cost_usd_micro"]) == costly != listed
    assert (
        ada.json("sessions", "--sort", "tokens", "--limit", "2")["sessions"]
        == sorted(listed, key=lambda one: -sum(one["tokens"].values()))[:2]
    )


def test_a_list_asks_the_bucket_nothing_and_says_what_it_lacks(tmp_path: Path) -> None:
    """Who only pulled sees sessions without titles while the bucket is away, and why; a search brings them for good."""
    ada, bob = Person(tmp_path / "ada").init("Ada"), Person(tmp_path / "bob").init("Bob")
    ada.ok("import", "claude", SAMPLE)
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("storage", "set-provider", "hybrid")
    ada.ok("config", "set", "default-visibility", "team")
    ada.ok("team", "create", "Engine")
    ada.ok("storage", "sync")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    bob.ok("storage", "sync")
    (tmp_path / "bucket").rename(tmp_path / "away")
    without = bob.ok("sessions")
    nameless = bob.json("sessions")
    (tmp_path / "away").rename(tmp_path / "bucket")
    bob.ok("search", "kite")
    (tmp_path / "bucket").rename(tmp_path / "away")
    again = bob.json("sessions")

    assert "8 sessions without a title" in without.err
    assert [one["title"] for one in nameless["sessions"]] == [None] * 8
    assert again["sessions"] == ada.json("sessions")["sessions"]
    assert again["totals"] == nameless["totals"]
    assert "without a title" not in bob.ok("sessions").err


def test_a_list_of_the_newest_says_of_how_many(ada: Person) -> None:
    """`sessions --limit` gives the first lines of the whole list; totals stay those of all, and it says so."""
    everything, newest = ada.ok("sessions"), ada.ok("sessions", "--limit", "2")
    of = len(everything.out.splitlines())

    assert newest.out.split()[0] == everything.out.split()[0]
    assert len(newest.out.splitlines()) == 2
    assert newest.err.startswith(f"2 of {of} sessions")
    assert ada.json("sessions", "--limit", "2")["totals"] == ada.json("sessions")["totals"]
    assert f"2 of {of} sessions" in ada.at_terminal("sessions", "--limit", "2").out


def test_times_are_of_the_zone_that_is_stated(ada: Person) -> None:
    """With --tz the times shown are of that zone too, not this machine's under another's name; an export says its zone."""
    for words in (["sessions"], ["search", "frobnicate"], ["search", "frobnicate", "--scope", "turn"]):
        done = ada.ok(*words, "--project", "kite", "--tz", "Asia/Kathmandu")
        assert " 13:4" in done.out
        assert "times in Asia/Kathmandu" in done.err

    dated = ada.process("export", "--date", "2026-03-05", "--tz", "Asia/Kathmandu")
    assert "times in Asia/Kathmandu" in dated.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("search",), "nothing to search for"),
        (("search", "modle:x"), "did you mean model?"),
        (("search", "x", "--limit", "0"), "--limit"),
        (("sessions", "--limit", "0"), "--limit"),
        (("search", "x", "--tz", "Mars"), "time zone"),
        (("search", "x", "--since", "soon"), "no time"),
        (("search", "x since:7d", "--since", "8d"), "given twice"),
        (("search", "project:kite", "--scope", "turn"), "words"),
        (("search", "kite", "--scope", "tool", "-i"), "sessions"),
        (("sessions", "--since", ""), "empty"),
    ],
)
def test_slips_are_usage_errors(ada: Person, words: tuple[str, ...], hint: str) -> None:
    """Exit code 2, nothing on stdout, and what to do on stderr."""
    done = ada.tapes(*words)

    assert (2, "") == (done.code, done.out)
    assert hint in done.err


def test_a_damaged_index_is_said_and_the_answer_is_right(ada: Person) -> None:
    """One warning on stderr, the sessions on stdout, and silence the next time."""
    right = ada.ok("search", "kite").out
    (ada.home / "index" / "words.db").write_bytes(b"rubbish" * 1000)
    repaired, again = ada.ok("search", "kite"), ada.ok("search", "kite")

    assert repaired.out == again.out == right
    assert "made anew" in repaired.err
    assert "made anew" not in again.err


def test_reindex_counts_what_it_took_in(ada: Person) -> None:
    """The new index has every turn, and its file is there."""
    answer = ada.json("reindex")

    assert answer["turns"] > 60
    assert answer["index_bytes"] == (ada.home / "index" / "words.db").stat().st_size
    assert answer["unread"] == []
