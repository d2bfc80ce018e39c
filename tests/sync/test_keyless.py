"""Verifying with no key, and verifying by and by: what is found, what is left out, and that a kill resumes."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from store.directory import DirectoryStore
from store.names import SegmentName, object_name, slot_name
from sync.budget import Bounds, Budget, slots_in_turn
from sync.client import Client
from sync.committer import Committer
from sync.keyless import verify_keyless
from sync.verify import verify
from tests.actors import founded, joined
from tests.command_line import SAMPLE, Person
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, conversation


@pytest.fixture
def store() -> StrictStore:
    """A strict bucket in memory."""
    return StrictStore()


@pytest.fixture
def ana(store: StrictStore, tmp_path: Path) -> Laptop:
    """A founder who has pushed three conversations, one of them private, into a team of two."""
    owner = founded(store, tmp_path / "ana")
    joined(owner, store, tmp_path / "ben")
    made = Laptop(owner, tmp_path / "ana", private={"secret"})
    for name, project in (("one", "alpha"), ("two", "beta"), ("three", "secret")):
        made.provider.put(conversation(name, 3, project))
        made.provider.sync()
    return made


def at_ms(made: Client, ms: int) -> None:
    made.committer = Committer(made.store, made.replica, made.log, made.identity, clock_ms=lambda: ms)


def _gone(data: bytes) -> bytes | None:
    del data
    return None


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _cut(data: bytes) -> bytes:
    return data[:-1]


@pytest.mark.parametrize("damage", [_gone, _flipped, _cut])
def test_every_damaged_object_is_named_without_a_key(
    store: StrictStore, ana: Laptop, damage: Callable[[bytes], bytes | None]
) -> None:
    """Whatever object is lost, flipped or cut, private ones too, a stranger who may read the bucket finds exactly it."""
    whole = store.snapshot()
    newest = slot_name(ana.client.log.next_seq - 1)
    for name, data in whole.objects:
        store.restore(whole)
        store.plant(name, damage(data))
        report = verify_keyless(store)
        if (name, damage) == (newest, _gone):
            # Without a pin the end of a log may be anywhere; what it named is then named by nobody.
            assert report.notices
            continue
        assert any(name in finding.object for finding in report.findings), (name, report.findings)
    store.restore(whole)
    assert verify_keyless(store).ok


def test_counts_and_unnamed_objects(store: StrictStore, ana: Laptop) -> None:
    """All of the bucket is read once; what no commit names is a notice, unless its bytes are wrong."""
    good, bad, segment = b"left by a crash", b"rotten", b"anything"
    names = [object_name("pack", 1, sha256(data).hexdigest()) for data in (good, b"other")]
    store.plant(names[0], good)
    store.plant(names[1], bad)
    store.plant(str(SegmentName(0, 1, sha256(segment).hexdigest())), segment)
    store.plant("packs/readme", b"hello")
    store.plant("notes.txt", b"hello")
    store.plant("log/readme", b"hello")
    report = verify_keyless(store)
    sizes = [
        info.size_bytes for prefix in ("packs/0", "manifests/", "segments/") for info in store.list(prefix)
    ]

    assert [names[1]] == [finding.object for finding in report.findings]
    assert {names[0], "packs/readme", "notes.txt", "log/readme"} == {
        notice.object for notice in report.notices
    }
    assert (len(sizes), sum(sizes)) == (report.checked["objects"], report.checked["bytes"])
    assert ana.client.log.next_seq == report.checked["commits"]


def test_garbage_at_the_end_of_the_log_is_a_finding(store: StrictStore, ana: Laptop) -> None:
    """A void slot that no later valid commit stepped over is confirmed by nobody."""
    store.plant(slot_name(ana.client.log.next_seq), b"garbage")
    report = verify_keyless(store)

    assert [slot_name(ana.client.log.next_seq)] == [finding.object for finding in report.findings]


def test_an_empty_bucket_holds_no_team(store: StrictStore) -> None:
    """No genesis is a finding, not a pass."""
    assert [slot_name(0)] == [finding.object for finding in verify_keyless(store).findings]


def test_the_command_needs_no_home(tmp_path: Path) -> None:
    """`verify --keyless --bucket` works where there is no identity, and leaves no home behind."""
    ada, nobody = Person(tmp_path / "ada").init("Ada"), Person(tmp_path / "nobody")
    bucket = tmp_path / "bucket"
    ada.ok("storage", "configure", "--bucket", bucket.as_uri())
    ada.ok("team", "create", "Engine")
    answer = nobody.json("verify", "--keyless", "--bucket", bucket.as_uri())
    (bucket / "log" / f"{1:012d}").write_bytes(b"garbage")

    assert answer["ok"]
    assert 1 == answer["checked"]["commits"]
    assert 6 == nobody.tapes("verify", "--keyless", "--bucket", bucket.as_uri()).code
    assert not nobody.home.exists()
    (bucket / "log" / f"{1:012d}").unlink()
    bounded = ada.json("verify", "--max-seconds", "60", "--max-age", "1d", "--max-bytes", "1GB")
    assert 1 == bounded["checked"]["commits"]
    for wrong in (["--bucket", bucket.as_uri()], ["--keyless", "--max-age", "1d"], ["--max-bytes", "2 bags"]):
        assert 2 == ada.tapes("verify", *wrong).code


def test_a_bounded_run_does_not_speak_for_what_it_left(tmp_path: Path) -> None:
    """What was not looked at is not called as it was signed."""
    ada = Person(tmp_path / "ada").init("Ada")
    ada.ok("import", "claude", SAMPLE)
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("storage", "sync")

    assert "run it again for the rest" in ada.ok("verify", "--max-bytes", "0").err
    assert "everything is as it was signed" in ada.ok("verify").err


def test_least_recently_checked_comes_first(ana: Laptop) -> None:
    """Runs of a few bytes each get through everything in turn; what was left is said."""
    at_ms(ana.client, 1000)
    order = [seq for seq, _ in ana.client.replica.check_order()]
    seen = []
    for step in range(len(order)):
        at_ms(ana.client, 1001 + step)
        report = verify(ana.client, bounds=Bounds(max_bytes=1))
        assert report.ok
        assert len(order) - 1 == report.checked["commits_left_for_later"]
        seen.append(ana.client.replica.check_order()[-1][0])

    assert order == seen


def test_a_killed_verify_goes_on_where_it_was(store: StrictStore, ana: Laptop) -> None:
    """What was found good before the kill is passed over by the next run with an age; a full run still checks all."""
    at_ms(ana.client, 10_000)
    packs = [info.name for info in store.list("packs/")]
    honest, left = store.get, [2]

    def cut(name: str) -> bytes:
        left[0] -= name.startswith("packs/")
        if not left[0]:
            raise KeyboardInterrupt
        return honest(name)

    store.get = cut  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        verify(ana.client)
    store.get = honest  # type: ignore[method-assign]
    store.history.clear()
    at_ms(ana.client, 11_000)
    again = verify(ana.client, bounds=Bounds(max_age_ms=5_000))
    read = [name for op, name in store.history if op == "get" and name.startswith("packs/")]

    assert 1 == again.checked["commits_checked_lately"]
    assert len(packs) - 1 == len(read)
    every = [info for prefix in ("packs/", "manifests/") for info in store.list(prefix)]
    assert len(every) == verify(ana.client).checked["objects"]


def test_what_was_found_broken_is_not_put_off(store: StrictStore, ana: Laptop) -> None:
    """A finding leaves its commit unchecked: the next run with an age names it again."""
    at_ms(ana.client, 10_000)
    name = next(info.name for info in store.list("packs/"))
    store.plant(name, b"rot")
    for _ in range(2):
        report = verify(ana.client, bounds=Bounds(max_age_ms=5_000))
        assert {name} == {finding.object for finding in report.findings}


def test_a_clock_that_was_set_back_hides_nothing(ana: Laptop) -> None:
    """A check dated in the future counts as none."""
    at_ms(ana.client, 10**12)
    assert verify(ana.client).ok
    at_ms(ana.client, 10**9)

    assert "commits_checked_lately" not in verify(ana.client, bounds=Bounds(max_age_ms=10**6)).checked


def test_short_runs_compare_the_whole_log_in_turn(ana: Laptop) -> None:
    """A run that has time for two slots begins where the one before ended, and the turns cover every slot alike."""
    slots = ana.client.log.next_seq
    seen: list[int] = []
    for _ in range(slots):
        ticks = iter([0.0, 1.0, 2.0, *[9.0] * 99])
        budget = Budget(Bounds(max_seconds=8), 0, clock=lambda t=ticks: next(t))  # type: ignore[misc]
        seen.extend(slots_in_turn(ana.client.replica, budget))

    assert [n % slots for n in range(2 * slots)] == seen


def test_a_folder_as_bucket_is_read_alike(tmp_path: Path) -> None:
    """Over a real directory the counts are those of its files."""
    store = DirectoryStore(tmp_path / "bucket")
    made = Laptop(founded(store, tmp_path / "ana"), tmp_path / "ana")
    made.provider.put(conversation("hello", 3))
    made.provider.sync()
    report = verify_keyless(store)
    files = [path for path in (tmp_path / "bucket").rglob("*/*/*") if path.is_file()]

    assert report.ok
    assert len(files) == report.checked["objects"]
