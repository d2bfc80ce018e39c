"""The home: for its owner only, one writer at a time, one identity for ever."""

import stat
import threading
from pathlib import Path

import pytest

from crypto.errors import FormatBroken, KeyNeeded, TapesError, UsageError
from crypto.vault import FileVault
from sync.home_lock import HomeLock
from tapes.home import Home, current_home, read_passphrase
from tapes.identity import check_name, create_identity, load_identity, write_private


def test_tapes_home_moves_all_state(tmp_path: Path) -> None:
    """Every path of a home lies below TAPES_HOME; without it, below ~/.tapes."""
    home = current_home({"TAPES_HOME": str(tmp_path / "x")})
    paths = [home.config, home.identity, home.replica, home.cache, home.evidence, home.crashes]

    assert all(path.is_relative_to(tmp_path / "x") for path in paths)
    assert Path.home() / ".tapes" == current_home({}).path


def test_a_home_is_closed_to_others(tmp_path: Path) -> None:
    """A new home is 0700, and one that stood open is closed."""
    open_one = tmp_path / "open"
    open_one.mkdir(mode=0o755)
    for path in (open_one, tmp_path / "new"):
        Home(path).prepare()
        assert 0o700 == stat.S_IMODE(path.stat().st_mode)


def test_a_home_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """A file in the way is an error with a hint, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TapesError) as error:
        Home(tmp_path / "file" / "home").prepare()
    assert "TAPES_HOME" in error.value.hint


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer waits, says so once, and goes on when the first is done."""
    path, waited, order = Home(tmp_path).lock, threading.Event(), []

    def second() -> None:
        with HomeLock(path, on_wait=waited.set).held():
            order.append("second")

    with HomeLock(path, on_wait=lambda: order.append("first waited")).held():
        other = threading.Thread(target=second)
        other.start()
        assert waited.wait(10)
        order.append("first")
    other.join(10)

    assert ["first", "second"] == order


def test_an_identity_is_loaded_as_it_was_made(tmp_path: Path) -> None:
    """Name, member, device and certificate survive; the public file holds no secret."""
    vault = FileVault(tmp_path / "keys")
    made = create_identity(tmp_path / "identity.json", vault, "Ada", bytes(range(32)))

    again = load_identity(tmp_path / "identity.json", vault)

    assert (made.name, made.member, made.device.public, made.certificate) == (
        again.name,
        again.member,
        again.device.public,
        again.certificate,
    )
    text = (tmp_path / "identity.json").read_text()
    assert made.device.sign_seed.hex() not in text
    assert made.device.box_seed.hex() not in text
    assert bytes(range(32)).hex() not in text
    assert 0o600 == stat.S_IMODE((tmp_path / "identity.json").stat().st_mode)


def test_there_is_never_a_second_identity(tmp_path: Path) -> None:
    """Whoever comes second fails, and the first identity still loads: its key was not overwritten."""
    vault = FileVault(tmp_path / "keys")
    first = create_identity(tmp_path / "identity.json", vault, "Ada", bytes(32))

    with pytest.raises(UsageError, match="already"):
        create_identity(tmp_path / "identity.json", vault, "Eve", bytes(32))
    assert first.device_id == load_identity(tmp_path / "identity.json", vault).device_id
    assert ["identity.json", "keys"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_kill_before_the_last_step_leaves_no_identity(tmp_path: Path) -> None:
    """With the key in the vault and no public file, `init` starts anew; the orphan key disturbs nothing."""
    vault = FileVault(tmp_path / "keys")
    create_identity(tmp_path / "identity.json", vault, "Ada", bytes(32))
    (tmp_path / "identity.json").unlink()

    with pytest.raises(KeyNeeded) as error:
        load_identity(tmp_path / "identity.json", vault)
    assert "tapes init" in error.value.hint
    again = create_identity(tmp_path / "identity.json", vault, "Ada", bytes(32))
    assert again.device_id == load_identity(tmp_path / "identity.json", vault).device_id


def test_an_identity_without_or_with_another_key_is_told_apart(tmp_path: Path) -> None:
    """A missing key is exit 4, a swapped one exit 6, a damaged file exit 6."""
    vault, path = FileVault(tmp_path / "keys"), tmp_path / "identity.json"
    create_identity(path, vault, "Ada", bytes(32))
    key = next((tmp_path / "keys").iterdir())
    kept = key.read_bytes()
    key.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(FormatBroken):
        load_identity(path, vault)
    key.unlink()
    with pytest.raises(KeyNeeded):
        load_identity(path, vault)
    path.write_text("{}")
    with pytest.raises(FormatBroken):
        load_identity(path, vault)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "\x1b[31m", "\udcff"])
def test_a_name_is_one_printable_line(name: str) -> None:
    """Nothing that could drive a teammate's terminal becomes a name; inner blanks are folded."""
    with pytest.raises(UsageError):
        check_name(name)
    assert "Ada Lovelace" == check_name(" Ada \n Lovelace ")


def test_a_private_file_is_never_overwritten(tmp_path: Path) -> None:
    """The kit of another identity may be somebody's only copy."""
    write_private(tmp_path / "kit", "one")
    with pytest.raises(UsageError, match="not overwritten"):
        write_private(tmp_path / "kit", "two")
    with pytest.raises(UsageError, match="cannot be written"):
        write_private(tmp_path / "no" / "kit", "two")

    assert "one" == (tmp_path / "kit").read_text()
    assert 0o600 == stat.S_IMODE((tmp_path / "kit").stat().st_mode)


def test_the_passphrase_comes_from_a_file(tmp_path: Path) -> None:
    """Its last newline is not part of it; no file, or an empty one, is an error and not an empty passphrase."""
    (tmp_path / "p").write_text("correct horse\n")
    (tmp_path / "empty").write_text("\n")

    assert "correct horse" == read_passphrase({"TAPES_PASSPHRASE_FILE": str(tmp_path / "p")})
    assert read_passphrase({}) is None
    for wrong in ("empty", "missing"):
        with pytest.raises(UsageError):
            read_passphrase({"TAPES_PASSPHRASE_FILE": str(tmp_path / wrong)})
