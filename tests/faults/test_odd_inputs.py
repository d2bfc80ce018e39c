"""Logs nobody would write on purpose, from import to a second laptop, by the real command line: a clear outcome each."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Person

_MIB = 1024 * 1024
DEEP_TURNS = 3_000  # three times the depth of Python's stack: what recurses once per turn ends here


@dataclass(frozen=True)
class Pair:
    """Ana, who shares everything with the team, and Ben, who is in it."""

    ana: Person
    ben: Person
    logs: Path

    def write(self, *lines: bytes) -> Path:
        """A Claude Code log of these lines."""
        self.logs.mkdir(exist_ok=True)
        path = self.logs / "odd.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def imported(self, *lines: bytes) -> Any:
        """Ana imports the log; the report."""
        return self.ana.json("import", "claude", self.write(*lines))

    def exchanged(self) -> None:
        """Ana pushes, Ben pulls everything; both list the same sessions, and both find nothing wrong with the bucket."""
        self.ana.ok("storage", "sync")
        self.ben.ok("storage", "sync", "--full")
        assert sessions(self.ana) == sessions(self.ben)
        for who in (self.ana, self.ben):
            assert who.json("verify")["findings"] == []


def sessions(who: Person) -> dict[str, Any]:
    """What a list shows of each synced session, by id, without what only its owner's laptop knows."""
    listed = who.json("sessions")["sessions"]
    return {
        each["id"]: {key: each[key] for key in ("turns", "project", "models", "tokens")}
        for each in listed
        if each["synced"]
    }


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pair at rest, made once."""
    root = tmp_path_factory.mktemp("pair")
    ana, ben = (_person(root, name) for name in ("ana", "ben"))
    for who, name in ((ana, "Ana"), (ben, "Ben")):
        who.home.parent.mkdir()
        who.init(name)
    ana.ok("storage", "configure", "--bucket", f"file://{root / 'bucket'}")
    ana.ok("config", "set", "default-visibility", "team")
    ana.ok("team", "create", "Odd")
    ben.ok("team", "join", "-", stdin=ana.json("team", "invite")["link"])
    return root


@pytest.fixture
def pair(template: Path, tmp_path: Path) -> Iterator[Pair]:
    """A copy of the pair with a bucket of its own."""
    root = tmp_path / "pair"
    shutil.copytree(template, root)
    yield Pair(_person(root, "ana"), _person(root, "ben"), tmp_path / "logs")
    shutil.rmtree(root)  # some of these are large


def _person(root: Path, name: str) -> Person:
    return Person(root / name / "home", {"TAPES_STORAGE_BUCKET": f"file://{root / 'bucket'}"})


def user_line(number: int, text: Any = "hello", cwd: str = "/src/odd", **more: Any) -> dict[str, Any]:
    """A prompt, below the one before it."""
    return {
        "type": "user",
        "uuid": f"u{number}",
        "parentUuid": f"u{number - 1}" if number else None,
        "sessionId": "odd",
        "timestamp": "2026-02-14T09:30:00.000Z",
        "cwd": cwd,
        "message": {"role": "user", "content": text},
        **more,
    }


def encoded(record: Any) -> bytes:
    """One line, lone surrogates as JSON's escapes."""
    return json.dumps(record).encode()


def test_an_empty_log_is_no_session(pair: Pair) -> None:
    """A log of 0 bytes is read, makes nothing, and syncing nothing is fine."""
    assert pair.imported()["nodes_new"] == 0
    pair.exchanged()
    assert sessions(pair.ben) == {}


BAD_LINES: dict[str, bytes] = {
    "no UTF-8": b'{"type":"user","message":{"content":"\xff\xfe"}}',
    "a NUL": b'{"type":"user","message":{"content":"\x00"}}',
    "nested 100,000 deep": b'{"type":"user","message":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "a number of 5,000 digits": b'{"type":"user","n":' + b"9" * 5000 + b"}",
    "a number beyond the doubles": b'{"type":"user","n":1e999}',
    "no JSON": b'{"type":"user"',
    "no object": b"[1,2,3]",
}


def test_lines_that_are_no_lines_are_named_and_the_rest_comes(pair: Pair) -> None:
    """Bytes that are no UTF-8, NUL, depth, numbers: each bad line is counted and named, its neighbours reach the other laptop."""
    lines = [encoded(user_line(0)), *BAD_LINES.values(), encoded(user_line(1, "still here"))]

    report = pair.imported(*lines)

    assert report["skipped_lines"] == len(BAD_LINES)
    assert [error["line"] for error in report["errors"]] == list(range(2, 2 + len(BAD_LINES)))
    pair.exchanged()
    (only,) = sessions(pair.ben)
    assert "still here" in pair.ben.ok("show", only).out


def test_texts_that_no_terminal_wants_survive(pair: Pair) -> None:
    """NUL, a lone surrogate, an escape sequence and U+2028 in a text: stored, shown by both alike, and harmless on a screen."""
    text = "a\u0000b \ud800 \u001b[2J\u001b]0;title\u0007 \u2028 end"
    pair.imported(encoded(user_line(0, text)))
    pair.exchanged()
    (only,) = sessions(pair.ben)

    shown = pair.ben.ok("show", only).out
    assert pair.ana.ok("show", only).out == shown
    assert "end" in shown
    assert not set("\x00\x1b\x07") & set(shown)


HOSTILE: dict[str, Callable[[], dict[str, Any]]] = {
    "an integer beyond 64 bits": lambda: user_line(0, "x", n=2**70),
    "tokens that are no count": lambda: {
        **user_line(0, [{"type": "text", "text": "x"}]),
        "type": "assistant",
        "message": {
            "id": "m1",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": "x"}],
            "usage": {"input_tokens": 2**80, "output_tokens": -5, "cache_read_input_tokens": "many"},
        },
    },
    "content that is a number": lambda: user_line(0, 17),
    "content of empty blocks": lambda: user_line(0, [{}, {"type": None}, {"type": {"a": 1}}, 3, None]),
    "a tool input 100 deep": lambda: user_line(
        0, [{"type": "tool_use", "id": "t", "name": "n", "input": _nested(100)}]
    ),
    "a time in another calendar": lambda: user_line(0, "x", timestamp="99999-13-45T25:61:00Z"),
    "a parent that is itself": lambda: user_line(0, "x", parentUuid="u0"),
    "a project of odd characters": lambda: user_line(0, "x", cwd="/src/\u0000\ud800\u202e\n../../etc"),
    "a project of 100,000 characters": lambda: user_line(0, "x", cwd="/src/" + "p" * 100_000),
    "an id of 100,000 characters": lambda: user_line(0, "x", uuid="u" * 100_000),
}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("odd", HOSTILE)
def test_hostile_records_have_a_clear_outcome(pair: Pair, odd: str) -> None:
    """Valid JSON with impossible values: imported or named in the report, and both laptops then show the same."""
    record = HOSTILE[odd]()
    report = pair.imported(encoded(record))

    assert report["nodes_new"] or report["errors"]
    pair.exchanged()
    assert len(sessions(pair.ben)) == bool(report["nodes_new"])


def test_a_key_that_stands_twice_is_one_turn(pair: Pair) -> None:
    """JSON with a repeated key is read as the agent's own reader reads it, and stored so that nobody can read it otherwise."""
    line = encoded(user_line(0, "first")).replace(
        b'"content": "first"', b'"content": "first", "content": "second"'
    )
    pair.imported(line)
    pair.exchanged()
    (only,) = sessions(pair.ben)

    assert "second" in pair.ben.ok("show", only).out
    assert "first" not in pair.ben.ok("show", only).out


NAMES = {
    "only blanks": " \t",
    "a line break": "Ada\nLovelace\u0007",
    "an escape sequence": "\u001b[2J",
    "a lone surrogate": "\udcff",
    "a direction override": "\u202eadA",
    "101 characters": "a" * 101,
}


@pytest.mark.parametrize("odd", NAMES)
def test_a_member_name_is_one_printable_line(tmp_path: Path, odd: str) -> None:
    """What would break another member's list is refused when the identity is made, and nothing is left of it."""
    who = Person(tmp_path / "home")
    done = who.tapes("init", "--yes", "--name", NAMES[odd], "--kit-out", tmp_path / "kit")

    assert done.code == 2, (done.out, done.err)
    assert not (tmp_path / "home" / "identity.json").exists()
    assert not (tmp_path / "kit").exists()


def test_a_turn_of_60_mb_stays_here_and_is_named(pair: Pair) -> None:
    """Over `node_bytes_max`: exit 3 with its id, shown on this laptop; the turn before it reaches the other."""
    pair.imported(encoded(user_line(0, "before")), encoded(user_line(1, "x" * (60 * 1000 * 1000))))
    pushed = pair.ana.tapes("storage", "sync")

    (whole,) = pair.ana.json("sessions")["sessions"]
    assert (pushed.code, whole["turns"], whole["synced"]) == (3, 2, False)
    assert whole["id"] in pushed.err
    pair.ben.ok("storage", "sync", "--full")
    (only,) = sessions(pair.ben)
    assert sessions(pair.ben)[only]["turns"] == 1
    assert pair.ben.json("verify")["findings"] == []


def test_a_chain_of_thousands_is_walked_without_recursion(pair: Pair) -> None:
    """A session deeper than Python's stack: imported, pushed, pulled, listed and shown by both."""
    _chain(pair, DEEP_TURNS)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_chain_of_a_hundred_thousand(pair: Pair) -> None:
    """As above, 100,000 deep."""
    _chain(pair, 100_000)


def _chain(pair: Pair, turns: int) -> None:
    pair.imported(*(encoded(user_line(number, f"turn {number}")) for number in range(turns)))
    pair.exchanged()
    ((only, listed),) = sessions(pair.ben).items()
    assert listed["turns"] >= turns
    assert f"turn {turns - 1}" in pair.ben.ok("show", only).out


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_turn_of_200_mb_stays_here_and_is_named(pair: Pair) -> None:
    """One message in four lines of 50 MB: one node that no frame holds; exit 3, and the rest of the log arrives."""
    blocks = [
        {
            **user_line(number + 1, None),
            "type": "assistant",
            "message": {
                "id": "m1",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": f"{number}" * (50 * _MIB)}],
            },
        }
        for number in range(4)
    ]
    pair.imported(encoded(user_line(0, "before")), *map(encoded, blocks))
    pushed = pair.ana.tapes("storage", "sync")

    assert pushed.code == 3, pushed.err
    pair.ben.ok("storage", "sync", "--full")
    assert len(sessions(pair.ben)) == 1
    assert pair.ana.json("verify")["findings"] == []
