"""The resident process: its answers are those of a command that does the work, and without it nothing is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import tapes.answering.asking
from query.answers import Answer
from tapes.answering.asking import ask
from tapes.answering.hosting import Answering
from tapes.answering.protocol import Question, Reply, is_same_user, spoken_version
from tapes.answering.server import Server
from tapes.answering.standing import Known
from tests.command_line import HOUSE, SAMPLE, Person
from tests.watching import until

SEARCHES = (
    ("kite",),
    ("test* OR kite", "--sort", "relevance"),
    ("kite -frobnicate", "--sort", "cost", "--limit", "2"),
    ("kite", "--scope", "turn", "--limit", "5"),
    ("kite", "--scope", "tool"),
    ("project:* status:completed", "--sort", "tokens"),
    ("test", "tool:Bash", "--since", "2020-01-01", "--tz", "UTC"),
)
LISTS = (
    ("sessions",),
    ("sessions", "--model", "claude-*", "--turns", ">2"),
    ("sessions", "--sort", "cost", "--limit", "3"),
    ("stats", "--period", "3000d"),
    ("stats", "--period", "3000d", "--team", "--tz", "Europe/Vienna"),
    ("stats", "--period", "3000d", "--members"),
    ("stats", "--period", "3000d", "--fold-small"),
)
# What is slow to import, or belongs to opening a home; the last are those of our own that bring others along.
ENGINES = {
    "duckdb", "pyarrow", "numpy", "apsw", "sqlite3", "boto3", "botocore", "nacl", "cryptography", "keyring", "zstandard",
    "genai_prices", "prompt_toolkit", "store.nodes", "sync.client", "query.source", "tapes.commands.desk",
}  # fmt: skip
# A home without a team does without these, and they are slow to import.
OF_TEAMS = {
    "boto3",
    "botocore",
    "keyring",
    "genai_prices",
    "sync.pull",
    "sync.push",
    "sync.cloud",
}


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a name that leaves room for a socket's."""
    with TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


@pytest.fixture
def ada(short: Path) -> Person:
    """Ada, with the sample logs imported."""
    person = Person(short / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    return person


class Resident:
    """The process, seen from outside."""

    def __init__(self, person: Person) -> None:
        self.socket = person.home / "answering.sock"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tapes.answering.server"],
            env=person._environ(),
            cwd=HOUSE,
            stdin=subprocess.PIPE,
        )
        until(self.socket.is_socket, what="the resident process listens")

    def asked(self, **fields: Any) -> Reply:
        """Its bare reply to a question."""
        plain: dict[str, Any] = {"version": spoken_version(), "about": "search", "chosen": {"text": "kite"}}
        plain |= {"now": datetime.now(UTC).isoformat(), "machine_zone": os.environ.get("TZ")}
        return Reply.model_validate_json(self.said(json.dumps(plain | fields).encode() + b"\n"))

    def said(self, line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(60)
            peer.connect(str(self.socket))
            peer.sendall(line)
            return b"".join(iter(lambda: peer.recv(65_536), b""))

    def end(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture
def resident(ada: Person) -> Iterator[Resident]:
    """Ada's resident process."""
    running = Resident(ada)
    yield running
    running.process.send_signal(signal.SIGCONT)
    running.end()


def test_it_answers_as_a_command_does_with_and_without_an_index(ada: Person) -> None:
    """Every kind of question: the same JSON from the resident process, from a command alone, and from a scan of all texts."""
    alone = [ada.json("search", *words) for words in SEARCHES]
    scanned = [ada.json("search", *words, "--scan") for words in SEARCHES]
    listed = [_timeless(ada.json(*words)) for words in LISTS]
    running = Resident(ada)
    try:
        running.asked()
        (ada.home / "index" / "words.db").unlink()  # a command that did the work would make it again

        assert alone == [ada.json("search", *words) for words in SEARCHES]
        assert listed == [_timeless(ada.json(*words)) for words in LISTS]
        assert ada.ok("search", "kite").out
        assert not (ada.home / "index" / "words.db").exists()
    finally:
        running.end()
    assert all(one["total"]["matches"] for one in alone[:5])
    assert _unranked(alone) == _unranked(scanned)


@pytest.mark.parametrize(
    "words", [("search", "kite"), ("sessions",), ("stats", "--period", "3000d", "--json")]
)
def test_an_answered_command_loads_no_engine(ada: Person, resident: Resident, words: tuple[str, ...]) -> None:
    """A command that is answered loads nothing that finds answers; one that does the work alone, nothing of teams."""
    resident.asked()
    answered = ada.loaded(*words)
    resident.end()

    assert not answered & ENGINES
    alone = ada.loaded(*words)
    assert alone >= {"duckdb", "pyarrow", "numpy", "sqlite3"}
    assert not alone & OF_TEAMS


def _unranked(answers: list[Any]) -> list[Any]:
    """Without what says how many were ranked: a scan ranks all."""
    return [{**answer, "ranked_newest": None} for answer in answers]


def _timeless(answer: Any) -> Any:
    """An answer of today; a run across midnight would differ in its days alone."""
    return {name: value for name, value in answer.items() if name != "days"}


def test_new_costs_are_in_the_next_answer(ada: Person, resident: Resident, short: Path) -> None:
    """After `tapes reprice`, and after its reset, lists and dashboards have those costs at once."""
    questions = (["sessions"], ["stats", "--period", "3000d"])
    resident.asked()
    first = [_timeless(ada.json(*words)) for words in questions]
    (short / "t.toml").write_text("name = 't'\n[[price]]\nmodel = '*'\ninput = 1\noutput = 1\n")
    ada.ok("reprice", "--table", short / "t.toml")
    other = [_timeless(ada.json(*words)) for words in questions]
    ada.ok("reprice", "--reset")

    assert all(one != two for one, two in zip(first, other, strict=True))
    assert first == [_timeless(ada.json(*words)) for words in questions]


def test_what_is_imported_is_in_the_next_answer(ada: Person, resident: Resident, short: Path) -> None:
    """No answer is older than the home: new turns are found at once, without a restart."""
    before = json.loads(resident.asked().answer)["matches"]
    more = short / "more" / "p"
    more.mkdir(parents=True)
    line = {
        "type": "user", "uuid": "u1", "parentUuid": None, "sessionId": "s1", "timestamp": "2026-02-14T09:30:00.000Z",
        "cwd": "/p", "version": "2.0.0", "message": {"role": "user", "content": "another kite"},
    }  # fmt: skip
    (more / "s1.jsonl").write_text(json.dumps(line) + "\n")
    ada.ok("import", "claude", short / "more")

    assert json.loads(resident.asked().answer)["matches"] == before + 1
    assert ada.json("search", "kite")["total"]["matches"] == before + 1


def test_what_a_pull_brought_is_in_the_next_answer(short: Path) -> None:
    """Bob's process answered before Ada pushed; after his sync it finds her turns, as a command does."""
    bucket = ("storage", "configure", "--bucket", f"file://{short / 'bucket'}")
    ada, bob = Person(short / "ada").init("Ada"), Person(short / "bob").init("Bob")
    ada.ok(*bucket)
    ada.ok("team", "create", "Kites")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    running = Resident(bob)
    try:
        assert json.loads(running.asked().answer)["matches"] == 0
        ada.ok("config", "set", "default-visibility", "team")
        ada.ok("import", "claude", SAMPLE)
        ada.ok("storage", "sync")
        bob.ok("storage", "sync")
        found = json.loads(running.asked().answer)
    finally:
        running.end()

    assert found["matches"] == bob.json("search", "kite")["total"]["matches"] > 0


def test_a_question_it_cannot_answer_rightly_is_refused(resident: Resident) -> None:
    """Another version, another zone for "today", no question at all: refused with the reason, and the process lives on."""
    other_version = resident.asked(version="0/0")
    other_zone = resident.asked(machine_zone="Mars/Olympus")
    nonsense = Reply.model_validate_json(resident.said(b"hello\n"))
    unknown_filter = resident.asked(chosen={"colour": "red"})

    assert "this is" in (other_version.refused or "")
    assert other_zone.refused == "another time zone"
    assert "another version" in (nonsense.refused or "")
    assert unknown_filter.refused == "UsageError"
    assert resident.asked().refused is None


def test_a_process_that_hangs_keeps_nobody_waiting(
    ada: Person, resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a signal or killed with its socket left behind: the command does the work itself."""
    monkeypatch.setattr(tapes.answering.asking, "_silence_seconds_max", 0.3)
    expected = json.loads(resident.asked().answer)["matches"]
    resident.process.send_signal(signal.SIGSTOP)
    assert ada.json("search", "kite")["total"]["matches"] == expected

    resident.process.kill()
    resident.process.wait()

    assert resident.socket.is_socket()
    assert ada.json("search", "kite")["total"]["matches"] == expected


def test_it_is_for_its_own_user_and_ends_with_its_parent(
    resident: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is 0600, the kernel says who is at the other end, and nothing is left when the parent goes."""
    assert 0o600 == resident.socket.stat().st_mode & 0o777
    limits = Path(f"/proc/{resident.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)  # what it holds must not lie about after a crash
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(resident.socket))
        assert is_same_user(peer)
        monkeypatch.setattr(os, "getuid", lambda: 12_345)
        assert not is_same_user(peer)
    monkeypatch.undo()
    resident.end()

    assert not resident.socket.exists()


def test_the_watch_hosts_it_and_takes_it_down(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by its host it answers; stopped, its process is gone."""
    for name, value in ada._environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(HOUSE)
    hosted = Answering()
    hosted.start()
    path = ada.home / "answering.sock"
    question = Question(
        version=spoken_version(), about="search", now=datetime.now(UTC), machine_zone=os.environ.get("TZ"),
        chosen={"text": "kite"},
    )  # fmt: skip
    answered = until(lambda: ask(path, question, Answer), what="an answer")
    child = hosted._child
    assert child is not None
    assert hosted.stop(20)

    assert answered[0].matches > 0
    assert child.poll() is not None
    assert ask(path, question, Answer) is None


class _Slow:
    """What is known, of which nothing is ever found: it waits until it is interrupted."""

    def __init__(self) -> None:
        self.begun, self.interrupted = threading.Event(), threading.Event()

    def interrupt(self) -> None:
        self.interrupted.set()


class _SlowStanding:
    def __init__(self, known: _Slow) -> None:
        self.known: Any = known
        self.forgotten = 0

    def answer(self, question: Question) -> Reply:
        if question.about == "stats":
            return Reply(version=spoken_version(), answer="quick")
        self.known.begun.set()
        assert self.known.interrupted.wait(30)
        raise InterruptedError

    def forget(self) -> None:
        self.forgotten += 1

    def refresh(self) -> Known:
        return self.known  # type: ignore[no-any-return]


def test_who_hangs_up_ends_the_work(short: Path) -> None:
    """A command that was interrupted leaves nothing running: its question ends, what is known stays, the next one is answered."""
    server, slow = Server(short / "s.sock"), _Slow()
    standing = _SlowStanding(slow)
    server._standing = standing  # type: ignore[assignment]
    working = threading.Thread(target=server.run)
    working.start()
    until((short / "s.sock").is_socket, what="it listens")
    plain = {"version": spoken_version(), "now": datetime.now(UTC).isoformat()}
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(short / "s.sock"))
        peer.sendall(json.dumps({**plain, "about": "search"}).encode() + b"\n")
        assert slow.begun.wait(30)
    assert slow.interrupted.wait(30)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(30)
        peer.connect(str(short / "s.sock"))
        peer.sendall(json.dumps({**plain, "about": "stats"}).encode() + b"\n")
        answer = b"".join(iter(lambda: peer.recv(65_536), b""))
    forgotten = standing.forgotten
    server.end()
    working.join(30)

    assert Reply.model_validate_json(answer).answer == "quick"
    assert forgotten == 0
