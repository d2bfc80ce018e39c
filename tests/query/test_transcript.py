"""Reading a session on the laptop that pushed it and on one that pulled it: the same, or an error that names the object."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from crypto.errors import StoreError, UsageError, VerificationFailed
from query.engine import Engine
from query.sessions import list_sessions
from query.source import Origin, Source, fill, open_source
from query.transcript import load
from store.facts import facts_of
from store.local import LocalStore
from store.manifest_schema import Row, rows_table
from store.nodes import Cost, Node, Usage, node_to_bytes
from store.nodes import Source as Found
from sync.pull import applied_manifests
from tests.actors import founded, joined
from tests.fakes.strict_store import Fault, StrictStore, fault_at
from tests.laptops import Laptop, conversation, turn


@pytest.fixture
def store() -> StrictStore:
    """A bucket that fails the test on misuse."""
    return StrictStore()


@pytest.fixture
def two(store: StrictStore, tmp_path: Path) -> Iterator[tuple[Laptop, Laptop]]:
    """Ana, who founded the team, and Ben, who joined."""
    ana = founded(store, tmp_path / "ana")
    ben = joined(ana, store, tmp_path / "ben")
    laptops = Laptop(ana, tmp_path / "ana", {"secret"}), Laptop(ben, tmp_path / "ben", {"secret"})
    yield laptops
    for laptop in laptops:
        laptop.close()


def read(laptop: Laptop, head: str) -> list[bytes]:
    """A session as this laptop shows it."""
    with open_source(laptop.local, laptop.client) as source:
        return [node_to_bytes(node) for node in load(source, head)]


def listed(laptop: Laptop) -> dict[str, object]:
    """What `sessions --json` says on this laptop."""
    with open_source(laptop.local, laptop.client) as source:
        return asdict(list_sessions(source))


def sync(*laptops: Laptop) -> None:
    """Each in turn."""
    for laptop in laptops:
        assert not laptop.provider.sync().broken


def test_both_laptops_show_the_same(two: tuple[Laptop, Laptop]) -> None:
    """List and transcript are equal on the pushing and the pulling side, and are the bytes that were stored."""
    ana, ben = two
    nodes = conversation("hello", 7)
    ana.provider.put([*nodes, turn("a fork", nodes[2])])
    sync(ana, ben)

    assert listed(ana) == listed(ben)
    assert [node_to_bytes(node) for node in nodes] == read(ana, nodes[-1].hash) == read(ben, nodes[-1].hash)
    assert 4 == len(read(ben, turn("a fork", nodes[2]).hash))


def test_a_frame_is_read_once_and_never_for_own_nodes(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """One range read for a session that lies in one frame, none the second time; the author's laptop asks for nothing."""
    ana, ben = two
    nodes = conversation("hello", 9)
    ana.provider.put(nodes)
    sync(ana, ben)
    asked: list[str] = []
    store.schedule = lambda op, _name, _n: asked.append(op)
    read(ana, nodes[-1].hash)
    assert [] == asked
    read(ben, nodes[-1].hash)
    assert ["range"] == asked
    read(ben, nodes[-1].hash)

    assert ["range"] == asked


def test_better_numbers_show_once_they_are_pushed(two: tuple[Laptop, Laptop]) -> None:
    """A turn whose usage grew here shows as committed, until the commit that says so; then both show it."""
    ana, ben = two
    nodes = conversation("hello", 2)
    ana.provider.put(nodes)
    sync(ana, ben)
    ana.provider.put([replace(nodes[1], usage=Usage(output=631), stop_reason="end_turn")])
    before = read(ben, nodes[1].hash)
    assert before == read(ana, nodes[1].hash)
    assert listed(ana) == listed(ben)
    sync(ana, ben)

    assert before != read(ana, nodes[1].hash)
    assert read(ben, nodes[1].hash) == read(ana, nodes[1].hash)
    assert listed(ana) == listed(ben)


def test_anothers_import_of_the_same_turns_changes_nothing(two: tuple[Laptop, Laptop]) -> None:
    """Ben has the same turns from a log that says other things about them: both show what Ana committed first."""
    ana, ben = two
    nodes = conversation("hello", 3)
    ana.provider.put(nodes)
    ben.provider.put([replace(n, project="bens", source=Found("other", extra={"cwd": "b"})) for n in nodes])
    sync(ana, ben, ana)

    assert listed(ana) == listed(ben)
    assert [node_to_bytes(node) for node in nodes] == read(ben, nodes[-1].hash) == read(ana, nodes[-1].hash)


def test_a_private_session_is_its_owners_alone(two: tuple[Laptop, Laptop]) -> None:
    """Ana's private session is listed as such at hers and not at all at Ben's."""
    ana, ben = two
    ana.provider.put(conversation("mine", 2, "secret"))
    sync(ana, ben)
    with open_source(ana.local, ana.client) as source:
        [session] = list_sessions(source).sessions

    assert ("private", True) == (session.space, session.synced)
    assert () == listed(ben)["sessions"]


def test_what_is_only_here_is_shown_from_here(tmp_path: Path) -> None:
    """Without a bucket, a team or even an identity the local sessions list and read."""
    nodes = conversation("hello", 3)
    with LocalStore.open(tmp_path / "tapes.db") as local:
        local.add(nodes)
        with open_source(local, None) as source:
            [session] = list_sessions(source).sessions

            assert (None, None, False) == (session.member, session.space, session.synced)
            assert nodes == load(source, session.id)


def test_a_superseded_node_nobody_pushed_is_not_there(two: tuple[Laptop, Laptop]) -> None:
    """It never travels, so listing it at home would make two laptops disagree for ever."""
    ana, ben = two
    nodes = conversation("hello", 2)
    ana.provider.put([*nodes, turn("grown", nodes[0], output=9)])
    ana.local.supersede(nodes[1].hash, turn("grown", nodes[0], output=9).hash)
    sync(ana, ben)

    assert listed(ana) == listed(ben)
    assert 2 == listed(ana)["totals"]["nodes"]  # type: ignore[index]


def test_nodes_that_fit_no_era_are_kept_and_marked(two: tuple[Laptop, Laptop]) -> None:
    """A stranger's hash is shown on both sides as it came, unverified."""
    ana, ben = two
    odd = replace(turn("odd", None), hash="ab" * 32, hash_version=None)
    ana.provider.put([odd])
    sync(ana, ben)
    with open_source(ben.local, ben.client) as source:
        [node] = load(source, odd.hash)

    assert (odd.hash, False) == (node.hash, node.verified)
    assert read(ana, odd.hash) == read(ben, odd.hash)


@pytest.mark.parametrize(
    ("lie", "problem"),
    [
        ("SET frame_index = 2 - frame_index", "has node"),
        ("SET frame_index = 99", "has no node 99"),
        ("SET parent = NULL", "another parent"),
        ("SET pack = unhex(repeat('00', 32))", "no commit names it"),
        ("SET hash_version = 'E3' WHERE hash = unhex(repeat('ab', 32))", "does not have that hash"),
    ],
)
def test_a_row_that_lies_about_its_bytes_is_found(two: tuple[Laptop, Laptop], lie: str, problem: str) -> None:
    """A manifest is only a member's word: what its place holds is compared before it is shown, and the pack is named."""
    ana, ben = two
    nodes = conversation("hello", 3)
    odd = replace(turn("odd", nodes[-1]), hash="ab" * 32, hash_version=None)
    ana.provider.put([*nodes, odd])
    sync(ana, ben)
    with open_source(ben.local, ben.client) as source:
        source.engine.run(f"UPDATE rows {lie}")
        head = nodes[-1] if "parent" in lie else odd
        with pytest.raises(VerificationFailed, match=problem) as found:
            load(source, head.hash)

    assert "pack" in found.value.obj


def test_a_flipped_byte_in_the_bucket_is_found(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """A frame that is not the one its manifest names is never shown; the error names the pack."""
    ana, ben = two
    nodes = conversation("hello", 3)
    ana.provider.put(nodes)
    sync(ana, ben)
    store.schedule = fault_at(Fault.FLIP, "range")

    with pytest.raises(VerificationFailed, match="packs/"):
        read(ben, nodes[-1].hash)


def test_without_the_bucket_local_copies_do(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """Ben, on a train, reads his own import of what Ana committed first; a session he does not have is a store error."""
    ana, ben = two
    mine, hers = conversation("hello", 3), conversation("hers", 3, "beta")
    ana.provider.put([*mine, *hers])
    ben.provider.put([replace(node, project="bens") for node in mine])
    sync(ana, ben)
    store.schedule = lambda _op, _name, _n: Fault.BEFORE
    with open_source(ben.local, ben.client) as source:
        assert [node.hash for node in mine] == [node.hash for node in load(source, mine[-1].hash)]
        with pytest.raises(StoreError):
            load(source, hers[-1].hash)


def test_a_row_of_metadata_only_is_shown_over_the_bytes_of_another(two: tuple[Laptop, Laptop]) -> None:
    """Such a row may better a call's numbers; text and the rest come from where the node lies, on both laptops alike."""
    ana, ben = two
    nodes = conversation("hello", 2)
    ana.provider.put(nodes)
    sync(ana, ben)
    better = replace(
        nodes[1], usage=Usage(output=631), cost=Cost(12, "computed", "t"), stop_reason="end_turn"
    )

    assert [nodes[0], better] == over(ben, better) == over(ana, better)


def over(laptop: Laptop, better: Node) -> list[Node]:
    """The session as it reads when a later commit of the same author carries `better` without its bytes."""
    client = laptop.client
    committed = []
    for pending, manifest in applied_manifests(client):
        author = client.roster.devices[pending.device]
        committed.append((Origin(author.member, author.id, pending.seq, True, pending), manifest.table))
    row = Row(facts_of(better), committed[0][1].column("conversation")[0].as_py(), 1)
    late = replace(committed[0][0], seq=99)
    with Source(Engine(), laptop.local, client) as source:
        fill(source, [*committed, (late, rows_table([row], bytes(32), bytes(32)))], ())
        return load(source, better.hash)


def test_a_head_that_is_not_there_is_refused(two: tuple[Laptop, Laptop]) -> None:
    """Any text that names no node gets a sentence with a next step."""
    with open_source(two[0].local, two[0].client) as source:
        for head in ("ff" * 32, "no hash", ""):
            with pytest.raises(UsageError, match="no node"):
                load(source, head)
