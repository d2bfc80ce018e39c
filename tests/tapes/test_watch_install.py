"""`tapes watch --install`: the service files are what systemd and launchd take, name no secret, and go without a trace."""

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tapes.watching.units import unit
from tests.command_line import Person

ODD = ["plain", "with space", "100% $HOME \"quoted\" 'too' \\ back", "ünïcode 重构", "semi;colon #hash"]


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody whose service files land in the test's folder."""
    return Person(tmp_path / "ada", {"XDG_CONFIG_HOME": str(tmp_path / "config")})


def _units(tmp_path: Path) -> Path:
    return tmp_path / "config" / "systemd" / "user"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize("name", ODD)
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    """`systemd-analyze verify` finds nothing to say, whatever the home is called."""
    made = unit("systemd", tmp_path / name, tmp_path, {"TAPES_HOME": str(tmp_path / name)})
    path = tmp_path / made.path.name
    path.write_text(made.content)
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", path],
        env=runtime,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", ODD)
def test_the_home_comes_through_a_units_quoting(tmp_path: Path, name: str) -> None:
    """Undone by systemd's documented rules (C-style escapes in double quotes, %% and $$), every word is the one meant."""
    home = tmp_path / name
    content = unit("systemd", home, tmp_path, {"TAPES_HOME": str(home)}).content
    assert "%" not in content.replace("%%", "")
    lines = content.splitlines()
    [told] = [line.removeprefix("Environment=") for line in lines if line.startswith("Environment=")]
    undone = told[1:-1].replace('\\"', '"').replace("\\\\", "\\").replace("%%", "%")
    [keys] = [line for line in lines if line.startswith("EnvironmentFile=")]

    assert f"TAPES_HOME={home}" == undone
    assert f"EnvironmentFile=-{home}/watch.env" == keys.replace("%%", "%")


def test_launchd_gets_a_plist(tmp_path: Path) -> None:
    """It parses, runs this interpreter without the working folder's modules, comes back after a crash, and is one per home."""
    home = tmp_path / ODD[2]
    made = unit("launchd", home, tmp_path, {"TAPES_HOME": str(home), "AWS_PROFILE": "team"})
    told = plistlib.loads(made.content.encode())

    assert [sys.executable, "-P", "-m", "tapes", "watch"] == told["ProgramArguments"]
    assert {"TAPES_HOME": str(home), "AWS_PROFILE": "team"} == told["EnvironmentVariables"]
    assert ({"SuccessfulExit": False}, f"{told['Label']}.plist") == (told["KeepAlive"], made.path.name)
    assert unit("launchd", tmp_path / "other", tmp_path, {}).path != made.path


@pytest.mark.parametrize("name", ODD)
def test_launchd_gets_keys_and_types_of_its_manual(tmp_path: Path, name: str) -> None:
    """Read back as launchd reads it: only keys of launchd.plist(5), each of the type it says, and odd paths as they are."""
    home = tmp_path / name
    made = unit("launchd", home, tmp_path, {"TAPES_HOME": str(home)})
    told = plistlib.loads(made.content.encode(), fmt=plistlib.FMT_XML)

    assert {key: type(value) for key, value in told.items()} == {
        **dict.fromkeys(("Label", "WorkingDirectory", "StandardOutPath", "StandardErrorPath"), str),
        **dict.fromkeys(("ThrottleInterval", "ExitTimeOut", "Umask"), int),
        **dict.fromkeys(("RunAtLoad", "LowPriorityIO"), bool),
        "ProgramArguments": list,
        "EnvironmentVariables": dict,
        "KeepAlive": dict,
        "ProcessType": str,
    }
    assert "Background" == told["ProcessType"]
    assert (0o077, str(home / "watch.log")) == (told["Umask"], told["StandardErrorPath"])
    assert Path(told["WorkingDirectory"]).is_absolute()


@pytest.mark.parametrize("kind", ["systemd", "launchd"])
def test_no_secret_is_written_and_each_is_named(tmp_path: Path, kind: str) -> None:
    """Keys and a proxy's password stay in the shell; the note says which the service will not have."""
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIASECRET1",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "HTTPS_PROXY": "http://ada:hunter2@proxy.example:3128",
        "AWS_PROFILE": "team",
    }
    made = unit("systemd" if kind == "systemd" else "launchd", tmp_path / "home", tmp_path, environ)

    assert not {"AKIASECRET1", "hunter2"} & set(made.content.replace(":", " ").replace("@", " ").split())
    assert "hunter2" not in made.content + "".join(made.notes)
    assert "team" in made.content
    assert all(any(name in note for note in made.notes) for name in list(environ)[:3])


def test_a_path_that_would_be_a_line_of_its_own_is_refused(tmp_path: Path) -> None:
    """A newline in the home's name would add a directive: exit 2, and nothing is written."""
    eve = Person(tmp_path / "a\nExecStartPre=evil", {"XDG_CONFIG_HOME": str(tmp_path / "config")})

    assert 2 == eve.tapes("watch", "--install", "--systemd").code
    assert not _units(tmp_path).exists()


def test_install_and_uninstall_leave_what_they_say(ada: Person, tmp_path: Path) -> None:
    """Dry runs touch nothing; a second install changes nothing; uninstall takes the enabling link along."""
    shown = ada.ok("watch", "--install", "--systemd", "--dry-run")
    assert ("[Unit]", False) == (shown.out.splitlines()[0], _units(tmp_path).exists())
    first = ada.ok("watch", "--install", "--systemd")
    path = Path(first.out.strip())
    assert (shown.out, True) == (path.read_text(), "systemctl --user enable --now" in first.err)
    assert not ada.json("watch", "--install", "--systemd")["changed"]
    link = path.parent / "default.target.wants" / path.name
    link.parent.mkdir()
    link.symlink_to(path)
    assert ada.json("watch", "--uninstall", "--systemd", "--dry-run")["changed"]
    assert path.exists()
    ada.ok("watch", "--uninstall", "--systemd")

    assert [] == [each for each in _units(tmp_path).rglob("*") if not each.is_dir()]
    assert "is not there" in ada.ok("watch", "--uninstall", "--systemd").err


@pytest.mark.parametrize(
    "words",
    [
        ["--install", "--uninstall"],
        ["--once", "--install"],
        ["--install", "--systemd", "--launchd"],
        ["--dry-run"],
        ["--systemd"],
    ],
)
def test_flags_that_contradict_are_refused(ada: Person, words: list[str]) -> None:
    """Exit 2, and nothing starts or is written."""
    done = ada.tapes("watch", *words)

    assert (2, "") == (done.code, done.out)
    assert not ada.home.exists()
