"""`make demo`: the demo ends well, and a demo that finds a difference does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapes import demo
from tests.command_line import HOUSE


def test_the_demo_plays(tmp_path: Path) -> None:
    """Two people, one folder, the same sessions, nothing readable: exit 0, and nothing left behind."""
    done = subprocess.run(
        [sys.executable, "-m", "tapes.demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    for shown in ("same: ", "none is there", "everything is as it was signed", "log/000000000000"):
        assert shown in done.stdout
    assert [] == list(tmp_path.iterdir())


def test_a_readable_word_in_the_bucket_fails_the_demo(tmp_path: Path) -> None:
    """The search does find what is there: in an object's bytes, and in a name."""
    word = min(word for word in demo._words_of_sample() if "/" not in word)
    (tmp_path / "object").write_bytes(b"\x00" + word.encode() + b"\x00")

    with pytest.raises(demo.Differs, match="readable"):
        demo._look_into(tmp_path)
    (tmp_path / "object").unlink()
    (tmp_path / word).write_bytes(b"sealed")
    with pytest.raises(demo.Differs, match="readable"):
        demo._look_into(tmp_path)


def test_a_command_that_fails_fails_the_demo(tmp_path: Path) -> None:
    """An exit code other than 0 is not passed over."""
    with pytest.raises(demo.Differs, match="exit code 2"):
        demo.Person("ada", tmp_path / "ada").tapes("storage", "sync")
