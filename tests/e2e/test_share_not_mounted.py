"""A folder bucket whose share is away: exit 5, and nothing is written; one that was rolled back still is exit 6."""

import shutil
from pathlib import Path

import pytest

from tests.command_line import SAMPLE, Done, Person
from tests.watching import GrowingLog, member, until, watching

ASKED = "is the share mounted?"


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A mounted share; the bucket is a folder on it, or itself."""
    (tmp_path / "mnt").mkdir()
    return tmp_path / "mnt"


def _founding(person: Person, bucket: Path) -> Person:
    person.ok("storage", "configure", "--bucket", bucket.as_uri())
    person.ok("config", "set", "default-visibility", "team")
    person.ok("team", "create", "Engine")
    return person


def _pushing(person: Person, bucket: Path) -> Person:
    _founding(person, bucket)
    person.ok("import", "claude", SAMPLE)
    person.ok("storage", "sync")
    return person


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _away(done: Done) -> bool:
    return done.code == 5 and ASKED in done.err and "rolled back" not in done.err


@pytest.mark.parametrize("inside", ["team", "."])
def test_an_unmounted_share_is_no_rolled_back_bucket(tmp_path: Path, share: Path, inside: str) -> None:
    """Whatever is asked of the bucket: exit 5 and the question; no folder, no evidence; all goes on once the share is back."""
    ada = _pushing(Person(tmp_path / "ada").init("Ada"), share / inside)
    ada.ok("config", "set", "default-visibility", "private")
    away = share.rename(tmp_path / "unplugged")
    share.mkdir()
    url = (share / inside).as_uri()
    for words in (
        ["storage", "sync"],
        ["storage", "sync", "--dry-run"],
        ["verify"],
        ["doctor"],
        ["doctor", "--heal-log"],
        ["gc", "--dry-run"],
        ["team", "invite"],
        ["watch", "--once"],
        ["storage", "configure", "--bucket", url],
        ["storage", "configure"],
    ):
        done = ada.tapes(*words)
        assert done.code == 5, (words, done)
        assert ASKED in done.out + done.err, (words, done)
        assert "rolled back" not in done.err
    assert [] == _files(share)
    assert not (ada.home / "evidence").exists()
    assert ada.ok("sessions").out

    share.rmdir()
    away.rename(share)
    ada.ok("storage", "sync")
    assert ada.json("verify")["ok"]


def test_a_bucket_that_was_rolled_back_is_still_a_finding(tmp_path: Path, share: Path) -> None:
    """The folder is there with an older log, with none, or with nothing but packs: exit 6, with evidence."""
    ada = _pushing(Person(tmp_path / "ada").init("Ada"), share / "team")
    for lost in (
        share / "team" / "log" / "000000000001",
        share / "team" / "log",
        share / "team" / "manifests",
    ):
        lost.unlink() if lost.is_file() else shutil.rmtree(lost)
        done = ada.tapes("storage", "sync")
        assert (6, True) == (done.code, "rolled back" in done.err), done
    assert any((ada.home / "evidence").iterdir())


def test_nobody_comes_to_a_team_whose_share_is_away(tmp_path: Path, share: Path) -> None:
    """Join, recover and rescue make no folder for a team that they were told of; then the share comes, and they work."""
    ada, bob = (_pushing(Person(tmp_path / "ada").init("Ada"), share), Person(tmp_path / "bob").init("Bob"))
    link, kit = ada.json("team", "invite")["link"], str(tmp_path / "ada.kit")
    new = Person(tmp_path / "new")
    away = share.rename(tmp_path / "unplugged")
    share.mkdir()

    assert _away(bob.tapes("team", "join", "-", stdin=link))
    assert _away(new.tapes("recover", "--bucket", share.as_uri(), "--kit", kit))
    assert _away(new.tapes("rescue", share.as_uri(), "--kit", kit, "-o", tmp_path / "rescued"))
    assert [] == _files(share)
    share.rmdir()
    away.rename(share)
    bob.ok("team", "join", "-", stdin=link)
    new.ok("recover", "--bucket", share.as_uri(), "--kit", kit)


def test_a_home_without_a_team_founds_none_where_the_share_is_away(tmp_path: Path, share: Path) -> None:
    """Configured, not yet in a team: a sync, which would found a team of one, asks for the share too."""
    ada = Person(tmp_path / "ada").init("Ada")
    ada.ok("storage", "configure", "--bucket", (share / "team").as_uri())
    away = share.rename(tmp_path / "unplugged")
    share.mkdir()

    assert _away(ada.tapes("storage", "sync"))
    assert [] == _files(share)
    share.rmdir()
    away.rename(share)
    ada.ok("storage", "sync")


def test_a_bucket_that_is_lost_for_good_is_put_back_into_a_folder_that_says_it_is_one(
    tmp_path: Path, share: Path
) -> None:
    """The disk died: an empty `log` folder, made by hand, is a bucket again, and the log and the turns go back into it."""
    ada = _pushing(Person(tmp_path / "ada").init("Ada"), share)
    shutil.rmtree(share)
    (share / "log").mkdir(parents=True)

    assert ada.tapes("doctor", "--heal-log").code in {0, 3}
    ada.ok("storage", "sync")
    ben = _joining(ada, tmp_path)
    ben.ok("storage", "sync")
    assert ben.json("sessions")["totals"] == ada.json("sessions")["totals"]


def _joining(ada: Person, folder: Path) -> Person:
    ben = Person(folder / "ben").init("Ben")
    ben.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    return ben


def test_a_watch_waits_for_the_share(tmp_path: Path, share: Path) -> None:
    """Imports go on, the state asks for the share and says when it looks again; nothing is written; then all arrives."""
    ada = _founding(member(tmp_path, "ada"), share / "team")
    log = GrowingLog.of(ada)
    with watching(ada) as hers:
        hers.until_rounds("sync", 1)
        away = share.rename(tmp_path / "unplugged")
        share.mkdir()
        before = ada.json("storage", "status")["local"]["nodes"]
        log.grow()
        until(lambda: hers.service("sync")["failures"] > 1, what="failed syncs")
        until(lambda: ada.json("storage", "status")["local"]["nodes"] > before, what="the import")
        service = ada.json("storage", "status")["watch"]["services"]["sync"]
        assert (5, True) == (service["last_error"]["exit_code"], ASKED in service["last_error"]["message"])
        assert service["next_try_at"] is not None or service["doing"] == "working"
        assert [] == _files(share)
        share.rmdir()
        away.rename(share)
        until(lambda: not hers.service("sync")["failures"], what=f"a sync: {hers.said}")
        assert 0 == hers.end()
    assert 0 == ada.json("storage", "status")["pending_push"]
