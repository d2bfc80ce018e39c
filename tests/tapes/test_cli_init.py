"""`tapes init`: the kit is in its owner's hands first, and there is never a second identity."""

import re
import stat
from pathlib import Path

import pytest

from crypto.identities import member_id, member_keys
from crypto.kit import secret_of
from tests.command_line import Person


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody with nothing yet."""
    return Person(tmp_path / "ada")


def _secret_in(text: str) -> bytes:
    numbered = re.findall(r"(?<![0-9])([0-9]{1,2}) ([a-z]+)", text)
    return secret_of(" ".join(word for _, word in sorted(numbered, key=lambda pair: int(pair[0]))))


def test_an_unattended_init_writes_the_kit_to_a_file(ada: Person, tmp_path: Path) -> None:
    """The kit's words give exactly this member back; the file is private; everything in the home is, too."""
    kit = tmp_path / "kit.txt"
    made = ada.json("init", "--yes", "--name", "Ada", "--kit-out", kit)

    assert made["member_id"] == member_id(member_keys(_secret_in(kit.read_text())).public).hex()
    assert 0o600 == stat.S_IMODE(kit.stat().st_mode)
    assert str(kit) == made["kit_file"]
    for path in [ada.home, *ada.home.rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_the_members_secret_rests_nowhere(ada: Person, tmp_path: Path) -> None:
    """Neither the 32 bytes, nor their hex, nor any three words of the kit in a row stand in the home."""
    kit = tmp_path / "kit.txt"
    ada.ok("init", "--yes", "--name", "Ada", "--kit-out", kit)
    secret = _secret_in(kit.read_text())
    words = re.findall(r"[0-9]{1,2} ([a-z]+)", kit.read_text())[:3]

    for path in (path for path in ada.home.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert secret not in data
        assert secret.hex().encode() not in data
        assert " ".join(words).encode() not in data


def test_nothing_on_stdout_but_the_answer(ada: Person, tmp_path: Path) -> None:
    """Without --json stdout is empty: the kit's words would otherwise end in a log."""
    assert "" == ada.ok("init", "--yes", "--name", "Ada", "--kit-out", tmp_path / "kit.txt").out


def test_a_second_init_is_refused(ada: Person, tmp_path: Path) -> None:
    """Exit 2, the first identity stays, and no second kit is written."""
    first = ada.json("init", "--yes", "--name", "Ada", "--kit-out", tmp_path / "one")
    again = ada.tapes("init", "--yes", "--name", "Eve", "--kit-out", tmp_path / "two")

    assert 2 == again.code
    assert not (tmp_path / "two").exists()
    assert first["device_id"][:12] in ada.ok("doctor").out


def test_an_existing_kit_file_is_not_overwritten(ada: Person, tmp_path: Path) -> None:
    """It may be the only copy of another identity's kit: exit 2, nothing made."""
    (tmp_path / "kit").write_text("precious")
    done = ada.tapes("init", "--yes", "--kit-out", tmp_path / "kit")

    assert 2 == done.code
    assert "precious" == (tmp_path / "kit").read_text()
    assert not (ada.home / "identity.json").exists()


def test_at_a_terminal_the_kit_is_shown_and_confirmed(ada: Person) -> None:
    """The words on the screen are the member's; two of them, typed back, make the identity."""
    done = ada.at_terminal(
        "init", "--vault", "file", answers={r"Your name.*?:": "Ada", r"Type word (\d+) of the kit:": "@kit"}
    )

    assert 0 == done.code, done.out
    shown = done.out.split("Whoever", maxsplit=1)[0]
    assert (
        member_id(member_keys(_secret_in(shown)).public).hex()[:12]
        in done.out.split("Whoever", maxsplit=1)[1]
    )


def test_a_kit_that_is_not_confirmed_makes_nothing(ada: Person) -> None:
    """Three wrong confirmations end with 2 and leave no identity and no key."""
    done = ada.at_terminal("init", "--name", "Ada", answers={r"Type word (\d+) of the kit:": "wrong"})

    assert 2 == done.code
    assert not (ada.home / "identity.json").exists()
    assert not (ada.home / "keys").exists()


def test_a_passphrase_protects_the_device_key(ada: Person, tmp_path: Path) -> None:
    """With TAPES_PASSPHRASE_FILE the key does not open without it (exit 4) and opens with it."""
    (tmp_path / "p").write_text("correct horse\n")
    careful = Person(ada.home, {"TAPES_PASSPHRASE_FILE": str(tmp_path / "p")})
    careful.ok("init", "--yes", "--name", "Ada", "--kit-out", tmp_path / "kit")

    assert 4 == ada.tapes("doctor").code
    assert "key in files" in careful.ok("doctor").out
