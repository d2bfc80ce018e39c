"""The way in: closed before any command runs (no key in a core file, none for a debugger of the same user), and lean.

And the way out: the process ends at once, but not before what it still owes.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import HOUSE

_REPORT = (
    "import ctypes, os, resource, sys; from tapes.__main__ import main; sys.argv = ['tapes', *sys.argv[1:]];"
    "main(); print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), os.umask(0))"
)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_loading_numpy_starts_no_threads(tmp_path: Path) -> None:
    """The way in keeps libraries lean: no thread for each core, which a one-shot command would only wait for."""
    code = (
        "import sys; from tapes.__main__ import main; sys.argv = ['tapes', '--version']; main();"
        "import os, numpy; print(len(os.listdir('/proc/self/task')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"TAPES_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": ""},
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize(
    "words", [["--version"], ["device", "list"], ["recover"], ["no-such-command"]], ids=" ".join
)
def test_every_way_through_main_is_closed(words: list[str], tmp_path: Path) -> None:
    """Whatever the command, and however it ends: core limit 0 for good, not dumpable, new files for the owner only."""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT, *words],
        env={"TAPES_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": ""},
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"(0, 0) 0 {0o077}" == done.stdout.splitlines()[-1]


def _ended(tmp_path: Path, before: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """A program's whole life, `before` run in it first."""
    code = (
        "import atexit, sys, threading; from tapes.__main__ import program;"
        f"{before}; sys.argv = ['tapes', *sys.argv[1:]]; program()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={"TAPES_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": ""},
        cwd=HOUSE, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_end_leaves_nothing_out(tmp_path: Path) -> None:
    """All output is written, what was registered for the exit runs, the code is the command's; the rest goes at once."""
    kept = "sys.kept = type('Kept', (), {'__del__': lambda _: print('taken apart')})()"
    before = f"{kept}; sys.stdout.write('before '); atexit.register(print, 'registered')"
    good, bad = _ended(tmp_path, before, "--version"), _ended(tmp_path, before, "no-such-command")

    assert (0, ["before", "0.1.0", "registered"]) == (good.returncode, good.stdout.split())
    assert (2, ["before", "registered"]) == (bad.returncode, bad.stdout.split())


def test_a_thread_that_works_is_waited_for(tmp_path: Path) -> None:
    """Where a thread is left, the interpreter ends as always: after it."""
    before = "threading.Thread(target=lambda: (threading.main_thread().join(), print('done'))).start()"

    assert ["0.1.0", "done"] == _ended(tmp_path, before, "--version").stdout.split()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_output_that_finds_no_place_is_no_success(tmp_path: Path) -> None:
    """What was still to be written and cannot be: the interpreter's own exit code, not the command's."""
    before = "sys.stdout = open('/dev/full', 'w'); atexit.register(sys.stdout.write, 'late')"

    assert 120 == _ended(tmp_path, before, "no-such-command").returncode
