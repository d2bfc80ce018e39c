"""One suite over every provider and every kind of bucket: who uses a Provider need not know which one it is."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.blobs import BlobStore
from store.directory import DirectoryStore
from store.local import LocalStore
from store.nodes import Node
from store.open_store import compose
from store.s3 import S3Store
from sync.client import Client, ClientPaths
from sync.cloud import CloudProvider
from sync.hybrid import HybridProvider
from sync.identity import Identity
from sync.local import LocalProvider
from sync.outbox import ContentLevel, SpaceKind
from sync.providers import Provider, SyncProvider
from sync.pull import applied_manifests
from sync.verify import verify
from tests.actors import founded, joined
from tests.laptops import conversation, turn
from tests.services.shared import S3_KINDS_SLOW

PROVIDERS = ["local", "hybrid", "cloud"]
BUCKETS = [
    "directory",
    *S3_KINDS_SLOW,
]
ABSENT = "0123456789abcdef" * 4


def visible(project: str | None) -> SpaceKind:
    """What these people set: one project is private."""
    return "private" if project == "secret" else "team"


def whole(_project: str | None) -> ContentLevel:
    """What was said goes along."""
    return "full"


@dataclass
class Place:
    """A bucket, and people of one team with homes; each `open` is a new process of that person."""

    store: BlobStore
    root: Path
    identities: dict[str, Identity]
    opened: list[Provider] = field(default_factory=list)

    def open(self, who: str, kind: str) -> Provider:
        if kind == "local":
            provider: Provider = LocalProvider(self._local(who))
            self.opened.append(provider)
            return provider
        return self.syncing(who, kind)

    def syncing(self, who: str, kind: str) -> SyncProvider:
        provider: SyncProvider
        if kind == "hybrid":
            provider = HybridProvider(self._local(who), self._client(who, keeps_frames=True), visible, whole)
        else:
            provider = CloudProvider(self._client(who, keeps_frames=False), visible, whole)
        self.opened.append(provider)
        return provider

    def names(self) -> list[str]:
        return [info.name for info in self.store.list("")]

    def _local(self, who: str) -> LocalStore:
        return LocalStore.open(self.root / who / "tapes.db")

    def _client(self, who: str, *, keeps_frames: bool) -> Client:
        home = self.root / who
        paths = ClientPaths(home / "team.db", home / "cache", home / "evidence", keeps_frames=keeps_frames)
        made = Client(self.identities[who], self.store, paths)
        made.probe_once = lambda: None  # type: ignore[method-assign]
        return made


def settled(store: BlobStore, root: Path) -> Place:
    """Ana founded a team, Ben joined it."""
    ana = founded(store, root / "ana")
    ben = joined(ana, store, root / "ben")
    identities = {"ana": ana.identity, "ben": ben.identity}
    ana.close()
    ben.close()
    return Place(store, root, identities)


@pytest.fixture(params=BUCKETS)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, aws_environment: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A new team over each kind of bucket."""
    bare: DirectoryStore | S3Store
    if request.param == "directory":
        bare = DirectoryStore(tmp_path / "bucket")
    else:
        service = request.getfixturevalue(request.param)
        for name, value in service.environment.items():
            aws_environment.setenv(name, value)
        bare = S3Store(service.make_bucket(), "a/team", endpoint_url=service.endpoint_url)
    made = settled(compose(bare)[0], tmp_path)
    yield made
    for provider in made.opened:
        provider.close()
    if isinstance(bare, S3Store):
        bare.close()


@pytest.fixture(params=PROVIDERS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each provider."""
    return str(request.param)


@pytest.fixture
def provider(place: Place, kind: str) -> Provider:
    """Ana's."""
    return place.open("ana", kind)


def test_what_was_put_is_there(provider: Provider) -> None:
    """A node comes back equal in every field, is had, and no other one is."""
    nodes = conversation("hello", 3)

    provider.put(nodes)

    assert nodes == [provider.get(node.hash) for node in nodes]
    assert [True] * 3 == [provider.has(node.hash) for node in nodes]
    assert (None, False, []) == (provider.get(ABSENT), provider.has(ABSENT), provider.ancestry(ABSENT))


def test_what_is_no_hash_is_not_there(provider: Provider) -> None:
    """Any text may be asked for; the answer is that there is none."""
    [node] = conversation("hello", 1)
    provider.put([node])

    for nonsense in ("", "zz", "abc", node.hash.upper(), " " + node.hash, "../../etc", "ä", "\udc80"):
        assert (None, False, []) == (
            provider.get(nonsense),
            provider.has(nonsense),
            provider.ancestry(nonsense),
        )


def test_what_put_returned_from_survives_a_kill(place: Place, kind: str) -> None:
    """A process that never closed anything has lost nothing that `put` returned from: the next one reads it."""
    nodes = conversation("hello", 5)
    place.open("ana", kind).put(nodes)

    assert list(reversed(nodes)) == place.open("ana", kind).ancestry(nodes[-1].hash)


def test_an_ancestry_goes_to_the_root(provider: Provider) -> None:
    """The node first, its root last, over several puts; a parent that is nowhere ends it."""
    nodes = conversation("hello", 6)
    for node in nodes:
        provider.put([node])
    orphan = turn("whose parent is unknown", replace(nodes[0], hash=ABSENT))
    provider.put([orphan])

    assert list(reversed(nodes)) == provider.ancestry(nodes[-1].hash)
    assert [orphan] == provider.ancestry(orphan.hash)


def test_leaves_are_what_nothing_builds_on(provider: Provider) -> None:
    """Each branch's end, in the order of the hashes; an end that is built on is one no more."""
    nodes = conversation("hello", 4)
    branch, other = turn("another way", nodes[1]), conversation("other", 1)
    provider.put([*nodes, branch])
    provider.put(other)
    before = list(provider.leaves())
    grown = turn("and on", nodes[-1])
    provider.put([grown])

    assert sorted([nodes[-1].hash, branch.hash, other[0].hash]) == before
    assert sorted([grown.hash, branch.hash, other[0].hash]) == list(provider.leaves())


def test_a_known_hash_changes_nothing(place: Place, kind: str) -> None:
    """Put again, alone or among new ones, by another process too: once there, and the first writer's metadata stays."""
    nodes = conversation("hello", 3)
    place.open("ana", kind).put(nodes)
    again = place.open("ana", kind)
    again.put([replace(nodes[0], project="renamed"), *nodes[1:], turn("new", nodes[-1])])

    assert nodes[0] == again.get(nodes[0].hash)
    assert 4 == len(again.ancestry(turn("new", nodes[-1]).hash))


def test_a_turn_read_complete_replaces_its_counts(provider: Provider) -> None:
    """A larger output count of the same model call is what `get` gives from then on; a smaller one is not."""
    for output in (5, 631, 7):
        provider.put([turn("growing", None, output=output)])

    found = provider.get(turn("growing", None, output=1).hash)
    assert found is not None
    assert found.usage is not None
    assert 631 == found.usage.output


def test_a_node_of_no_known_hash_is_kept_and_marked(provider: Provider) -> None:
    """What fits no era is kept as unverified, under the hash it came with."""
    [node] = conversation("hello", 1)
    odd = replace(node, hash=ABSENT, hash_version=None)

    provider.put([odd])

    found = provider.get(ABSENT)
    assert found is not None
    assert (False, odd.bucket) == (found.verified, found.bucket)


def test_a_put_that_fails_half_way_keeps_nothing(provider: Provider) -> None:
    """Nodes whose source breaks off are not kept: all of a put, or as much as was committed on the way, in whole batches."""
    nodes = conversation("hello", 3)

    def breaking() -> Iterator[Node]:
        yield from nodes
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        provider.put(breaking())

    assert [False] * 3 == [provider.has(node.hash) for node in nodes]
    provider.put(nodes)
    assert list(reversed(nodes)) == provider.ancestry(nodes[-1].hash)


def test_no_nodes_are_no_work(place: Place, provider: Provider) -> None:
    """An empty put writes nothing anywhere."""
    before = place.names()

    provider.put([])

    assert (before, []) == (place.names(), list(provider.leaves()))


def test_closing_twice_is_fine(provider: Provider) -> None:
    """The second close of a provider that has done something finds nothing to do, and what was put stays."""
    provider.put(conversation("hello", 1))
    provider.close()
    provider.close()

    with pytest.raises(Exception, match="closed"):
        provider.get(conversation("hello", 1)[0].hash)


@pytest.mark.parametrize("reader", ["hybrid", "cloud"])
@pytest.mark.parametrize("writer", ["hybrid", "cloud"])
def test_what_one_puts_the_other_gets(place: Place, writer: str, reader: str) -> None:
    """Whichever providers two members use, after a sync both have the same turns once, and the bucket verifies."""
    nodes = conversation("hello", 4)
    ana, ben = place.syncing("ana", writer), place.syncing("ben", reader)
    ana.put(nodes)
    ana.sync()
    ben.sync()
    ben.put([*nodes, turn("ben adds", nodes[-1])])
    ben.sync()
    assert 0 == ana.sync().pushed_nodes

    for who in ("ana", "ben"):
        fresh = place._client(who, keeps_frames=False)
        rows = [h.hex() for _, m in applied_manifests(fresh) for h in m.table.column("hash").to_pylist()]
        theirs = [*(n.hash for n in nodes), turn("ben adds", nodes[-1]).hash]
        assert sorted([*(n.hash for n in nodes), *theirs]) == sorted(rows)  # once by each who had them
        assert verify(fresh).ok
        fresh.close()


@pytest.mark.parametrize("syncing", ["hybrid", "cloud"])
def test_a_private_conversation_is_its_owners(place: Place, syncing: str) -> None:
    """The owner's cloud provider reads it on from the bucket; the other member's has no such node."""
    nodes = conversation("hidden", 3, "secret")
    ana = place.syncing("ana", syncing)
    ana.put(nodes)
    ana.sync()

    assert list(reversed(nodes)) == place.syncing("ana", "cloud").ancestry(nodes[-1].hash)
    ben = place.syncing("ben", "cloud")
    assert (None, False, []) == (ben.get(nodes[0].hash), ben.has(nodes[0].hash), list(ben.leaves()))


@pytest.mark.parametrize("syncing", ["hybrid", "cloud"])
def test_a_second_sync_does_nothing(place: Place, syncing: str) -> None:
    """Nothing pushed, pulled or pending; and a dry run before it planned nothing and wrote nothing."""
    ana = place.syncing("ana", syncing)
    ana.put(conversation("hello", 3))
    ana.sync()
    before = place.names()
    dry, again, status = ana.sync(dry_run=True), ana.sync(), ana.sync_status()

    assert ([], 0, 0, []) == (dry.plan, again.pushed_nodes, again.pulled_nodes, again.broken)
    assert (syncing, 0, 0) == (status.provider, status.pending_push, status.pending_pull)
    assert status.last_sync_at is not None
    assert before == place.names()


@pytest.mark.parametrize("syncing", ["hybrid", "cloud"])
def test_a_pull_takes_in_what_others_put(place: Place, syncing: str) -> None:
    """`pull` alone counts the other's nodes and writes nothing."""
    ben = place.syncing("ben", "cloud")
    ben.put(conversation("from ben", 3))
    before = place.names()
    report = place.syncing("ana", syncing).pull()

    assert (3, 1, before) == (report.pulled_nodes, report.pulled_manifests, place.names())


@st.composite
def forests(draw: st.DrawFn) -> list[list[Node]]:
    """Puts: lists of nodes whose parents came before, or never come; the same node may be put again."""
    made: list[Node] = []
    for number in range(draw(st.integers(1, 12))):
        parent = draw(st.sampled_from([None, *made]))
        project = parent.project if parent else draw(st.sampled_from(["alpha", "secret"]))
        made.append(
            turn(f"turn {number}", parent, output=draw(st.integers(0, 3)), project=project or "alpha")
        )
    puts: list[list[Node]] = []
    left = list(made)
    while left:
        size = draw(st.integers(1, len(left)))
        again = draw(st.lists(st.sampled_from(made[: len(made) - len(left)] or [left[0]]), max_size=2))
        puts.append([*again, *left[:size]])
        left = left[size:]
    return puts


@settings(max_examples=8)
@given(puts=forests())
def test_all_providers_answer_alike(puts: list[list[Node]]) -> None:
    """Whatever is put in whatever pieces, the six methods answer the same everywhere."""
    answers = []
    for kind in PROVIDERS:
        with TemporaryDirectory() as root:
            place = settled(DirectoryStore(Path(root) / "bucket"), Path(root))
            provider = place.open("ana", kind)
            for nodes in puts:
                provider.put(nodes)
            hashes = sorted({node.hash for nodes in puts for node in nodes})
            answers.append(
                (
                    [provider.get(h) for h in hashes],
                    [provider.has(h) for h in [*hashes, ABSENT]],
                    [provider.ancestry(h) for h in hashes],
                    list(provider.leaves()),
                )
            )
            provider.close()

    assert answers[0] == answers[1] == answers[2]
