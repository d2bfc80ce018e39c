"""Alone, invited, at the wrong door, interrupted: how a home comes to its team, and never to two."""

import shutil
from pathlib import Path

import pytest

from tests.command_line import SAMPLE, Person


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody with an identity and sessions."""
    person = Person(tmp_path / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    return person


@pytest.fixture
def bob(tmp_path: Path) -> Person:
    """Somebody with an identity."""
    return Person(tmp_path / "bob").init("Bob")


def _configured(person: Person, bucket: Path) -> Person:
    person.ok("storage", "configure", "--bucket", bucket.as_uri())
    return person


def _founded(person: Person, bucket: Path) -> str:
    """A team in `bucket`, and a link to it."""
    _configured(person, bucket).ok("team", "create", "Engine")
    link: str = person.json("team", "invite")["link"]
    return link


def test_a_first_sync_alone_founds_a_team_of_one(ada: Person, tmp_path: Path) -> None:
    """Two commands after the import everything is in the bucket, in the private space, and the founding is said."""
    _configured(ada, tmp_path / "bucket")
    first = ada.ok("storage", "sync")

    assert "team of one" in first.err
    assert "team of one" not in ada.ok("storage", "sync").err
    assert [True] == [member["is_me"] for member in ada.json("team", "members")["members"]]
    sessions = ada.json("sessions")["sessions"]
    assert {("private", True)} == {(session["space"], session["synced"]) for session in sessions}
    assert 0 == ada.json("storage", "status")["pending_push"]


def test_a_dry_run_founds_nothing(ada: Person, tmp_path: Path) -> None:
    """It lists what would go, and the bucket stays empty."""
    _configured(ada, tmp_path / "bucket")
    plan = ada.json("storage", "sync", "--dry-run")["plan"]

    assert plan
    assert [] == list((tmp_path / "bucket").rglob("log/*"))


def test_a_private_session_is_not_seen_by_the_team(ada: Person, bob: Person, tmp_path: Path) -> None:
    """One project for the team, the rest private: the other member gets exactly that project."""
    link = _founded(ada, tmp_path / "bucket")
    ada.ok("config", "set", "default-visibility.kite", "team")
    ada.ok("storage", "sync")
    bob.ok("team", "join", "-", stdin=link)
    bob.ok("storage", "sync")

    assert {"kite"} == {session["project"] for session in bob.json("sessions")["sessions"]}
    assert len({session["project"] for session in ada.json("sessions")["sessions"]}) > 1
    assert 0 == bob.tapes("verify").code


def test_a_bucket_of_another_team_is_refused_and_not_remembered(
    ada: Person, bob: Person, tmp_path: Path
) -> None:
    """Syncing or founding at the wrong door is exit 2; afterwards the right link still works."""
    link = _founded(ada, tmp_path / "bucket")
    _founded(Person(tmp_path / "eve").init("Eve"), tmp_path / "other")
    _configured(bob, tmp_path / "other")

    assert 2 == bob.tapes("storage", "sync").code
    assert 2 == bob.tapes("team", "create", "Mine").code
    bob.ok("team", "join", "-", stdin=link)
    assert {"Ada", "Bob"} == {member["name"] for member in bob.json("team", "members")["members"]}


def test_a_home_belongs_to_one_team(ada: Person, bob: Person, tmp_path: Path) -> None:
    """A member of one team can neither join nor configure another's bucket; its settings stay."""
    _founded(bob, tmp_path / "bobs")
    link = _founded(ada, tmp_path / "bucket")

    assert 2 == bob.tapes("team", "join", "-", stdin=link).code
    refused = bob.tapes("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    assert (2, True) == (refused.code, "TAPES_HOME" in refused.err)
    assert (tmp_path / "bobs").as_uri() == bob.json("config", "get", "storage.bucket")["value"]


def test_a_moved_bucket_is_still_the_teams(ada: Person, tmp_path: Path) -> None:
    """The same log at another place is accepted, and the work goes on there."""
    _founded(ada, tmp_path / "bucket")
    shutil.copytree(tmp_path / "bucket", tmp_path / "moved")
    _configured(ada, tmp_path / "moved").ok("storage", "sync")

    assert 0 == ada.tapes("verify").code


def test_joining_twice_is_no_error_and_no_second_member(ada: Person, bob: Person, tmp_path: Path) -> None:
    """As after a crash between the commit and the settings: the second run finishes the first."""
    link = _founded(ada, tmp_path / "bucket")
    bob.ok("team", "join", "-", stdin=link)
    (bob.home / "config.toml").write_text("")
    again = bob.ok("team", "join", "-", stdin=link)

    assert "already" in again.err
    assert "hybrid" == bob.json("config", "get", "storage.provider")["value"]
    assert 2 == len(bob.json("team", "members")["members"])


def test_a_link_is_for_as_many_as_it_says(ada: Person, bob: Person, tmp_path: Path) -> None:
    """The second person with a link for one is refused with 4, and the hint to ask for another."""
    link = _founded(ada, tmp_path / "bucket")
    bob.ok("team", "join", "-", stdin=link)
    late = Person(tmp_path / "eve").init("Eve").tapes("team", "join", "-", stdin=link)

    assert (4, True) == (late.code, "new link" in late.err)


def test_a_link_in_argv_is_warned_about_and_never_repeated(ada: Person, bob: Person, tmp_path: Path) -> None:
    """It works, since people paste; it says that others can see it; the link itself is in no message."""
    link = _founded(ada, tmp_path / "bucket")
    joined = bob.ok("team", "join", link)

    assert "--link-file" in joined.err
    assert link not in joined.err + joined.out
    assert "without joining" in ada.ok("team", "invite").err


def test_going_back_to_local_stops_syncing_and_loses_nothing(ada: Person, tmp_path: Path) -> None:
    """With the provider local nothing is asked of the bucket; back at hybrid everything is as it was."""
    _configured(ada, tmp_path / "bucket").ok("storage", "sync")
    synced = ada.json("sessions")
    ada.ok("storage", "set-provider", "local")

    assert 2 == ada.tapes("storage", "sync").code
    assert "local" == ada.json("storage", "status")["provider"]
    assert synced["totals"] == ada.json("sessions")["totals"]
    ada.ok("storage", "set-provider", "hybrid")
    assert synced == ada.json("sessions")


def test_any_prefix_of_head_conversation_or_agent_session_names_the_newest(ada: Person) -> None:
    """What a user has at hand works; what names several is refused with the candidates."""
    session = next(
        each for each in ada.json("sessions")["sessions"] if each["project"] == "kochbuch (Bäckerei)"
    )
    node = ada.json("show", session["id"][:10])["nodes"][-1]

    assert node["hash"] == session["id"]
    assert session["id"] == ada.json("show", session["conversation"][:14])["session"]
    assert session["id"] == ada.json("show", node["source"]["session"][:13])["session"]
