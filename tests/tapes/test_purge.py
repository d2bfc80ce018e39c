"""`tapes team leave --purge`: nothing of others stays on the device, everything of one's own does, whatever interrupts it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from store.local import LocalStore
from store.local_path import local_store_path
from tapes.config import Config
from tapes.home import Home
from tapes.purge import purge
from tests.command_line import Person
from tests.laptops import conversation

THEIRS = conversation("quokka", 4, "adas-project")
MINE = conversation("wombat", 4, "bobs-project")
STAYS = {"identity.json", "keys", "tapes.db", "config.toml", "writing.lock", "watching.lock", "filters.lock"}


@pytest.fixture
def bob(tmp_path: Path) -> Person:
    """Bob, who pulled, searched and indexed what Ada shared, beside his own."""
    ada, bob = Person(tmp_path / "ada").init("Ada"), Person(tmp_path / "bob").init("Bob")
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("team", "create", "Us")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    for who, nodes in ((ada, THEIRS), (bob, MINE)):
        who.ok("config", "set", "default-visibility", "team")
        with LocalStore.open(local_store_path(who.home)) as local:
            local.add(nodes)
        who.ok("storage", "sync")
    bob.ok("storage", "sync", "--full")
    assert {"adas-project", "bobs-project"} == projects(bob)
    bob.ok("search", "quokka")
    bob.ok("filter", "save", "hers", "quokka project:adas-project")
    bob.ok("watch", "--once")
    for name in (
        ".filters.json.1",
        ".config.toml.1",
        ".watching.json.new",
        "watch.log",
    ):  # of kills and launchd
        (bob.home / name).write_text(f"adas-project {(tmp_path / 'bucket').as_uri()}")
    bob.ok("show", THEIRS[-1].hash)
    return bob


def projects(person: Person) -> set[str]:
    """Whose sessions are listed."""
    return {session["project"] for session in person.json("sessions")["sessions"]}


def files(person: Person) -> dict[str, bytes]:
    """Every file of the home."""
    return {str(p.relative_to(person.home)): p.read_bytes() for p in person.home.rglob("*") if p.is_file()}


def assert_purged(bob: Person, before: dict[str, bytes]) -> None:
    """Own turns are listed and shown; no file but the own ones is left, and none holds what came from the bucket."""
    after = files(bob)
    pulled = [data for name, data in before.items() if name.startswith("cache/")]
    whole = b"".join(after.values())

    assert {"bobs-project"} == projects(bob)
    assert 4 == len(bob.json("show", MINE[-1].hash)["nodes"])
    assert STAYS >= {name.split("/")[0].removesuffix("-wal").removesuffix("-shm") for name in after}
    assert pulled
    assert not any(data in whole for data in pulled)
    for secret in (
        "quokka",
        "adas-project",
        (bob.home.parent / "bucket").as_uri(),
        *(node.hash for node in THEIRS),
    ):
        assert secret.encode() not in whole
    for node in THEIRS:
        assert bytes.fromhex(node.hash) not in whole
    assert "local" == bob.json("config", "get", "storage.provider")["value"]


def test_nothing_of_others_remains(bob: Person) -> None:
    """Cache, index, log and evidence go; own turns and keys stay; the team reads that Bob left."""
    before = files(bob)
    done = bob.json("team", "leave", "--purge", "--yes")

    removed = {Path(each["path"]).name for each in done["removed"]}
    assert {"cache", "index", "team.db", "filters.json", "watching.json"} <= removed
    assert done["team_id"] is not None
    assert_purged(bob, before)


def test_a_dry_run_lists_and_does_nothing(bob: Person) -> None:
    """What would go is said with its size; every byte stays, and Bob is still a member."""
    before = files(bob)
    listed = bob.ok("team", "leave", "--purge", "--dry-run").out

    assert before == files(bob)
    assert str(bob.home / "cache") in listed
    assert "active" in str(bob.json("team", "members")["members"])
    assert 2 == bob.tapes("team", "leave", "--dry-run").code


class Killed(BaseException):
    """The process ends here."""


def _killing(real: Callable[..., object], left: list[int]) -> Callable[..., object]:
    """The call, until `left[0]` calls were made; then the end."""

    def call(*args: object, **kwargs: object) -> object:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return real(*args, **kwargs)

    return call


@pytest.mark.parametrize("step", range(10))
def test_a_purge_that_stops_anywhere_goes_on(bob: Person, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Killed before any of its steps: what needs the team refuses with the way out, and the same command ends it."""
    before = files(bob)
    bob.ok("team", "leave", "--yes")
    with monkeypatch.context() as patched:
        left = [step]
        for owner, name in ((shutil, "rmtree"), (Path, "unlink"), (Config, "set")):
            patched.setattr(owner, name, _killing(getattr(owner, name), left))
        with pytest.raises(Killed):
            purge(Home(bob.home), Config(bob.home / "config.toml", {}))
    refused = bob.tapes("storage", "sync")

    assert (2, True) == (refused.code, "--purge" in refused.err or "provider is local" in refused.err)
    assert None is bob.json("team", "leave", "--purge", "--yes")["team_id"]
    assert_purged(bob, before)


def test_credentials_that_somebody_put_there_are_named_and_stay(bob: Person) -> None:
    """The file of a service's environment is its user's: nothing of it is read or removed, and its path is said."""
    (bob.home / "watch.env").write_text("AWS_SECRET_ACCESS_KEY=hunter2")
    done = bob.ok("team", "leave", "--purge", "--yes")

    assert "watch.env stays" in done.err
    assert "hunter2" in (bob.home / "watch.env").read_text()
    assert "hunter2" not in done.out + done.err


def test_who_was_removed_may_still_purge(bob: Person, tmp_path: Path) -> None:
    """A member who is out already only removes: nothing is asked of the log any more."""
    before = files(bob)
    bob.ok("team", "leave", "--yes")
    log = sorted((tmp_path / "bucket" / "log").iterdir())
    bob.ok("team", "leave", "--purge", "--yes")

    assert log == sorted((tmp_path / "bucket" / "log").iterdir())
    assert_purged(bob, before)
