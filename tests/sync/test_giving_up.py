"""Giving up what nobody can have: who may, what it silences, and that nothing is lost by it."""

from pathlib import Path

import pytest

from crypto.errors import KeyNeeded, UsageError
from store import events
from sync.client import Client
from sync.drafts import Content, draft
from sync.giving_up import give_up
from sync.keyless import verify_keyless
from sync.verify import verify
from tests.actors import Person, client, founded, joined, person
from tests.fakes.strict_store import StrictStore
from tests.faults.worlds import CuttingStore, PowerCut, hurried, valid_commits
from tests.laptops import Laptop, conversation

requests_max = 40


@pytest.fixture
def store() -> StrictStore:
    """A strict bucket in memory."""
    return StrictStore()


@pytest.fixture
def two(store: StrictStore, tmp_path: Path) -> tuple[Laptop, Laptop]:
    """Ana the owner and Ben, who has pushed something that Ana has not read yet."""
    ana = hurried(founded(store, tmp_path / "ana"))
    ben = Laptop(hurried(joined(ana, store, tmp_path / "ben")), tmp_path / "ben")
    ben.provider.put(conversation("ben says", 3))
    ben.provider.sync()
    return Laptop(ana, tmp_path / "ana"), ben


def lose(store: StrictStore, prefix: str) -> tuple[str, bytes]:
    """Take the newest object under a prefix away: its name and bytes."""
    name = max(info.name for info in store.list(prefix))
    data = store.get(name)
    store.plant(name, None)
    return name, data


@pytest.mark.parametrize("prefix", ["manifests/", "packs/"])
def test_what_is_given_up_is_a_notice_for_everybody_until_it_comes_back(
    two: tuple[Laptop, Laptop], store: StrictStore, prefix: str
) -> None:
    """Before, verify fails, keyless too; after, it names object and device as a notice; what comes back is taken in."""
    ana, ben = two
    name, data = lose(store, prefix)
    ana.provider.sync()
    assert name in {finding.object for finding in verify(ana.client).findings}
    assert name in {finding.object for finding in verify_keyless(store).findings}
    assert [name] == give_up(ana.client, [name], dry_run=True) == give_up(ana.client, [name])
    assert [] == give_up(ana.client, [name])

    author = ana.client.identity.device_id.hex()[:16]
    for laptop in (ana, ben):
        assert not laptop.provider.sync(full=True).broken
        report = verify(laptop.client)
        assert report.ok
        assert any(name == each.object and author in each.problem for each in report.notices)
    assert verify_keyless(store).ok
    asked = sum(op == "get" and name == of for op, of in store.history)
    ana.provider.sync()
    assert asked == sum(op == "get" and name == of for op, of in store.history)
    store.plant(name, data)
    verify(ana.client)
    ana.provider.sync()
    assert ana.pulled() == ben.pulled() == sorted(node.hash for node in conversation("ben says", 3))
    assert not [each for each in verify(ana.client).notices if each.object == name]


def test_only_what_nobody_can_have_is_given_up(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """A healthy object, a name of nothing, and a plain member: refused with a reason, and nothing is written."""
    ana, ben = two
    healthy = max(info.name for info in store.list("packs/"))
    before = store.snapshot()

    for name, reason in (
        (healthy, "whole"),
        (f"packs/{'0' * 12}/{'0' * 64}", "no commit"),
        ("x", "no commit"),
    ):
        with pytest.raises(UsageError, match=reason):
            give_up(ana.client, [name])
    with pytest.raises(KeyNeeded, match="owner or admin"):
        give_up(ben.client, [healthy])
    assert before == store.snapshot()


def said(by: Client, *names: tuple[str, str, str]) -> str | None:
    """Give objects up by a client that checks nothing; why everybody holds that void, if they do."""
    by.log.catch_up()
    roster, seq = by.roster, by.log.next_seq
    objects = [events.ObjectName(kind=kind, base=int(base), sha256=digest) for kind, base, digest in names]  # type: ignore[arg-type]
    told = Content([events.ObjectsGivenUp(type="objects_given_up", objects=objects)])
    key = by.keychain.newest(roster, roster.team_space)
    by.committer._refuse_void = lambda _seq, _data: None  # type: ignore[assignment, method-assign]
    by.commit(lambda context: draft(context, roster.team, key, told))
    slot = by.replica.slot(seq)
    assert slot is not None
    return slot.void_reason


def test_the_fold_refuses_who_may_not_and_what_is_not_named(
    two: tuple[Laptop, Laptop], store: StrictStore
) -> None:
    """A member's event, one about an object no commit names, an empty one and a repeated one are void; an owner's counts once."""
    ana, ben = two
    _, base, digest = max(info.name for info in store.list("packs/")).split("/")
    pack = ("pack", base, digest)

    assert "owner or admin" in str(said(ben.client, pack))
    assert "no commit names" in str(said(ana.client, ("pack", str(int(base) + 1), digest)))
    assert "no commit names" in str(said(ana.client, ("manifest", base, digest)))
    assert "once" in str(said(ana.client))
    assert "once" in str(said(ana.client, pack, pack))
    assert said(ana.client, pack) is None
    assert "once" in str(said(ana.client, pack))
    ana.provider.put(conversation("the team goes on", 1))
    ana.provider.sync()
    ben.client.log.catch_up()
    assert ana.client.log.point == ben.client.log.point == ben.client.replica.point()
    assert verify(ben.client).ok  # it is there and whole: the hostile word of an admin harms nobody


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_giving_up_again_after_a_crash_says_it_once(tmp_path: Path, *, after: bool) -> None:
    """Cut at any request: the next run finds it said, or says it; one commit, one event, nobody blocked."""
    cuts = 0
    for at in range(requests_max):
        store, home = StrictStore(), tmp_path / str(at)
        ana = hurried(founded(store, home / "ana"))
        laptop = Laptop(ana, home / "ana")
        laptop.provider.put(conversation("hello", 2))
        laptop.provider.sync()
        name, _ = lose(store, "packs/")
        commits, who = valid_commits(ana), Person(person("ana").member, ana.identity)
        laptop.close()
        cut = hurried(client(who, CuttingStore(store, at, after), home / "ana"))
        try:
            give_up(cut, [name])
        except PowerCut:
            cuts += 1
        else:
            break
        finally:
            cut.close()
        again = hurried(client(who, store, home / "ana"))
        give_up(again, [name])
        assert commits + 1 == valid_commits(again), at
        assert {name} == again.roster.given_up.keys()
        assert verify(again).ok
        again.close()

    assert cuts > 3
