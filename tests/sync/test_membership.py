"""Founding, inviting and joining over a real directory store."""

from pathlib import Path

import pytest

from crypto.errors import KeyNeeded, UsageError, VerificationFailed
from store.directory import DirectoryStore
from store.names import slot_name
from sync.links import format_link, parse_link
from sync.membership import Bucket, create_team, invite, join, members, team_name
from sync.team import InviteTerms
from tests.actors import client, founded, joined, person


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A bucket in a folder."""
    return DirectoryStore(tmp_path / "bucket")


def test_two_people_see_one_team(store: DirectoryStore, tmp_path: Path) -> None:
    """After a join both list the same members by the names these gave themselves, and the team's name."""
    ana = founded(store, tmp_path / "ana")
    ben = joined(ana, store, tmp_path / "ben")

    assert [("ana", "owner"), ("ben", "member")] == [(m.name, m.role) for m in members(ana)]
    assert [(m.id, m.name) for m in members(ana)] == [(m.id, m.name) for m in members(ben)]
    assert ["the team"] * 2 == [team_name(ana), team_name(ben)]


def test_the_bucket_shows_no_name(store: DirectoryStore, tmp_path: Path) -> None:
    """Names travel sealed: no stored byte spells a member or the team."""
    joined(founded(store, tmp_path / "ana", "ana-the-owner"), store, tmp_path / "ben", "ben-the-joiner")
    stored = b"".join(store.get(info.name) for info in store.list(""))

    assert b"ana-the-owner" not in stored
    assert b"the team" not in stored


def test_one_prefix_belongs_to_one_team(store: DirectoryStore, tmp_path: Path) -> None:
    """Founding on somebody's prefix is refused before anything is written."""
    founded(store, tmp_path / "ana")
    before = [info.name for info in store.list("")]

    with pytest.raises(UsageError, match="already belongs"):
        create_team(client(person("eve"), store, tmp_path / "eve"), "mine")
    assert before == [info.name for info in store.list("")]


def test_a_used_invite_admits_nobody_else(store: DirectoryStore, tmp_path: Path) -> None:
    """The second holder of a single-use link is told so."""
    ana = founded(store, tmp_path / "ana")
    link = invite(ana, InviteTerms(1, None), Bucket("file:///x"))
    join(client(person("ben"), store, tmp_path / "ben"), link)

    with pytest.raises(KeyNeeded, match="closed or used up"):
        join(client(person("cat"), store, tmp_path / "cat"), link)


def test_an_expired_invite_is_refused_by_the_joiner(store: DirectoryStore, tmp_path: Path) -> None:
    """An honest client does not use a link past its time, though the fold itself knows no clock."""
    ana = founded(store, tmp_path / "ana")
    link = invite(ana, InviteTerms(1, 1_000), Bucket("file:///x"))

    with pytest.raises(KeyNeeded, match="expired"):
        join(client(person("ben"), store, tmp_path / "ben"), link)


def test_a_joiner_refuses_another_team_and_a_rolled_back_log(store: DirectoryStore, tmp_path: Path) -> None:
    """The link pins genesis and head: a bucket serving another team, or an older log, is refused with exit 6."""
    ana = founded(store, tmp_path / "ana")
    link = invite(ana, InviteTerms(1, None), Bucket("file:///x"))
    other = DirectoryStore(tmp_path / "other")
    founded(other, tmp_path / "eve", "eve")
    rolled_back = DirectoryStore(tmp_path / "old")
    rolled_back.put_if_absent(slot_name(0), store.get(slot_name(0)))

    with pytest.raises(VerificationFailed, match="genesis"):
        join(client(person("ben"), other, tmp_path / "ben"), link)
    with pytest.raises(VerificationFailed, match="made at"):
        join(client(person("cat"), rolled_back, tmp_path / "cat"), link)


def test_a_link_survives_its_text_form_and_nothing_else(store: DirectoryStore, tmp_path: Path) -> None:
    """A link read back is the same link; every cut or changed character is refused without repeating the secret."""
    ana = founded(store, tmp_path / "ana")
    link = invite(ana, InviteTerms(1, None), Bucket("s3://b/p", "http://127.0.0.1:1", "eu"))
    text = format_link(link)
    again = parse_link(f"  {text}\n")

    assert (again.secret, again.team, again.bucket_url) == (link.secret, link.team, link.bucket_url)
    for at in range(0, len(text), 7):
        other = "A" if text[at] != "A" else "B"
        with pytest.raises(UsageError) as error:
            parse_link(text[:at] + other + text[at + 1 :])
        assert link.secret.hex() not in str(error.value)
    with pytest.raises(UsageError):
        parse_link(text[:-1])
    assert link.secret.hex() not in repr(link)
