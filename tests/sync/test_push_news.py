"""What a push takes in on its way: its own commits, and what others commit between two of them."""

from pathlib import Path

import pytest

from store.directory import DirectoryStore
from sync import runs
from sync.batches import Batch
from sync.committer import Committer
from sync.push import Pusher
from sync.replica import Replica, Synced
from tests.actors import founded, joined, person
from tests.laptops import Laptop, conversation


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many nodes each question for what a space has was about."""
    sizes: list[int] = []
    synced = Replica.synced

    def counted(replica: Replica, space: bytes, digests: list[bytes]) -> dict[bytes, Synced]:
        sizes.append(len(digests))
        return synced(replica, space, digests)

    monkeypatch.setattr(Replica, "synced", counted)
    monkeypatch.setattr(runs, "manifest_rows_max", 100)
    return sizes


def test_a_push_of_several_commits_looks_no_node_up_twice(tmp_path: Path, asked: list[int]) -> None:
    """Its own manifests are no news to it: what a space has is asked once a page, not for each node of each commit."""
    ana = Laptop(founded(DirectoryStore(tmp_path / "bucket"), tmp_path / "ana"), tmp_path / "ana")
    ana.local.add(conversation("long", 350))
    report = ana.provider.sync()

    assert (report.pushed_commits, report.pushed_nodes) == (4, 350)
    assert len(asked) <= 1
    assert len(ana.pulled()) == len(set(ana.pulled())) == 350


def test_what_comes_between_two_commits_is_looked_at(
    tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's manifest may hold the very nodes that were about to go: the run that was begun before it is compared with it."""
    store = DirectoryStore(tmp_path / "bucket")
    owner = founded(store, tmp_path / "ana")
    ana = Laptop(owner, tmp_path / "ana")
    ben = Laptop(joined(owner, store, tmp_path / "ben", person("ben")), tmp_path / "ben")
    ana.local.add(conversation("long", 250))
    settled, count = Committer._settle, Pusher._count

    looked_at: list[int] = []

    def counted(pusher: Pusher, batch: Batch, lost_races: int) -> None:
        if pusher.client is ana.client:
            looked_at.append(asked.count(1))
        asked.clear()
        count(pusher, batch, lost_races)

    def then_ben(committer: Committer, seq: int, data: bytes) -> bool:
        won = settled(committer, seq, data)
        if committer is ana.client.committer and not ben.local.count():
            ben.local.add(conversation("bens", 3))
            ben.provider.sync()
            ana.client.log.catch_up()
        return won

    monkeypatch.setattr(Committer, "_settle", then_ben)
    monkeypatch.setattr(Pusher, "_count", counted)
    report = ana.provider.sync()

    assert (report.pushed_commits, report.pushed_nodes) == (3, 250)
    assert looked_at == [0, 100, 0]  # each node of the run that was begun before it, once
    assert len(ana.pulled()) == len(set(ana.pulled())) == 253
