"""The way in: closed before any command runs (no key in a core file, none for a debugger of the same user), and lean."""

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
