"""docs/recovery.md, run word for word: what a tired operator copies from it works."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.command_line import HOUSE, SAMPLE, Person, seconds_max
from tests.device_linking import link

_PAGE = (HOUSE / "docs" / "recovery.md").read_text()
BLOCKS = dict(re.findall(r"```sh (\S+)\n(.*?)```", _PAGE, re.DOTALL))
# Run by test_linking_by_hand.py, at two terminals.
ELSEWHERE = {
    "lost-laptop/other-device",
    "lost-laptop/new-machine-linking",
}


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """An owner with everything synced, in `bucket`, and the kit beside the home."""
    person = Person(tmp_path / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    person.ok("config", "set", "default-visibility", "team")
    person.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    person.ok("team", "create", "Engine")
    person.ok("storage", "sync")
    return person


def follow(person: Person, chapter: str, folder: Path, **names: str) -> str:
    """Run one block of the page as it stands, in bash, stopping at the first failure; its output."""
    shim = folder / "bin" / "tapes"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tapes "$@"\n')
    shim.chmod(stat.S_IRWXU)
    environ: Mapping[str, str] = {
        **person._environ(),
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(HOUSE),
        "TAPES_KEYS_VAULT": "file",
        "BUCKET": (folder / "bucket").as_uri(),
        "KIT": str(folder / "ada.kit"),
        **names,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", BLOCKS[chapter]],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds_max,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout + done.stderr


def _other_device(person: Person) -> str:
    return next(str(d["id"]) for d in person.json("device", "list")["devices"] if not d["is_this"])


def _sessions(person: Person) -> list[str]:
    return sorted(session["id"] for session in person.json("sessions")["sessions"])


def test_every_block_names_a_chapter_that_is_run() -> None:
    """No block of the page is left out of the tests but those that say where they are run."""
    source = Path(__file__).read_text()

    assert set(BLOCKS) == {name for name in BLOCKS if f'"{name}"' in source}
    assert ELSEWHERE <= set(BLOCKS)


def test_a_lost_laptop(ada: Person, tmp_path: Path) -> None:
    """With the kit alone the new machine has all sessions, and the lost laptop is out."""
    new = Person(tmp_path / "new")
    said = follow(new, "lost-laptop/new-machine-kit", tmp_path)
    assert "the log ends at commit" in said
    follow(new, "lost-laptop/new-machine-after", tmp_path, DEVICE=_other_device(new)[:10])

    assert _sessions(ada) == _sessions(new)
    assert 4 == ada.tapes("storage", "sync").code


def test_a_stolen_laptop(ada: Person, tmp_path: Path) -> None:
    """Revoked from the other device; the page's look around shows nobody unknown and a sound bucket."""
    stolen = Person(tmp_path / "stolen")
    link(ada, stolen)
    said = follow(
        ada, "stolen-laptop/other-device", tmp_path, DEVICE=_other_device(ada)[:10], SINCE="2026-02-14"
    )
    follow(ada, "stolen-laptop/afterwards", tmp_path)

    assert "rotate the bucket credentials now" in said
    assert 4 == stolen.tapes("storage", "sync").code


def test_a_kit_somebody_saw(ada: Person, tmp_path: Path) -> None:
    """The thief's device ends with the old kit, a linked one stays; rescue and recovery need the new page from then on."""
    phone, thief, place = (
        Person(tmp_path / "phone"),
        Person(tmp_path / "thief"),
        (tmp_path / "bucket").as_uri(),
    )
    link(ada, phone)
    thief.ok("recover", "--kit", tmp_path / "ada.kit", "--bucket", place, "--vault", "file")
    said = follow(ada, "seen-kit/any-device", tmp_path)

    assert "rotate the bucket credentials now" in said
    assert 4 == thief.tapes("storage", "sync").code
    assert "your recovery kit was replaced" in phone.ok("storage", "sync").err
    for words in (("recover", "--bucket", place), ("rescue", place, "-o", tmp_path / "rescued")):
        late = Person(tmp_path / "late").tapes(*words, "--kit", tmp_path / "ada.kit")
        assert (4, True) == (late.code, "this kit was replaced" in late.err)
    new = Person(tmp_path / "new")
    new.ok("recover", "--kit", tmp_path / "new-kit.txt", "--bucket", place, "--vault", "file")
    new.ok("recover", "--kit", tmp_path / "new-kit.txt", "--bucket", place, "--vault", "file")
    new.ok("storage", "sync")
    assert _sessions(ada) == _sessions(new)
    ada.ok("storage", "sync")
    assert 3 == ada.json("team", "members")["members"][0]["devices"]
    new.ok("verify")


def test_a_lost_kit(ada: Person, tmp_path: Path) -> None:
    """A new identity takes over: owner, all own turns pushed again under it, the old kit shut out."""
    new = Person(tmp_path / "new")
    names = {"NEW_HOME": str(new.home), "NAME": "Ada again"}
    before = _sessions(ada)
    follow(ada, "lost-kit/new-identity", tmp_path, **names)
    new.ok("config", "set", "default-visibility", "team")
    follow(ada, "lost-kit/invite", tmp_path, **names)
    follow(ada, "lost-kit/join", tmp_path, **names)
    me = next(str(m["id"]) for m in new.json("team", "members")["members"] if m["is_me"])
    follow(ada, "lost-kit/owner", tmp_path, NEW_MEMBER=me[:12], **names)
    said = follow(ada, "lost-kit/leave", tmp_path, **names)

    assert "Ada again" in said
    assert before == _sessions(new)
    late = Person(tmp_path / "late").tapes(
        "recover", "--kit", tmp_path / "ada.kit", "--bucket", (tmp_path / "bucket").as_uri()
    )
    assert (4, True) == (late.code, "left or was removed" in late.err)


def test_a_member_gone(ada: Person, tmp_path: Path) -> None:
    """Removed by the owner, listed as removed, and told so at its next sync."""
    bob = Person(tmp_path / "bob").init("Bob")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    ada.ok("storage", "sync")
    target = next(str(m["id"]) for m in ada.json("team", "members")["members"] if not m["is_me"])
    said = follow(ada, "member-gone/admin", tmp_path, MEMBER=target[:12])

    assert "rotate the bucket credentials now" in said
    assert "removed" in said
    assert 4 == bob.tapes("storage", "sync").code


def test_a_restored_bucket(ada: Person, tmp_path: Path) -> None:
    """A bucket as of last night: commits and manifests come back, lost turns are sent again, and a newcomer reads them all."""
    bucket, night = tmp_path / "bucket", tmp_path / "night"
    shutil.copytree(bucket, night)
    ada.ok("import", "codex", SAMPLE.parent / "codex")
    ada.ok("storage", "sync")
    turns = ada.json("storage", "status")["local"]["nodes"]
    shutil.rmtree(bucket)
    shutil.copytree(night, bucket)
    assert 6 == ada.tapes("storage", "sync").code
    said = follow(ada, "restored-bucket/last-device", tmp_path)
    again = follow(ada, "restored-bucket/every-device", tmp_path)
    given_up = follow(ada, "restored-bucket/give-up", tmp_path)

    assert "still missing" in said
    assert "sends them again" in said
    assert "sends them again" not in again
    assert "given up by device" in given_up
    assert 0 == ada.tapes("doctor", "--heal-log").code
    new = Person(tmp_path / "new")
    follow(new, "lost-laptop/new-machine-kit", tmp_path)
    new.ok("storage", "sync", "--full")
    assert _sessions(ada) == _sessions(new)
    assert turns == len(new.json("sql", "SELECT hash FROM nodes")["rows"])


def test_leaked_credentials_and_a_damaged_object(ada: Person, tmp_path: Path) -> None:
    """A sound bucket passes; with a pack cut the page names it, and rescue brings home what is left."""
    follow(ada, "leaked-credentials/any-device", tmp_path)
    pack = next(path for path in (tmp_path / "bucket" / "packs").rglob("*") if path.is_file())
    pack.write_bytes(pack.read_bytes()[:-1])
    found = follow(ada, "damaged/any-device", tmp_path)
    rescued = follow(ada, "damaged/rescue", tmp_path)

    assert "findings: see above" in found
    assert pack.name in found
    assert pack.name in rescued
