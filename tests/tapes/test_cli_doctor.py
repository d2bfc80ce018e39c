"""`tapes doctor`: what it warns of, what it fails at."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Person


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody with an identity."""
    return Person(tmp_path / "ada").init("Ada")


def _checks(person: Person) -> dict[str, Any]:
    return {check["name"]: check for check in person.json("doctor")["checks"]}


def test_a_fresh_home_has_warnings_and_no_failure(tmp_path: Path) -> None:
    """Nothing is set up: that is worth saying, and exit 0."""
    checks = _checks(Person(tmp_path / "nobody"))

    assert "tapes init" in checks["keys"]["hint"]
    assert "failed" not in {check["state"] for check in checks.values()}


def test_everything_set_up_is_well(ada: Person, tmp_path: Path) -> None:
    """With a bucket and a team, nothing is left to do."""
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("team", "create", "Engine")
    checks = _checks(ada)

    assert {"ok", "skipped"} == {check["state"] for check in checks.values()}
    assert "16 writers raced" in checks["bucket"]["detail"]


@pytest.mark.parametrize(
    ("settings", "state", "days"),
    [
        (None, "warning", "30 days"),
        ({}, "warning", "30 days"),
        ({"cleanupPeriodDays": 7}, "warning", "7 days"),
        ({"cleanupPeriodDays": 3650}, "ok", "3650 days"),
        ({"cleanupPeriodDays": True}, "warning", "30 days"),
        ([], "warning", "30 days"),
    ],
)
def test_claudes_retention_is_read(ada: Person, tmp_path: Path, settings: Any, state: str, days: str) -> None:
    """Claude Code deletes after 30 days unless told otherwise; what it was told is shown."""
    (tmp_path / ".claude").mkdir()
    if settings is not None:
        (tmp_path / ".claude" / "settings.json").write_text(json.dumps(settings))
    check = _checks(ada)["claude retention"]

    assert (state, True) == (check["state"], days in check["detail"])


def test_unreadable_agent_settings_are_a_warning(ada: Person, tmp_path: Path) -> None:
    """Broken JSON of another program does not break the doctor."""
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.json").write_text("{")

    assert "warning" == _checks(ada)["claude retention"]["state"]


def test_a_key_that_others_can_read_is_a_failure(ada: Person) -> None:
    """A device key at 0644 may be known already: exit 1, with the command that mends it."""
    next((ada.home / "keys").iterdir()).chmod(0o644)
    done = ada.tapes("doctor")

    assert 1 == done.code
    assert "chmod 600" in done.out


def test_open_files_in_the_home_are_a_warning(ada: Person) -> None:
    """Others on this machine could read what was imported."""
    (ada.home / "config.toml").chmod(0o644)

    assert "config.toml" in _checks(ada)["home"]["detail"]


def test_a_lost_key_ends_with_its_own_exit_code(ada: Person) -> None:
    """The failure's code is the doctor's: 4, a key is missing. The other checks still run."""
    next((ada.home / "keys").iterdir()).unlink()
    done = ada.tapes("doctor", "--json")

    assert 4 == done.code
    assert not done.json["ok"]
    assert "claude retention" in {check["name"] for check in done.json["checks"]}
