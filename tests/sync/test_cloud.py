"""The cloud provider's own promises: what a put does on the way, where a conversation goes, what it refuses to say."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import KeyNeeded, PartialFailure, TapesError, UsageError, VerificationFailed
from query.sessions import list_sessions
from query.source import open_source
from store import limits
from store.directory import DirectoryStore
from store.local import LocalStore
from store.manifest_schema import PLACE_COLUMNS
from store.nodes import Node
from sync import outbox
from sync.client import Client, ClientPaths
from sync.cloud import CloudProvider
from sync.giving_up import give_up
from sync.healing import heal_log
from sync.node_index import NodeAt, NodeIndex
from sync.pull import applied_manifests
from sync.shelves import MemoryShelf
from sync.verify import verify
from tests.actors import joined, person
from tests.attacks.hostile import lying_push
from tests.faults.worlds import hurried
from tests.laptops import Laptop, conversation, turn
from tests.sync.keeping_nothing import Ana, hashes


@pytest.fixture
def ana(tmp_path: Path) -> Ana:
    """Ana, alone in a new team."""
    return Ana(tmp_path)


def test_nothing_of_a_session_rests_on_the_device(ana: Ana) -> None:
    """After puts and reads the home holds the replica, its lock and sealed manifests: no frame or pack, no text, no node hash."""
    nodes = conversation("a very secret sentence", 5, "project-omega")
    cloud = ana.cloud()
    cloud.put(nodes)
    assert 5 == len(ana.cloud().ancestry(nodes[-1].hash))
    cloud.close()
    rest = {path.name: path.read_bytes() for path in ana.home.rglob("*") if path.is_file()}

    manifests = {info.name.rsplit("/", 1)[-1] for info in ana.bucket.list("manifests/")}
    assert set(rest) == {"team.db", "team.db-wal", "team.db-shm", "team.lock"} | manifests
    for needle in [b"very secret", b"project-omega", *(bytes.fromhex(node.hash) for node in nodes)]:
        assert not [name for name, data in rest.items() if needle in data]
    stored = [ana.bucket.get(info.name) for info in ana.bucket.list("packs/")]
    assert stored
    assert not [name for data in stored for name, kept in rest.items() if data[:64] in kept]


def test_a_long_put_is_committed_on_the_way(ana: Ana) -> None:
    """Once so much is staged it is committed and its memory let go; importing on over what was let go joins on as before."""
    nodes = conversation("hello", 40)
    cloud = ana.cloud(batch_bytes=4_000)
    with cloud.intake() as intake:
        for node in nodes:
            intake.store.add([node])
        assert intake.commits > 3
        assert None is LocalStore.get_bytes(intake.store, nodes[0].hash)
        assert nodes[0] == intake.store.get(nodes[0].hash)
        assert 0 == intake.store.add(nodes).new
        assert intake.store.waiting_bytes() < 4_000

    assert hashes(nodes) == ana.rows("team")
    assert list(reversed(nodes)) == cloud.ancestry(nodes[-1].hash)
    assert verify(ana.client()).ok


def test_what_breaks_off_leaves_whole_commits(ana: Ana) -> None:
    """Of a put whose source fails after several commits those stand, and putting it all again adds only the rest."""
    nodes = conversation("hello", 600)

    def breaking() -> Iterator[Node]:
        yield from nodes[:550]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ana.cloud(batch_bytes=1_000).put(breaking())
    stood = len(ana.rows("team"))
    ana.cloud().put(nodes)

    assert 512 == stood
    assert hashes(nodes) == ana.rows("team")


def test_a_single_turn_costs_few_requests(ana: Ana) -> None:
    """One put of one turn: pack, manifest, slot; reading it back one range read, then none."""
    cloud = ana.cloud()
    nodes = conversation("hello", 2)
    cloud.put(nodes[:1])
    before = ana.metered.traffic()
    cloud.put(nodes[1:])
    after = ana.metered.traffic()
    assert 3 == after.puts - before.puts

    for gets in (1, 0):
        before = ana.metered.traffic()
        assert nodes[1] == cloud.get(nodes[1].hash)
        assert gets == ana.metered.traffic().gets - before.gets


def test_a_conversation_goes_on_where_it_began(ana: Ana) -> None:
    """A turn without a project, or of another one, follows its conversation into the private space, in any process."""
    nodes = conversation("hidden", 2, "secret")
    ana.cloud().put(nodes)
    nodes.append(turn("moved to another folder", nodes[-1], project="open"))
    ana.cloud().put([nodes[-1]])
    nodes.append(replace(turn("no folder", nodes[-1]), project=None))
    ana.cloud().put([nodes[-1]])

    assert (hashes(nodes), []) == (ana.rows("private"), ana.rows("team"))
    assert verify(ana.client()).ok


def test_a_push_into_a_space_brings_the_ancestors_it_lacks(ana: Ana) -> None:
    """When a private project is opened, its conversation's next turn takes the earlier ones into the team's space, in order."""
    nodes = conversation("hello", 3, "secret")
    ana.cloud().put(nodes[:2])
    ana.settings["secret"] = "team"
    ana.cloud().put(nodes[2:])

    assert (hashes(nodes[:2]), hashes(nodes)) == (ana.rows("private"), ana.rows("team"))
    assert list(reversed(nodes)) == ana.cloud().ancestry(nodes[-1].hash)


def test_a_turn_too_large_is_named_and_the_rest_is_put(ana: Ana, monkeypatch: pytest.MonkeyPatch) -> None:
    """PartialFailure with its hash; it is nowhere, and the others are committed."""
    monkeypatch.setattr(outbox, "node_bytes_max", 1_000)
    nodes = [*conversation("hello", 2), turn("x" * 2_000, None)]
    with pytest.raises(PartialFailure) as failure:
        ana.cloud().put(nodes)

    assert limits.node_bytes_max > 1_000
    assert [nodes[2].hash] == [line.split()[0] for line in failure.value.failed]
    assert hashes(nodes[:2]) == ana.rows("team")
    assert not ana.cloud().has(nodes[2].hash)


def test_absent_is_not_said_of_a_bucket_that_lost_a_manifest(ana: Ana, tmp_path: Path) -> None:
    """While a manifest the log names cannot be read, an unknown node is a finding, not "no"; what is readable still is."""
    ben = Laptop(joined(ana.client(), ana.bucket, tmp_path / "ben"), tmp_path / "ben")
    mine, theirs = conversation("mine", 2), conversation("from ben", 2)
    ana.cloud().put(mine)
    before = {info.name for info in ana.bucket.list("manifests/")}
    ben.provider.put(theirs)
    ben.provider.sync()
    [lost] = {info.name for info in ana.bucket.list("manifests/")} - before
    ana.bucket.delete(lost)
    cloud = ana.cloud()

    questions: list[Callable[[], object]] = [
        lambda: cloud.get(theirs[0].hash),
        lambda: cloud.has(theirs[0].hash),
        lambda: list(cloud.leaves()),
        lambda: cloud.put(conversation("new", 1)),
    ]
    for question in questions:
        with pytest.raises(VerificationFailed, match="missing"):
            question()
    assert mine[0] == cloud.get(mine[0].hash)
    assert cloud.has(mine[0].hash)


def test_the_bytes_of_another_node_are_not_taken(ana: Ana) -> None:
    """A frame that the bucket altered is refused by name, whatever the reader asks for."""
    nodes = conversation("hello", 3)
    ana.cloud().put(nodes)
    [pack] = (path for path in (ana.home.parent / "bucket" / "packs").rglob("*") if path.is_file())
    data = bytearray(pack.read_bytes())
    data[40] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(bytes(data))

    with pytest.raises(VerificationFailed, match="packs/"):
        ana.cloud().get(nodes[0].hash)


def test_without_a_team_nothing_is_taken(tmp_path: Path) -> None:
    """KeyNeeded before anything is read or written."""
    bucket = DirectoryStore(tmp_path / "bucket")
    paths = ClientPaths(tmp_path / "team.db", None, tmp_path / "evidence")
    cloud = CloudProvider(Client(person("ana").identity, bucket, paths), lambda _: "team", lambda _: "full")
    with pytest.raises(KeyNeeded):
        cloud.put(conversation("hello", 1))

    assert [] == list(bucket.list(""))


def test_fetching_everything_is_refused(ana: Ana) -> None:
    """There is nowhere to keep it."""
    with pytest.raises(UsageError, match="keeps no turns"):
        ana.cloud().sync(full=True)


def test_the_index_shows_the_first_members_best_row(ana: Ana) -> None:
    """Another member's larger count, pushed later, replaces nothing; the first one's own does; no place, no bytes."""
    ana.cloud().put([turn("growing", None, output=5)])
    ana.cloud().put([turn("growing", None, output=9)])
    client = ana.client()
    [(first, small), (second, large)] = list(applied_manifests(client))
    node = turn("growing", None, output=5).hash
    mine, other = b"a" * 32, b"b" * 32

    def chosen(*taken: tuple[bytes, object]) -> object:
        index = NodeIndex(mine)
        for member, manifest in taken:
            index.take(first if manifest is small else second, member, manifest)  # type: ignore[arg-type]
        at = index.find(node)
        assert at is not None
        return at.frame and at.frame.manifest

    bare = replace(small, table=_without_place(small.table))
    assert second == chosen((mine, small), (mine, large))
    assert second == chosen((mine, large), (mine, small))
    assert first == chosen((mine, small), (other, large))
    assert first == chosen((other, small), (mine, large))
    assert second == chosen((mine, bare), (mine, large))
    assert None is chosen((mine, bare))


def _without_place(table: pa.Table) -> pa.Table:
    for name in (*PLACE_COLUMNS, "opening"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.nulls(table.num_rows, table.schema.field(name).type))
    return table


def test_withheld_text_is_taken_by_nobody(ana: Ana) -> None:
    """A project whose text must not leave the device is refused before anything is pushed: its turns would be nowhere in full."""
    ana.withheld = {"quiet"}
    before = len(list(ana.bucket.list("")))
    with pytest.raises(UsageError, match="quiet"):
        ana.cloud().put([*conversation("hello", 2), *conversation("hush", 2, "quiet")])

    assert before == len(list(ana.bucket.list("")))


def test_rows_in_a_circle_end(ana: Ana, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member's metadata rows that name each other as parents hold up nobody who goes on from one of them."""
    first, second = conversation("hello", 2, "secret")
    ana.cloud().put([first, second])
    ana.settings["secret"] = "team"
    ends = {first.hash: second.hash, second.hash: first.hash}
    find = NodeIndex.find

    def circular(index: NodeIndex, node_hash: str) -> NodeAt | None:
        at = find(index, node_hash)
        return at and replace(at, parent=ends.get(node_hash, at.parent), frame=None)

    monkeypatch.setattr(NodeIndex, "find", circular)
    goes_on = turn("goes on", second, project="secret")
    ana.cloud().put([goes_on])

    assert [goes_on.hash] == ana.rows("team")


def test_of_metadata_alone_no_bytes_are_promised(ana: Ana, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of which only metadata was pushed is had, and asking for it says why it cannot be given."""
    nodes = conversation("hello", 1)
    ana.cloud().put(nodes)
    cloud = ana.cloud()
    take = NodeIndex.take
    monkeypatch.setattr(
        NodeIndex,
        "take",
        lambda self, pending, member, manifest: take(
            self, pending, member, replace(manifest, table=_without_place(manifest.table))
        ),
    )

    assert cloud.has(nodes[0].hash)
    with pytest.raises(TapesError, match="only metadata"):
        cloud.get(nodes[0].hash)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=30), st.integers(0, 60))
def test_a_memory_shelf_keeps_the_newest_within_its_bound(
    writes: list[tuple[int, int]], bytes_max: int
) -> None:
    """Never more bytes than allowed, never wrong ones, and of what fits always the one used last."""
    shelf = MemoryShelf(bytes_max)
    said: dict[str, bytes] = {}
    for name, size in writes:
        data = said.setdefault(str(name), bytes([name]) * size)
        shelf.write(str(name), data)
        kept = {digest: shelf.read(digest) for digest in said}
        assert all(found in (None, said[digest]) for digest, found in kept.items())
        assert sum(len(found) for found in kept.values() if found is not None) <= bytes_max
        assert (len(data) <= bytes_max) == shelf.has(str(name))


def test_a_manifest_that_nobody_has_stops_no_put(ana: Ana, tmp_path: Path) -> None:
    """Another's manifest is gone: a put longer than staging is committed whole, and only then is the loss said."""
    ben = Laptop(joined(ana.client(), ana.bucket, tmp_path / "ben"), tmp_path / "ben")
    ben.provider.put(conversation("from ben", 2))
    ben.provider.sync()
    [lost] = ana.bucket.list("manifests/")
    ana.bucket.delete(lost.name)
    nodes = conversation("mine", 40)
    with ana.cloud(batch_bytes=4_000).intake() as intake:
        for node in nodes:
            intake.store.add([node])

    assert intake.commits > 3
    assert [lost.name] == [broken.obj for broken in intake.broken]
    assert hashes(nodes) == ana.rows("team")


def test_a_manifest_lost_after_it_was_taken_in_is_passed_over(ana: Ana, tmp_path: Path) -> None:
    """What is left can be read and written; nothing is called absent until the loss was given up, and then it may be."""
    theirs, mine = conversation("from ben", 2), conversation("mine", 2)
    ben = Laptop(joined(ana.client(), ana.bucket, tmp_path / "ben"), tmp_path / "ben")
    ben.provider.put(theirs)
    ben.provider.sync()
    [lost] = ana.bucket.list("manifests/")
    ana.cloud().put(mine)
    data = ana.bucket.get(lost.name)
    ana.bucket.delete(lost.name)
    assert theirs[0].hash in ana.cloud().leaves() or theirs[-1].hash in ana.cloud().leaves()
    shutil.rmtree(ana.home / "cache")  # as long as it is kept here, sealed, nobody here misses it
    cloud = ana.cloud()

    assert mine[0] == cloud.get(mine[0].hash)
    cloud.put([turn("goes on", mine[-1])])
    questions: list[Callable[[], object]] = [lambda: cloud.get(theirs[0].hash), lambda: list(cloud.leaves())]
    for question in questions:
        with pytest.raises(VerificationFailed, match="missing"):
            question()

    give_up(ana.client(), [lost.name])
    assert 1 == len(list(cloud.leaves()))
    assert [] == cloud.sync().broken
    with open_source(None, ana.client()) as source:
        assert 3 == list_sessions(source).totals.nodes
    ana.bucket.put_if_absent(lost.name, data)
    assert theirs[0] == ana.cloud().get(theirs[0].hash)


def test_who_reads_a_conversation_is_not_for_others_to_say(ana: Ana, tmp_path: Path) -> None:
    """Ben's own session begins with the same words, in a project of his: Ana's stays where hers is meant to be."""
    ben = Laptop(joined(ana.client(), ana.bucket, tmp_path / "ben"), tmp_path / "ben")
    first = turn("hi", None, project="secret")
    ben.provider.put([turn("hi", None, project="open")])
    ben.provider.sync()
    second = turn("what nobody else may read", first, project="secret")
    ana.cloud().put([first])
    ana.cloud().put([second])

    assert [] == ana.rows("team")[1:]
    assert [first.hash, second.hash] == ana.rows("private")


def test_a_row_that_lies_does_not_hide_the_true_one(ana: Ana, tmp_path: Path) -> None:
    """Eve names Ana's node first, over other bytes: Ana's own row is the one that is read."""
    nodes = conversation("mine", 2)
    eve = Laptop(hurried(joined(ana.client(), ana.bucket, tmp_path / "eve")), tmp_path / "eve")
    lying_push(eve, nodes, stored=lambda _hash, data: data.replace(b"mine", b"hers"))
    ana.cloud().put(nodes)
    cloud = ana.cloud()

    assert nodes == [cloud.get(node.hash) for node in nodes]
    assert list(reversed(nodes)) == cloud.ancestry(nodes[-1].hash)


def test_turns_of_a_lost_pack_are_put_again(ana: Ana) -> None:
    """Nothing is kept here, but the agents' logs are: after healing, an import sends those that were lost, once."""
    kept, lost = conversation("kept", 2), conversation("lost", 2)
    ana.cloud().put(kept)
    before = {info.name for info in ana.bucket.list("packs/")}
    ana.cloud().put(lost)
    [gone] = {info.name for info in ana.bucket.list("packs/")} - before
    ana.bucket.delete(gone)
    ana.cloud().put([*kept, *lost])  # what a commit names counts as there
    with pytest.raises(VerificationFailed):
        ana.cloud().get(lost[0].hash)

    assert 2 == heal_log(ana.client()).turns
    ana.cloud().put([*kept, *lost])
    assert lost == [ana.cloud().get(node.hash) for node in lost]
    assert hashes([*kept, *lost, *lost]) == ana.rows("team")
    assert 0 == heal_log(ana.client()).turns


def test_going_on_from_anothers_turns_brings_them_along_or_says_what_is_lost(
    ana: Ana, tmp_path: Path
) -> None:
    """Ben's turns come along once, as Ana's commits are all that counts for her; where their pack is gone, that is said."""
    ben = Laptop(joined(ana.client(), ana.bucket, tmp_path / "ben"), tmp_path / "ben")
    theirs, lost = conversation("from ben", 2), conversation("lost", 2)
    ben.provider.put(theirs)
    ben.provider.sync()
    first = turn("goes on", theirs[-1])
    ana.cloud().put([first])
    ana.cloud().put([turn("and on", first)])
    assert hashes([*theirs, *theirs, first, turn("and on", first)]) == ana.rows("team")

    before = {info.name for info in ana.bucket.list("packs/")}
    ben.provider.put(lost)
    ben.provider.sync()
    [gone] = {info.name for info in ana.bucket.list("packs/")} - before
    ana.bucket.delete(gone)
    last = turn("goes on from nothing", lost[-1])
    with pytest.raises(VerificationFailed, match="missing"):
        ana.cloud().put([last])
    assert last == ana.cloud().get(last.hash)


def test_a_new_process_fetches_only_new_manifests(ana: Ana) -> None:
    """Manifests rest sealed on the device: the second process to list the team's sessions asks for none of them."""
    ana.cloud().put(conversation("hello", 2))
    ana.cloud().put(conversation("again", 2))
    for gets in (2, 2):
        before = ana.metered.traffic().gets
        assert 2 == len(list(ana.cloud().leaves()))
        assert gets == ana.metered.traffic().gets - before
