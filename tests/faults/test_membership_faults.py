"""Founding, inviting, joining and replacing a kit, ended by a crash at every request: doing it again completes it, once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto.epochs import wrap_bytes
from crypto.errors import KeyNeeded
from crypto.identities import SecretKeys
from crypto.kit import mark_of
from store.blobs import BlobStore
from sync.client import Client
from sync.housekeeping import keep_house
from sync.membership import Bucket, create_team, invite, join, members
from sync.recovery import kit_identity, recover
from sync.rekey import check_rekey, rekey
from sync.rewraps import ask_again
from sync.team import InviteTerms
from sync.verify import verify
from tests.actors import Person, client, founded, joined, person
from tests.attacks.hostile import hostile_epoch
from tests.fakes.strict_store import StrictStore
from tests.faults.worlds import CuttingStore, PowerCut, hurried, valid_commits
from tests.sync.test_rekey import founded_by, new_kit, new_machine

requests_max = 60
Deed = Callable[[Client], object]


def cut_at(who: Person, store: BlobStore, home: Path, at: int, *, after: bool, deed: Deed) -> bool:
    """Do something in a process that ends at request `at`; whether it got that far."""
    made = hurried(client(who, CuttingStore(store, at, after), home))
    try:
        deed(made)
    except PowerCut:
        return True
    finally:
        made.close()
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_founding_again_after_a_crash_completes_the_one_team(tmp_path: Path, *, after: bool) -> None:
    """Cut at any request of a founding: the second attempt gives one team with one genesis, whoever finished it."""
    cuts = 0
    for at in range(requests_max):
        store, who, home = StrictStore(), person("ana"), tmp_path / str(at)
        cut = cut_at(who, store, home, at, after=after, deed=lambda made: create_team(made, "ours"))
        again = hurried(client(who, store, home))
        if not cut:
            break
        cuts += 1
        if again.log.catch_up() == 0 or again.replica.journal() is not None:
            team = create_team(again, "ours")
            assert team == again.roster.team, at
        assert 1 == valid_commits(again) == len(list(store.list("log/"))), at
        assert verify(again).ok, at
        again.close()

    assert cuts > 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_joining_again_after_a_crash_completes_the_one_join(tmp_path: Path, *, after: bool) -> None:
    """Cut at any request of a join by a single-use link: trying again makes exactly one member, never "used up"."""
    cuts = 0
    for at in range(requests_max):
        store, home = StrictStore(), tmp_path / str(at)
        ana = founded(store, home / "ana")
        link = invite(ana, InviteTerms(1, None), Bucket("file:///x"))
        ben = person("ben")
        cut = cut_at(ben, store, home / "ben", at, after=after, deed=lambda made, to=link: join(made, to))  # type: ignore[misc]
        if not cut:
            break
        cuts += 1
        again = hurried(client(ben, store, home / "ben"))
        again.log.catch_up()
        roster = again.log.point.roster
        if roster is None or again.identity.member_id not in roster.members:
            join(again, link)
        assert ["ana", "ben"] == sorted(str(member.name) for member in members(again)), at
        ana.log.catch_up()
        assert ana.log.point == again.log.point, at
        assert 3 == valid_commits(ana), at
        for made in (ana, again):
            assert verify(made).ok, at
            made.close()

    assert cuts > 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_while_inviting_leaves_no_link_that_nobody_counts(tmp_path: Path, *, after: bool) -> None:
    """Cut at any request of an invite: the next one works, and every invite that got into the log is listed as open."""
    for at in range(requests_max):
        store, home = StrictStore(), tmp_path / str(at)
        ana = founded(store, home / "ana")
        who = Person(person("ana").member, ana.identity)
        ana.close()
        invited: Deed = lambda made: invite(made, InviteTerms(1, None), Bucket("file:///x"))  # noqa: E731 - a row of the table
        if not cut_at(who, store, home / "ana", at, after=after, deed=invited):
            assert at > 2
            break
        again = hurried(client(who, store, home / "ana"))
        link = invite(again, InviteTerms(1, None), Bucket("file:///x"))
        join(hurried(client(person("ben"), store, home / "ben")), link)
        again.log.catch_up()
        assert valid_commits(again) == 2 + len(again.roster.invites), at
        assert 2 == len(again.roster.active_members()), at
        assert verify(again).ok, at
        again.close()


def replaced(who: Person, kit: SecretKeys) -> Deed:
    """What `tapes member rekey` does with the bucket."""

    def deed(made: Client) -> None:
        check_rekey(made, who.member, kit)
        rekey(made, who.member, kit)

    return deed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_cut_rekey_leaves_one_kit_that_counts_and_says_which(tmp_path: Path, *, after: bool) -> None:
    """Cut at any request: running it again with the old kit either replaces it, or names the mark of the page that counts."""
    cuts = landed = 0
    first_store, ana = StrictStore(), person("ana")
    founded_by(ana, first_store, tmp_path / "ana").close()
    for at in range(requests_max):
        store, home = StrictStore(), tmp_path / str(at)
        store.restore(first_store.snapshot())
        shutil.copytree(tmp_path / "ana", home)
        first, second = new_kit(), new_kit()
        if not cut_at(ana, store, home, at, after=after, deed=replaced(ana, first)):
            break
        cuts += 1
        said = ""
        again = hurried(client(ana, store, home))
        try:
            replaced(ana, second)(again)
        except KeyNeeded as refused:
            said = refused.message
        again.close()
        stands = mark_of(first.public) in said
        assert stands == bool(said), said
        landed += stands
        counts, dead = (first, [ana.member, second]) if stands else (second, [ana.member, first])
        _only_opens(counts, dead, store, tmp_path / f"look-{at}")

    assert 0 < landed < cuts


def _only_opens(counts: SecretKeys, dead: list[SecretKeys], store: BlobStore, home: Path) -> None:
    """One kit reads all, the others are refused; the log holds exactly one rekey and verifies from nothing."""
    made = new_machine(counts, store, home / "counts")
    recover(made, counts, "look")
    assert verify(made).ok
    assert 6 == valid_commits(made)  # genesis, private epoch, two pushes, rekey, this recovery
    for number, kit in enumerate(dead):
        reader = client(Person(kit, kit_identity(kit, "x")), store, home / str(number))
        with pytest.raises(KeyNeeded):
            recover(reader, kit, "x")
        reader.close()
    made.close()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_cut_request_for_a_key_is_made_once(tmp_path: Path, *, after: bool) -> None:
    """Ben was given junk; cut at any request of his asking, he has asked once in the end, and reads after Ana's next write."""
    cuts = 0
    first_store = StrictStore()
    ana = founded(first_store, tmp_path / "world" / "ana")
    ben = joined(ana, first_store, tmp_path / "world" / "ben")
    hostile_epoch(ana, {ben.identity.device.public.x25519: b"\x01" + bytes(wrap_bytes - 1)})
    owner, victim = Person(person("ana").member, ana.identity), Person(person("ben").member, ben.identity)
    ana.close()
    ben.close()
    for at in range(requests_max):
        store, home = StrictStore(), tmp_path / str(at)
        store.restore(first_store.snapshot())
        shutil.copytree(tmp_path / "world", home)
        if not cut_at(victim, store, home / "ben", at, after=after, deed=asks):
            break
        cuts += 1
        asking, giving = (
            hurried(client(who, store, home / name)) for who, name in ((victim, "ben"), (owner, "ana"))
        )
        asks(asking)
        giving.log.catch_up()
        keep_house(giving)
        assert [] == asks(asking), at
        told = [event.type for seq in range(3, asking.log.next_seq) for event in asking.commit_at(seq).events]
        assert ["epoch", "epoch", "rewrap_wanted", "rewrap"] == told, at
        assert verify(asking).ok, at
        asking.close()
        giving.close()

    assert cuts > 2


def asks(made: Client) -> list[str]:
    """What a sync does first about keys that do not open."""
    made.log.refresh()
    made.committer.resume()
    return ask_again(made)
