"""With the kit alone: back into the team, or everything out of a bucket; and what no forged bucket makes the kit believe."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crypto import labels
from crypto.errors import KeyNeeded, TapesError, UsageError, VerificationFailed
from crypto.identities import invite_id, invite_keys
from store import events, frames_ahead
from store.commits import encode
from store.directory import DirectoryStore
from store.local import LocalStore
from store.names import slot_name
from store.nodes import Node, node_to_bytes
from store.outgoing import seal_outgoing
from sync.client import Client
from sync.fold import join_statement
from sync.identity import stored_keys
from sync.membership import Bucket, create_team, invite, join
from sync.providers import Progress
from sync.recovery import Rescued, kit_identity, recognise, recover, rescue
from sync.rights import remove_member
from sync.team import InviteTerms, founding
from sync.validity import LogPoint, MemoryInRam, judge
from tests.actors import Book, Person, client, person
from tests.laptops import Laptop, conversation


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A bucket in a folder."""
    return DirectoryStore(tmp_path / "bucket")


def new_machine(who: Person, store: DirectoryStore, home: Path) -> Client:
    """A client with a new device that only the kit vouches for."""
    return client(replace(who, identity=kit_identity(who.member, "new")), store, home)


def written(store: DirectoryStore, who: Person, home: Path) -> list[Node]:
    """A team of one with team and private sessions pushed."""
    made = client(who, store, home)
    create_team(made, "the team")
    laptop = Laptop(made, home, private={"secret"})
    nodes = [*conversation("a", 6), *conversation("b", 4, project="secret")]
    laptop.local.add(nodes)
    laptop.provider.sync()
    laptop.close()
    return nodes


def rescued(store: DirectoryStore, who: Person, home: Path) -> tuple[Rescued, dict[str, bytes | None]]:
    """What a rescue brings into an empty store."""
    steps: list[Progress] = []
    made = new_machine(who, store, home)
    with LocalStore.open(home / "tapes.db") as local:
        report = rescue(made, who.member, local, steps.append)
        found = {row.facts.hash: local.get_bytes(row.facts.hash) for row in local.facts()}
    made.close()
    return report, found


def test_rescue_brings_every_byte_home(store: DirectoryStore, tmp_path: Path) -> None:
    """Team and private turns, byte for byte what the lost device had; nothing is written to the bucket."""
    ana = person("ana")
    nodes = written(store, ana, tmp_path / "ana")
    names = [info.name for info in store.list("")]
    report, found = rescued(store, ana, tmp_path / "new")
    with LocalStore.open(tmp_path / "ana" / "tapes.db") as lost:
        original = {node.hash: lost.get_bytes(node.hash) for node in nodes}

    assert original == found
    assert (len(nodes), []) == (report.nodes, report.broken)
    assert names == [info.name for info in store.list("")]


def test_a_recovered_device_goes_on_where_the_lost_one_stopped(store: DirectoryStore, tmp_path: Path) -> None:
    """It reads both spaces, pushes on in the same conversations, and the whole log verifies from nothing."""
    ana = person("ana")
    nodes = written(store, ana, tmp_path / "ana")
    made = new_machine(ana, store, tmp_path / "new")
    recover(made, ana.member, "second life")
    laptop = Laptop(made, tmp_path / "new", private={"secret"})
    laptop.local.add([*nodes[:6], *conversation("a", 8)[6:]])
    report = laptop.provider.sync()
    hashes = laptop.pulled()
    laptop.close()

    assert (2, []) == (report.pushed_nodes, report.broken)
    assert sorted(n.hash for n in [*nodes, *conversation("a", 8)[6:]]) == hashes
    point, memory = LogPoint(), MemoryInRam()
    for info in store.list("log/"):
        verdict = judge(point, memory, int(info.name[-12:]), store.get(info.name))
        point = verdict.point
        assert verdict.void_reason is None


def test_recovering_twice_is_recovering_once(store: DirectoryStore, tmp_path: Path) -> None:
    """An interrupted run repeats with the same device: no second admission, no second commit."""
    ana = person("ana")
    written(store, ana, tmp_path / "ana")
    made = new_machine(ana, store, tmp_path / "new")
    recover(made, ana.member, "x")
    length = made.log.next_seq
    recover(made, ana.member, "x")

    assert length == made.log.next_seq


def test_a_removed_member_rescues_its_past_and_does_not_come_back(
    store: DirectoryStore, tmp_path: Path
) -> None:
    """What its keys could read comes home; what was written after the removal does not; recovery is refused."""
    ana, ben = person("ana"), person("ben")
    nodes = written(store, ana, tmp_path / "ana")
    owner = client(ana, store, tmp_path / "ana")
    link = invite(owner, InviteTerms(1, None), Bucket("file:///unused"))
    join(client(ben, store, tmp_path / "ben"), link)
    remove_member(owner, ben.identity.member_id)
    laptop = Laptop(owner, tmp_path / "ana", private={"secret"})
    laptop.local.add(conversation("after", 2))
    laptop.provider.sync()
    laptop.close()

    report, found = rescued(store, ben, tmp_path / "rescued")
    assert {node.hash for node in nodes[:6]} == set(found)
    assert report.notices
    with pytest.raises(KeyNeeded, match="left or was removed"):
        recover(new_machine(ben, store, tmp_path / "again"), ben.member, "x")


def test_the_head_is_told_since_a_roll_back_cannot_be_seen(store: DirectoryStore, tmp_path: Path) -> None:
    """A kit against last week's bucket recognises it and names its last commit; only a person can know of a later one."""
    ana = person("ana")
    written(store, ana, tmp_path / "ana")
    old = DirectoryStore(tmp_path / "old")
    old.put_if_absent(slot_name(0), store.get(slot_name(0)))
    newest = recognise(new_machine(ana, store, tmp_path / "one"), ana.member)
    older = recognise(new_machine(ana, old, tmp_path / "two"), ana.member)

    assert ("the team", "ana") == (older.team, older.name)
    assert (0, True) == (older.head.seq, newest.head.seq > 0)


def test_an_altered_log_is_not_rescued_from(store: DirectoryStore, tmp_path: Path) -> None:
    """A flipped genesis is no team; a hole in the log is refused with its name."""
    ana = person("ana")
    written(store, ana, tmp_path / "ana")
    flipped, holed = DirectoryStore(tmp_path / "flipped"), DirectoryStore(tmp_path / "holed")
    for info in store.list("log/"):
        data = store.get(info.name)
        first = info.name == slot_name(0)
        other = b"1" if data[-9:-8] == b"0" else b"0"
        flipped.put_if_absent(info.name, data[:-9] + other + data[-8:] if first else data)
        if info.name != slot_name(1):
            holed.put_if_absent(info.name, data)

    with pytest.raises(TapesError):
        recognise(new_machine(ana, flipped, tmp_path / "one"), ana.member)
    with pytest.raises(VerificationFailed, match=slot_name(1)):
        recognise(new_machine(ana, holed, tmp_path / "two"), ana.member)


def test_an_altered_commit_is_named_by_who_has_only_the_kit(store: DirectoryStore, tmp_path: Path) -> None:
    """It takes all commits behind it along: a rescue that brought nothing of theirs says so, instead of ending well."""
    ana = person("ana")
    nodes = written(store, ana, tmp_path / "ana")
    newest = max(info.name for info in store.list("log/"))
    flipped = DirectoryStore(tmp_path / "flipped")
    for info in store.list(""):
        data = store.get(info.name)
        flipped.put_if_absent(info.name, data[:-1] + b"?" if info.name == slot_name(1) else data)
    whole = recognise(new_machine(ana, store, tmp_path / "one"), ana.member)
    report, found = rescued(flipped, ana, tmp_path / "two")

    assert whole.after is None
    assert len(found) < len(nodes)
    assert [slot_name(1)] == [broken.obj for broken in report.broken]
    assert newest > slot_name(1)
    assert "after it" in report.broken[0].problem


def _forged_genesis(victim: Person, _store: DirectoryStore) -> list[bytes]:
    """An operator founds a team in the victim's name, with a device of its own."""
    thief = person("thief")
    forged = replace(thief.identity, member=victim.identity.member)
    book = Book(thief)
    context = replace(book.context(thief), point=LogPoint(), seq=0, identity=forged)
    return [founding(context, "yours")]


def _copied_device(victim: Person, _store: DirectoryStore) -> list[bytes]:
    """The victim's real device and certificate, as public as they are, but signed by the operator."""
    thief = person("thief")
    forged = replace(victim.identity, device=thief.identity.device)
    book = Book(thief)
    context = replace(book.context(thief), point=LogPoint(), seq=0, identity=forged)
    fields = json.loads(founding(context, "yours"))
    fields["events"][0]["device"] = victim.identity.claim().model_dump()
    fields["device"] = victim.identity.device_id.hex()
    del fields["sig"]
    return [encode(fields, thief.identity.device.sign_seed)]


def _drafted_into_a_strangers_team(victim: Person, _store: DirectoryStore) -> list[bytes]:
    """A stranger's own team, which the victim's public keys are made to join."""
    thief, book = person("thief"), Book(person("thief"))
    roster = book.point.roster
    assert roster is not None
    keys = invite_keys(b"s" * 32)
    identity = victim.identity
    voucher = join_statement(roster.team, invite_id(keys.public), identity.member_id, identity.device_id)
    told = events.Join(
        type="join", invite=invite_id(keys.public).hex(), member=stored_keys(identity.member),
        device=identity.claim(), voucher=keys.sign(labels.JOIN, voucher).hex(), grants=[],
    )  # fmt: skip
    return [*book.slots, book.says(replace(book.owner, member=thief.member), [told])]


@pytest.mark.parametrize(
    "forged",
    [_forged_genesis, _copied_device, _drafted_into_a_strangers_team],
    ids=lambda f: f.__name__.strip("_"),
)
def test_a_kit_believes_no_bucket_its_member_never_signed_in(
    forged: Callable[[Person, DirectoryStore], list[bytes]], store: DirectoryStore, tmp_path: Path
) -> None:
    """Everything public about a member, in a log of the operator's making: refused, and nothing is written or rescued."""
    victim = person("victim")
    written(store, victim, tmp_path / "victim")
    fake = DirectoryStore(tmp_path / "fake")
    for seq, data in enumerate(forged(victim, store)):
        fake.put_if_absent(slot_name(seq), data)

    with pytest.raises((KeyNeeded, UsageError)):
        recover(new_machine(victim, fake, tmp_path / "new"), victim.member, "x")
    with pytest.raises((KeyNeeded, UsageError)):
        rescued(fake, victim, tmp_path / "rescue")


def test_rescue_goes_on_past_what_is_lost(store: DirectoryStore, tmp_path: Path) -> None:
    """Each pack that is gone or altered is named; the turns of the others come."""
    ana = person("ana")
    nodes = written(store, ana, tmp_path / "ana")
    [team_pack, private_pack] = [info.name for info in store.list("packs/")]
    data = store.get(team_pack)
    store.delete(team_pack)
    one, left = rescued(store, ana, tmp_path / "one")
    store.put_if_absent(team_pack, data[:100] + b"\0" + data[101:])
    two, _ = rescued(store, ana, tmp_path / "two")

    assert 0 < len(left) < len(nodes)
    assert [[team_pack]] * 2 == [[broken.obj for broken in each.broken] for each in (one, two)]
    assert private_pack not in [broken.obj for broken in one.broken]


def test_rescue_brings_no_turn_that_is_not_what_it_is_named(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member whose program packs other words under a turn's hash: left out, and its device is named."""
    ana = person("ana")
    nodes = written(store, ana, tmp_path / "ana")
    liar = client(ana, store, tmp_path / "ana")
    laptop = Laptop(liar, tmp_path / "ana", private={"secret"})
    lie = conversation("lie", 1)
    laptop.local.add(lie)
    monkeypatch.setattr(laptop.local, "stored", lambda ids: dict.fromkeys(ids, node_to_bytes(nodes[0])))
    monkeypatch.setattr(frames_ahead, "make_frame", seal_outgoing)
    laptop.provider.sync()
    laptop.close()
    report, found = rescued(store, ana, tmp_path / "rescue")

    assert {node.hash for node in nodes} == set(found)
    assert [True] == [ana.identity.device_id.hex()[:16] in notice for notice in report.notices]
