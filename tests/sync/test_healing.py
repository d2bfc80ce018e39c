"""Healing a bucket that came back from a backup: what goes back, what is refused, and what stays missing."""

import shutil
from pathlib import Path

import pytest

from crypto.errors import StoreError, VerificationFailed
from query.source import open_source
from query.transcript import load
from store.names import slot_name
from sync.giving_up import give_up
from sync.healing import heal_log
from sync.verify import verify
from tests.actors import founded, joined
from tests.command_line import Person
from tests.fakes.strict_store import Fault, Snapshot, StrictStore, fault_at
from tests.laptops import Laptop, conversation


@pytest.fixture
def store() -> StrictStore:
    """A strict bucket in memory."""
    return StrictStore()


@pytest.fixture
def two(store: StrictStore, tmp_path: Path) -> tuple[Laptop, Laptop]:
    """Ana and Ben, who both have seen the newest commit."""
    ana = founded(store, tmp_path / "ana")
    ben = joined(ana, store, tmp_path / "ben")
    return Laptop(ana, tmp_path / "ana"), Laptop(ben, tmp_path / "ben")


def pushed(laptop: Laptop, name: str) -> None:
    laptop.provider.put(conversation(name, 2))
    laptop.provider.sync()


def without(snapshot: Snapshot, gone: str) -> Snapshot:
    return Snapshot(tuple((name, data) for name, data in snapshot.objects if not name.startswith(gone)))


def test_a_restored_bucket_gets_its_newer_commits_back(
    two: tuple[Laptop, Laptop], store: StrictStore
) -> None:
    """Slots since the backup go back byte for byte, with the manifests kept here; what nobody here has is listed."""
    ana, ben = two
    pushed(ana, "before the backup")
    backup = store.snapshot()
    pushed(ana, "after it")
    pushed(ana, "and more")
    whole = dict(store.snapshot().objects)
    store.restore(backup)
    planned = heal_log(ana.client, dry_run=True)
    assert backup == store.snapshot()
    report = heal_log(ana.client)
    now = dict(store.snapshot().objects)

    assert 2 == len(report.slots)
    assert (planned.slots, planned.objects, planned.missing) == (report.slots, report.objects, report.missing)
    assert sorted(set(whole) - set(now)) == sorted(report.missing)
    assert all(name.startswith("packs/") for name in report.missing)
    assert {name: whole[name] for name in now} == now
    ben.provider.pull()
    assert ana.client.log.point == ben.client.log.point


def test_turns_of_a_lost_pack_go_out_again_and_are_whole_for_a_newcomer(
    two: tuple[Laptop, Laptop], store: StrictStore, tmp_path: Path
) -> None:
    """A pack is gone: its author's own turns are counted, sent once more, and read by everybody; Ben's are not Ana's to send."""
    ana, ben = two
    pushed(ana, "before")
    pushed(ana, "lost")
    lost = max(info.name for info in store.list("packs/"))
    pushed(ben, "ben's")
    store.plant(lost, None)

    assert 0 == heal_log(ben.client, ben.outbox).turns
    assert 2 == heal_log(ana.client, ana.outbox, dry_run=True).turns
    assert 0 == ana.provider.sync().pushed_nodes
    for _ in range(2):  # saying so twice sends nothing twice
        report = heal_log(ana.client, ana.outbox)
        assert (2, [lost]) == (report.turns, report.missing)
    assert 2 == ana.provider.sync().pushed_nodes
    assert 0 == heal_log(ana.client, ana.outbox).turns
    assert 0 == ana.provider.sync().pushed_nodes
    assert [lost] == give_up(ana.client, [lost])
    assert [] == heal_log(ana.client, ana.outbox).missing
    assert verify(ben.client).ok
    cat = Laptop(joined(ana.client, store, tmp_path / "cat"), tmp_path / "cat")
    assert not cat.provider.sync(full=True).broken
    with open_source(cat.local, cat.client) as source:
        for name in ("before", "lost", "ben's"):
            said = conversation(name, 2)
            assert [node.hash for node in said] == [node.hash for node in load(source, said[-1].hash)]


def test_turns_of_a_lost_manifest_go_out_again(
    two: tuple[Laptop, Laptop], store: StrictStore, tmp_path: Path
) -> None:
    """A manifest is gone from the bucket and from its author's cache: once given up, all can read its turns again, each once."""
    ana, ben = two
    pushed(ana, "kept")
    before = {info.name for info in store.list("manifests/")}
    pushed(ana, "lost")
    [lost] = {info.name for info in store.list("manifests/")} - before
    store.plant(lost, None)
    shutil.rmtree(ana.home / "cache")

    for _ in range(2):  # saying so twice sends nothing twice
        report = heal_log(ana.client, ana.outbox)
        assert (2, [lost]) == (report.turns, report.missing)
    assert 2 == ana.provider.sync().pushed_nodes
    assert [lost] == give_up(ana.client, [lost])
    assert 0 == heal_log(ana.client, ana.outbox).turns
    assert 0 == ana.provider.sync().pushed_nodes
    both = sorted(node.hash for name in ("kept", "lost") for node in conversation(name, 2))
    for laptop in (ana, ben, Laptop(joined(ana.client, store, tmp_path / "cat"), tmp_path / "cat")):
        laptop.provider.pull()
        assert both == laptop.placed()
    assert verify(ben.client).ok


def test_turns_that_no_sync_would_send_are_not_announced(
    two: tuple[Laptop, Laptop], store: StrictStore
) -> None:
    """Lost turns of projects that are private or metadata only by now: not counted, and nothing of theirs goes out again."""
    ana, _ = two
    for project in ("moved", "quiet"):
        ana.provider.put(conversation(f"of {project}", 2, project))
    ana.provider.sync()
    [lost] = [info.name for info in store.list("packs/")]
    store.plant(lost, None)
    ana.hidden.add("moved")
    ana.bare.add("quiet")
    assert 2 == ana.provider.sync().pushed_nodes  # into her own space

    report = heal_log(ana.client, ana.outbox)
    assert (0, [lost]) == (report.turns, report.missing)
    assert 0 == ana.provider.sync().pushed_nodes
    ana.bare.clear()
    assert 2 == heal_log(ana.client, ana.outbox).turns
    assert 2 == ana.provider.sync().pushed_nodes


def test_nothing_is_missing_when_only_the_log_was_lost(
    two: tuple[Laptop, Laptop], store: StrictStore
) -> None:
    """A log lost whole goes back whole, and everything verifies again."""
    ana, ben = two
    pushed(ana, "hello")
    store.restore(without(store.snapshot(), "log/"))
    report = heal_log(ana.client)

    assert ([], []) == (report.objects, report.missing)
    assert list(range(ana.client.log.next_seq)) == report.slots
    assert verify(ana.client).ok
    ben.provider.sync()


def test_a_slot_that_differs_stops_before_any_write(
    two: tuple[Laptop, Laptop], store: StrictStore, tmp_path: Path
) -> None:
    """Somebody wrote on after the roll-back: nothing is put anywhere, and both versions are kept."""
    ana, ben = two
    pushed(ana, "hello")
    first = ana.client.log.next_seq
    pushed(ana, "more")
    pushed(ana, "and more")
    store.plant(slot_name(first - 1), None)
    store.plant(slot_name(first), b"another history")
    before = store.snapshot()

    with pytest.raises(VerificationFailed, match="is different"):
        heal_log(ana.client)
    assert before == store.snapshot()
    kept = sorted(path.name for path in (tmp_path / "ana" / "evidence").iterdir())
    assert [f"log-{first:012d}-found", f"log-{first:012d}-pinned"] == kept
    del ben


def test_a_slot_filled_by_others_meanwhile_stops_there(
    two: tuple[Laptop, Laptop], store: StrictStore
) -> None:
    """A writer who wins the race for a missing slot is not overwritten: put-if-absent decides, and it is a finding."""
    ana, _ = two
    pushed(ana, "hello")
    newest = ana.client.log.next_seq - 1
    store.plant(slot_name(newest), None)
    honest = store.put_if_absent

    def race(name: str, data: bytes):  # type: ignore[no-untyped-def]
        store.plant(name, b"somebody else's")
        return honest(name, data)

    store.put_if_absent = race  # type: ignore[method-assign]
    with pytest.raises(VerificationFailed, match="is different"):
        heal_log(ana.client)


def test_a_killed_healing_is_finished_by_the_next(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """Slots go back in order, so that no half-healed log shows a hole; the next run does the rest."""
    ana, _ = two
    for number in range(4):
        pushed(ana, f"talk {number}")
    slots = ana.client.log.next_seq
    for seq in range(slots - 3, slots):
        store.plant(slot_name(seq), None)
    store.schedule = fault_at(Fault.REFUSED, "put", slot_name(slots - 2))
    with pytest.raises(StoreError):
        heal_log(ana.client)
    assert [slot_name(slots - 3)] == [
        i.name for i in store.list(slot_name(slots - 3)[:-1]) if i.name >= slot_name(slots - 3)
    ]
    report = heal_log(ana.client)

    assert [slots - 2, slots - 1] == report.slots
    assert verify(ana.client).ok


def test_a_lost_reply_is_no_second_commit(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """Whatever the reply, the slot ends with the bytes it had."""
    ana, _ = two
    pushed(ana, "hello")
    newest = ana.client.log.next_seq - 1
    store.plant(slot_name(newest), None)
    store.schedule = fault_at(Fault.LOST_REPLY, "put", "log/")

    assert [newest] == heal_log(ana.client).slots
    assert verify(ana.client).ok


def test_the_command_lists_heals_and_reports(tmp_path: Path) -> None:
    """`doctor --heal-log`: a dry run lists, a run puts back, a third has nothing to do; a bare --dry-run means nothing."""
    ada = Person(tmp_path / "ada").init("Ada")
    bucket = tmp_path / "bucket"
    ada.ok("storage", "configure", "--bucket", bucket.as_uri())
    ada.ok("team", "create", "Engine")
    ada.ok("team", "invite")
    newest = max((bucket / "log").iterdir())
    whole = newest.read_bytes()
    newest.unlink()
    name = f"log/{newest.name}"

    assert 6 == ada.tapes("storage", "sync").code
    assert [name] == ada.ok("doctor", "--heal-log", "--dry-run").out.split()
    assert not newest.exists()
    healed = ada.json("doctor", "--heal-log")
    assert ([name], [], False) == (healed["put_back"], healed["missing"], healed["dry_run"])
    assert whole == newest.read_bytes()
    assert "" == ada.ok("doctor", "--heal-log").out
    assert 2 == ada.tapes("doctor", "--dry-run").code
