"""`tapes member rekey`, killed by the kernel: the next run ends with one kit that counts, and says which page that is."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import HOUSE, Person, seconds_max

# A process whose writes end it: `place` is a method of ours, `after` whether it still happens.
_KILLED = """
import importlib, os, signal, sys
module, owner, method, after = sys.argv[1:5]
holder = importlib.import_module(module)
holder = getattr(holder, owner) if owner else holder
real = getattr(holder, method)
def last(*words, **named):
    if method == "put_if_absent" and not words[1].startswith("log/"):
        return real(*words, **named)
    if after == "after":
        real(*words, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(holder, method, last)
from tapes.cli import run
sys.exit(run(sys.argv[5:]))
"""


def _killed(person: Person, place: tuple[str, str, str, str], *words: str | Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, *place, *map(str, words)],
        env=person._environ() | {"PYTHONPATH": str(HOUSE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds_max,
        check=False,
    )
    return done.returncode


def _mark(page: Path) -> str:
    [mark] = re.findall(r"^mark: ([0-9a-f]{8})$", page.read_text(), re.MULTILINE)
    return str(mark)


@pytest.mark.parametrize(
    ("place", "counts"),
    [
        (("tapes.commands.member_rekey", "", "hand_over_kit", "after"), "third"),
        (("sync.replica", "Replica", "journal_write", "before"), "third"),
        (("store.directory", "DirectoryStore", "put_if_absent", "before"), "second"),
        (("store.directory", "DirectoryStore", "put_if_absent", "after"), "second"),
    ],
    ids=["kit-handed-over", "journal", "slot-before", "slot-after"],
)
def test_a_killed_rekey_is_settled_by_the_next(
    tmp_path: Path, place: tuple[str, str, str, str], counts: str
) -> None:
    """Before the journal the old kit counts and is replaced now; from then on the page that was handed over, and it is named."""
    ada = Person(tmp_path / "ada").init("Ada")
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("team", "create", "Engine")
    pages = {name: tmp_path / name for name in ("second", "third")}
    words = ("member", "rekey", "--yes", "--kit", tmp_path / "ada.kit", "--kit-out")
    assert -signal.SIGKILL == _killed(ada, place, *words, pages["second"])
    again = ada.tapes(*words, pages["third"])

    assert ((4, True) if counts == "second" else (0, True)) == (again.code, _mark(pages[counts]) in again.err)
    for name, page in {
        "first": tmp_path / "ada.kit",
        **{n: p for n, p in pages.items() if p.exists()},
    }.items():
        place_of = ("--bucket", (tmp_path / "bucket").as_uri(), "--vault", "file")
        done = Person(tmp_path / f"new-{name}").tapes("recover", "--kit", page, *place_of)
        assert (0 if name == counts else 4) == done.code, done.err
    assert pages["third"].exists() == (counts == "third")
