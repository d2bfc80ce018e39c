"""The command line as scripts meet it: exit codes, channels, pipes, interrupts; never a traceback."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapes import cli
from tapes.cli import COMMANDS
from tests.command_line import HOUSE, SAMPLE, Person

_HEAVY = {
    "pyarrow",
    "duckdb",
    "boto3",
    "botocore",
    "pydantic",
    "nacl",
    "genai_prices",
    "keyring",
    "mnemonic",
    "tomlkit",
}


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody with nothing yet."""
    return Person(tmp_path / "ada")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["storage", "--help"], []])
def test_help_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    """What a shell runs a hundred times a day starts without databases, clouds and ciphers."""
    code = f"import sys; from tapes.cli import run; run({words!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TAPES_HOME": str(tmp_path)},
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout
    assert set() == _HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_every_command_has_help_with_an_example_that_parses(command: cli._Command, ada: Person) -> None:
    """`--help` names the command, `--json` and examples; their options exist (tests/e2e/test_examples.py runs them)."""
    done = ada.tapes(*command.words.split(), "--help")

    assert 0 == done.code
    assert f"Usage: tapes {command.words}" in done.out
    assert "--json" in done.out
    assert ("Examples: " if command.more else f"Example: {command.example}") in " ".join(done.out.split())
    for example in (command.example, *command.more):
        assert " ".join(example.split()) in " ".join(done.out.split())
        words = shlex.split(example)[1:]
        words = words[: words.index("|")] if "|" in words else words
        chosen, _, ignored = cli.build().parse_args(words, exit_on_error=False, print_error=False)
        assert callable(chosen)
        assert not ignored
    assert shlex.split(command.example)[1:][: len(command.words.split())] == command.words.split()


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["show"],
        ["sessions", "--nonsense"],
        ["config", "get", "storage.nonsense"],
        ["config", "set", "ui.color", "pink"],
        ["storage", "set-provider", "sky"],
        ["storage", "set-provider", "cloud"],
        ["storage", "set-provider", "hybrid"],
        ["storage", "configure"],
        ["storage", "configure", "--bucket", "ftp://x/y"],
        ["storage", "sync"],
        ["import", "claude", "/does/not/exist"],
        ["init"],
        ["team", "join"],
        ["team", "join", "not-a-link"],
        ["team", "join", "--link-file", "/does/not/exist"],
        ["team", "invite", "--uses", "0"],
        ["team", "invite", "--expires", "soon"],
        ["team", "create", ""],
        ["show", "abc"],
        ["show", "abcdef012345"],
    ],
    ids=" ".join,
)
def test_a_wrong_request_ends_with_2_and_says_so_on_stderr(words: list[str], ada: Person) -> None:
    """Two lines at most, no traceback, nothing on stdout, and no effect on the home."""
    done = ada.tapes(*words)

    assert 2 == done.code, done.err
    assert done.out == ""
    assert done.err.startswith(("error: ", "warning: "))
    assert "Traceback" not in done.err
    assert not (ada.home / "identity.json").exists()


@pytest.mark.parametrize(
    "words", [["team", "create", "x"], ["team", "members"], ["team", "invite"], ["verify"]]
)
def test_what_needs_an_identity_ends_with_4_and_names_init(
    words: list[str], ada: Person, tmp_path: Path
) -> None:
    """With a bucket but no identity, every command of a team says which command comes first."""
    ada.ok("config", "set", "storage.bucket", (tmp_path / "bucket").as_uri())
    done = ada.tapes(*words)

    assert (4, True) == (done.code, "tapes init" in done.err)


def test_a_home_that_is_no_folder_says_what_to_set(tmp_path: Path) -> None:
    """The simplest broken surrounding is one line and a hint."""
    (tmp_path / "file").write_text("")
    done = Person(tmp_path / "file").tapes("sessions")

    assert 2 == done.code
    assert "set TAPES_HOME" in done.err


def test_a_bucket_that_cannot_be_reached_ends_with_5(ada: Person) -> None:
    """Connection refused on loopback: exit 5, nothing saved."""
    person = Person(
        ada.home,
        {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"},
    )
    done = person.tapes(
        "storage",
        "configure",
        "--bucket",
        "s3://bucket/x",
        "--endpoint-url",
        "http://127.0.0.1:9",
        "--region",
        "eu",
    )

    assert 5 == done.code, done.err
    assert None is person.json("config", "get", "storage.bucket")["value"]


def test_an_unexpected_error_is_one_line_and_a_private_file(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1, the details in the home for its owner only, the message (which may quote data) not on the screen."""

    def broken(_flags: object) -> None:
        raise ZeroDivisionError("the user's secret")

    monkeypatch.setattr("tapes.commands.config_list.begin", broken)
    done = ada.tapes("config", "list")

    assert 1 == done.code
    assert "ZeroDivisionError" in done.err
    assert "secret" not in done.err
    [report] = (ada.home / "crashes").iterdir()
    assert str(report) in done.err
    assert "ZeroDivisionError: the user's secret" in report.read_text()


def test_errors_cannot_drive_the_terminal(ada: Person) -> None:
    """A hostile name in an argument comes back harmless."""
    done = ada.tapes("config", "get", "\x1b]0;owned\x07")

    assert 2 == done.code
    assert "\x1b" not in done.err


def test_a_full_disk_behind_stdout_is_said_and_leaves_no_crash(ada: Person) -> None:
    """`tapes sessions > file` where no room is left: exit 5 with what to do, for every kind of answer."""
    ada.ok("import", "claude", SAMPLE)
    for words in (["sessions"], ["stats", "--json"], ["sql", "SELECT 1"], ["export", "--all"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "tapes", *words],
                env={**os.environ, "TAPES_HOME": str(ada.home)},
                cwd=HOUSE,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (5, True) == (done.returncode, "the disk is full" in done.stderr), done.stderr
        assert "free some space" in done.stderr
    assert not (ada.home / "crashes").exists()


def test_a_reader_that_goes_away_is_no_error(ada: Person) -> None:
    """With nobody at the other end of stdout, commands are quiet and their own exit codes stand."""
    ada.ok("import", "claude", SAMPLE)
    head = ada.json("sessions")["sessions"][0]["id"]
    for words, code in (
        (["sessions"], 0),
        (["sessions", "--json"], 0),
        (["show", "--full", head], 0),
        (["--help"], 0),
        (["config", "list"], 0),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tapes", *words],
                env={**os.environ, "TAPES_HOME": str(ada.home)},
                cwd=HOUSE,
                stdout=writer,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        finally:
            os.close(writer)
        assert (code, False) == (done.returncode, "rror" in done.stderr), (words, done.stderr)


def test_an_interrupt_ends_with_130_and_no_traceback(ada: Person) -> None:
    """Ctrl-C while a command waits for its input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tapes", "team", "join", "-"],
        env={**os.environ, "TAPES_HOME": str(ada.home)},
        cwd=HOUSE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wchan = Path(f"/proc/{process.pid}/wchan")
    deadline = time.monotonic() + 20
    while wchan.exists() and "pipe" not in wchan.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    if not wchan.exists():
        time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert (130, "", "interrupted\n") == (process.returncode, out, err)


def test_no_colour_where_there_is_no_terminal(ada: Person) -> None:
    """Piped output has no escape sequence unless it is asked for; NO_COLOR and --color never silence a terminal, too."""
    ada.ok("import", "claude", SAMPLE)
    head = ada.json("sessions")["sessions"][0]["id"]

    assert "\x1b[" not in ada.ok("show", head).out
    assert "\x1b[" in ada.ok("show", head, "--color", "always").out
    assert "\x1b[" in Person(ada.home, {"FORCE_COLOR": "1"}).ok("show", head).out
    assert "\x1b[" in ada.at_terminal("show", head).out
    assert "\x1b[" not in ada.at_terminal("show", head, "--color", "never").out
    assert "\x1b[" not in Person(ada.home, {"NO_COLOR": "1"}).at_terminal("show", head).out


def test_a_terminal_of_any_width_gets_a_list_that_fits(ada: Person) -> None:
    """At 60 columns and at 160, no line of the list is wider than the screen and every id is there."""
    ada.ok("import", "claude", SAMPLE)
    ids = [session["id"][:12] for session in ada.json("sessions")["sessions"]]
    for columns in (60, 160):
        screen = ada.at_terminal("sessions", "--color", "never", columns=columns).out
        assert all(found in screen for found in ids)
        assert max(map(len, screen.splitlines())) <= columns


def test_secrets_cannot_be_dumped(tmp_path: Path) -> None:
    """The process has no core file and, on Linux, is not dumpable; its new files are for the owner only."""
    code = (
        "import ctypes, os, resource, sys; from crypto.secret_process import keep_secrets_in; keep_secrets_in();"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], os.umask(0),"
        " ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == 'linux' else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True, text=True, check=True)

    assert f"0 {0o077} 0\n" == done.stdout


def test_everything_a_command_writes_is_for_its_owner_only(ada: Person) -> None:
    """Databases, settings and locks are 0600 in a folder of 0700, whatever the shell's umask is."""
    done = ada.process("import", "claude", SAMPLE)
    assert 0 == done.code, done.err
    ada.process("config", "set", "ui.color", "never")

    for path in [ada.home, *ada.home.rglob("*")]:
        assert not path.stat().st_mode & 0o077, path
