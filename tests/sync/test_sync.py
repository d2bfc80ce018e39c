"""Push and pull between two people over a real directory store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crypto.errors import VerificationFailed
from crypto.identities import SecretKeys
from store.blobs import BlobStore
from store.directory import DirectoryStore
from store.metering import MeteredStore
from sync.client import Client
from sync.providers import Progress, ProgressSeen
from sync.pull import applied_manifests
from sync.verify import verify
from tests.actors import Person, client, founded, joined
from tests.laptops import Laptop, conversation, turn


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A bucket in a folder."""
    return DirectoryStore(tmp_path / "bucket")


@pytest.fixture
def two(store: DirectoryStore, tmp_path: Path) -> tuple[Laptop, Laptop]:
    """Ana, who founded the team, and Ben, who joined."""
    ana = founded(store, tmp_path / "ana")
    ben = joined(ana, store, tmp_path / "ben")
    return Laptop(ana, tmp_path / "ana"), Laptop(ben, tmp_path / "ben")


def test_what_one_pushes_the_other_reads(two: tuple[Laptop, Laptop]) -> None:
    """After a sync on each side both know the same nodes, and Ben reads the very bytes Ana stored."""
    ana, ben = two
    nodes = conversation("hello", 7) + conversation("other", 3, "beta")
    ana.provider.put(nodes)
    pushed = ana.provider.sync()
    pulled = ben.provider.sync(full=True)

    assert (10, 1) == (pushed.pushed_nodes, pushed.pushed_commits)
    assert (10, 1) == (pulled.pulled_nodes, pulled.pulled_manifests)
    assert sorted(node.hash for node in nodes) == ana.pulled() == ben.pulled()
    assert 2 == pulled.fetched_frames


def test_a_second_sync_does_nothing_in_three_requests(two: tuple[Laptop, Laptop]) -> None:
    """A sync with nothing new writes nothing: the pinned head, the next slot and one LIST are all it asks for."""
    ana, _ = two
    ana.provider.put(conversation("hello", 3))
    ana.provider.sync()
    metered = MeteredStore(ana.client.store)
    again = Laptop(client_over(ana, metered), Path(str(ana.local.path.parent)))
    report = again.provider.sync()
    traffic = metered.traffic()

    assert 0 == report.pushed_nodes
    assert (0, 2, 1) == (traffic.puts, traffic.gets, traffic.lists)


def client_over(laptop: Laptop, store: BlobStore) -> Client:
    home = laptop.local.path.parent
    return client(Person(SecretKeys(bytes(32), bytes(32)), laptop.client.identity), store, home)


def test_new_turns_continue_the_conversation(two: tuple[Laptop, Laptop]) -> None:
    """Only what the member never pushed travels, once; the leaves of one conversation chain across commits and members."""
    ana, ben = two
    nodes = conversation("hello", 4)
    ana.provider.put(nodes[:2])
    ana.provider.sync()
    ana.provider.put(nodes[2:])
    assert 2 == ana.provider.sync().pushed_nodes
    ben.provider.put([*nodes, turn("ben adds", nodes[-1])])
    assert [5, 0] == [ben.provider.sync().pushed_nodes for _ in range(2)]  # Ana's rows are her word
    assert 0 == ana.provider.sync().pushed_nodes

    assert ana.pulled() == ben.pulled()
    assert 5 == len(set(ana.pulled()))
    assert verify(ana.client).ok
    assert verify(ben.client).ok


def test_a_store_in_anothers_place_is_pushed_from_its_start(two: tuple[Laptop, Laptop]) -> None:
    """What is remembered of how far a local store was pushed is not believed of the next one at the same path."""
    ana, ben = two
    ana.provider.put(conversation("hello", 7))
    ana.provider.sync()
    ana.local.close()
    ana.local.path.unlink()
    again = Laptop(ana.client, ana.home)
    again.provider.put(conversation("later", 3))

    assert 3 == again.provider.sync().pushed_nodes
    ben.provider.sync()
    assert 10 == len(ben.pulled())


def test_a_private_conversation_stays_with_its_owner(store: DirectoryStore, tmp_path: Path) -> None:
    """Nodes of a private project reach the bucket sealed for one member; the other's sync neither reads nor fails on them."""
    owner = founded(store, tmp_path / "ana")
    ben = Laptop(joined(owner, store, tmp_path / "ben"), tmp_path / "ben")
    ana = Laptop(owner, tmp_path / "ana", private={"secret"})
    ana.provider.put(conversation("open", 3) + conversation("hidden", 3, "secret"))
    ana.provider.sync()
    report = ben.provider.sync()

    assert 6 == len(ana.pulled())
    assert 3 == len(ben.pulled())
    assert ([], []) == (report.notices, report.broken)
    assert verify(ben.client).ok


def test_making_a_project_team_visible_republishes_all_of_it(store: DirectoryStore, tmp_path: Path) -> None:
    """A changed setting pushes whole conversations into the team space, ancestors included, as the dry run said."""
    owner = founded(store, tmp_path / "ana")
    hidden = {"alpha"}
    ana = Laptop(owner, tmp_path / "ana", private=hidden)
    ana.provider.put(conversation("hello", 4))
    ana.provider.sync()
    hidden.clear()
    plan = ana.provider.sync(dry_run=True).plan

    assert [("team", 4, 3)] == [(entry.space, entry.nodes, entry.ancestors) for entry in plan]
    assert 4 == ana.provider.sync().pushed_nodes
    ben = Laptop(joined(owner, store, tmp_path / "ben"), tmp_path / "ben")
    ben.provider.sync()
    assert 4 == len(ben.pulled())


def test_a_dry_run_writes_nothing(two: tuple[Laptop, Laptop], store: DirectoryStore) -> None:
    """Planning lists what would go and leaves the bucket as it was."""
    ana, _ = two
    ana.provider.put(conversation("hello", 5))
    before = [info.name for info in store.list("")]
    plan = ana.provider.sync(dry_run=True).plan

    assert [5] == [entry.nodes for entry in plan]
    assert before == [info.name for info in store.list("")]


def test_a_larger_usage_is_pushed_again(two: tuple[Laptop, Laptop]) -> None:
    """A turn whose output count grew after its push goes out again, so that totals come right everywhere."""
    ana, ben = two
    first = turn("growing", None, output=5)
    ana.provider.put([first])
    ana.provider.sync()
    ana.provider.put([turn("growing", None, output=631)])
    assert 1 == ana.provider.sync().pushed_nodes
    ben.provider.sync()
    outputs = [m.table.column("output").to_pylist() for _, m in applied_manifests(ben.client)]

    assert [[5], [631]] == outputs


def test_the_bucket_is_blind(two: tuple[Laptop, Laptop], store: DirectoryStore) -> None:
    """No text, project, session id or node hash, raw or hex, stands anywhere in names or bytes."""
    ana, _ = two
    nodes = conversation("a very secret sentence", 5, "project-omega")
    ana.provider.put(nodes)
    ana.provider.sync()
    seen = b"".join(info.name.encode() + store.get(info.name) for info in store.list(""))

    for needle in [b"very secret", b"project-omega", b"session-of", *(n.hash.encode() for n in nodes)]:
        assert needle not in seen
    for node in nodes:
        assert bytes.fromhex(node.hash) not in seen


def _drop(path: Path) -> None:
    path.unlink()


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [_drop, _flip, _cut])
def test_verify_names_every_damaged_object(
    two: tuple[Laptop, Laptop], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Whatever object is lost, flipped or cut, `verify` has a finding for exactly it."""
    ana, _ = two
    ana.provider.put(conversation("hello", 4))
    ana.provider.sync()
    bucket = tmp_path / "bucket"
    for path in sorted(p for p in bucket.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        damage(path)
        report = verify(ana.client)
        path.write_bytes(whole)

        name = str(path.relative_to(bucket))
        assert any(name in finding.object for finding in report.findings), (name, report.findings)
        assert len(set(report.findings)) == len(
            report.findings
        )  # each once, though its manifest misses it too
    assert verify(ana.client).ok


def test_a_rolled_back_bucket_is_refused_with_evidence(two: tuple[Laptop, Laptop], tmp_path: Path) -> None:
    """A bucket that takes back a commit this device saw stops the sync, and both versions are kept."""
    ana, _ = two
    ana.provider.put(conversation("hello", 4))
    ana.provider.sync()
    newest = max((tmp_path / "bucket" / "log").iterdir())
    newest.unlink()

    with pytest.raises(VerificationFailed, match="is gone"):
        ana.provider.sync()
    assert [f"log-{newest.name}-pinned"] == [path.name for path in (tmp_path / "ana" / "evidence").iterdir()]


def test_a_hidden_slot_below_a_later_one_is_found(two: tuple[Laptop, Laptop], tmp_path: Path) -> None:
    """Withholding a middle slot from a device that never saw it does not make that device fill the gap."""
    ana, ben = two
    for number in range(3):
        ana.provider.put(conversation(f"talk {number}", 2))
        ana.provider.sync()
    slots = sorted((tmp_path / "bucket" / "log").iterdir())
    slots[-2].unlink()

    with pytest.raises(VerificationFailed, match="is missing, though slot"):
        ben.provider.sync()


def test_a_push_tells_how_far_it_is_of_how_much(
    two: tuple[Laptop, Laptop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch by batch it comes to the whole, also after an interruption: what went out before it is not still to do."""
    ana, _ = two
    ana.provider.put(conversation("first", 6) + conversation("second", 4) + conversation("third", 2))
    monkeypatch.setattr("sync.runs.manifest_rows_max", 4)
    with pytest.raises(KeyboardInterrupt):
        ana.provider.sync(progress=_interrupting_at(4))
    told: list[tuple[int, int]] = []
    report = ana.provider.sync(
        progress=lambda at: told.append((at.done, at.total)) if at.step == "pushing" else None
    )

    assert 8 == report.pushed_nodes
    assert [(0, 12), (8, 12), (12, 12)] == told  # what is there counts when its conversation is through


def _interrupting_at(done: int) -> ProgressSeen:
    def told(at: Progress) -> None:
        if (at.step, at.done) == ("pushing", done):
            raise KeyboardInterrupt

    return told


def test_an_idle_look_is_one_get_and_sees_whatever_is_to_do(two: tuple[Laptop, Laptop]) -> None:
    """One GET when nothing happened; not idle with a new turn here, a push of another's, or what came and was not taken in."""
    ana, ben = two
    ana.provider.put(conversation("hello", 3))
    assert not ana.provider.is_idle()
    ana.provider.sync()
    metered = MeteredStore(ana.client.store)
    again = Laptop(client_over(ana, metered), Path(str(ana.local.path.parent)))
    assert again.provider.is_idle()
    traffic = metered.traffic()
    assert (0, 1, 0, 0) == (traffic.puts, traffic.gets, traffic.lists, traffic.deletes)

    ben.provider.sync()
    ben.provider.put(conversation("of Ben's", 2))
    ben.provider.sync()
    assert [False, False] == [
        again.provider.is_idle(),
        again.provider.is_idle(),
    ]  # read, then waiting to be taken in
    again.provider.sync()
    assert again.provider.is_idle()
    again.provider.put(conversation("later", 1))
    assert not again.provider.is_idle()
