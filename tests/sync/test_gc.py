"""Garbage collection by fence: what goes, what stays, and that no interleaving with a push loses anything."""

import random
import threading
from pathlib import Path

import pytest

from crypto.errors import KeyNeeded, StoreRefused, TapesError, UsageError
from sync import push as push_module
from sync.client import Client
from sync.committer import Committer
from sync.gc import collect, day_ms
from sync.verify import verify
from tests.actors import founded, joined
from tests.fakes.strict_store import Fault, StrictStore, fault_at
from tests.laptops import Laptop, conversation

WEEK_MS = 7 * day_ms


def at_ms(made: Client, ms: int) -> Client:
    """The same client at another time of the world, and without waits."""
    made.committer = Committer(
        made.store, made.replica, made.log, made.identity, clock_ms=lambda: ms, sleep=lambda _: None
    )
    return made


@pytest.fixture
def store() -> StrictStore:
    """A strict bucket in memory."""
    return StrictStore()


@pytest.fixture
def two(store: StrictStore, tmp_path: Path) -> tuple[Laptop, Laptop]:
    """Ana, the owner, whose clock stands at 30 days; and Ben."""
    ana = at_ms(founded(store, tmp_path / "ana"), 30 * day_ms)
    ben = joined(ana, store, tmp_path / "ben")
    return Laptop(ana, tmp_path / "ana"), Laptop(at_ms(ben, 30 * day_ms), tmp_path / "ben")


def leave_garbage(laptop: Laptop, store: StrictStore) -> list[str]:
    """A push that dies before its commit: its objects' names."""
    before = {info.name for info in store.list("")}
    store.schedule = fault_at(Fault.REFUSED, "put", "log/")
    with pytest.raises(StoreRefused):
        laptop.provider.sync()
    store.schedule = lambda *_: None
    laptop.client.replica.journal_write(None)  # the device is lost: nobody will finish its attempt
    return sorted({info.name for info in store.list("")} - before)


def names(store: StrictStore) -> set[str]:
    return {info.name for info in store.list("")}


def test_old_garbage_goes_and_everything_named_stays(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """What an interrupted push left is deleted once a fence passed it; all that commits name is still there and verifies."""
    ana, ben = two
    ben.provider.put(conversation("lost", 3))
    garbage = leave_garbage(ben, store)
    ana.provider.put(conversation("kept", 4))
    ana.provider.sync()
    at_ms(ana.client, 40 * day_ms)
    listed: list[str] = []
    plan = collect(ana.client, dry_run=True, seen=lambda info: listed.append(info.name))
    assert garbage == sorted(listed)
    assert set(garbage) <= names(store)
    report = collect(ana.client)

    assert len(garbage) == report.deleted == plan.deleted > 0
    assert plan.deleted_bytes == report.deleted_bytes > 0
    assert report.fence == plan.fence == ana.client.roster.fence
    assert not set(garbage) & names(store)
    assert verify(ana.client).ok
    ben.provider.sync(full=True)
    assert 7 == len(ben.pulled())


def test_what_is_young_stays(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """An upload whose base is not behind the fence may be about to be committed."""
    ana, ben = two
    ben.provider.put(conversation("under way", 3))
    garbage = leave_garbage(ben, store)
    report = collect(ana.client)

    assert (0, len(garbage)) == (report.deleted, report.young)
    assert set(garbage) <= names(store)


def test_a_second_run_writes_no_second_fence(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """With nothing new to fence off, gc only lists; a run that was killed while deleting is finished by the next."""
    ana, ben = two
    ben.provider.put(conversation("lost", 3))
    leave_garbage(ben, store)
    ana.provider.put(conversation("kept", 2))
    ana.provider.sync()
    at_ms(ana.client, 40 * day_ms)
    store.schedule = fault_at(Fault.BEFORE, "delete")
    with pytest.raises(TapesError):
        collect(ana.client)
    head = ana.client.log.next_seq
    again = collect(ana.client)

    assert again.deleted > 0
    assert again.fence_seq is None
    assert head == ana.client.log.next_seq
    assert 0 == collect(ana.client).deleted


def test_members_do_not_collect_and_lags_have_a_minimum(two: tuple[Laptop, Laptop]) -> None:
    """A fence is an owner's or admin's to set, and one that would hit every push in flight is refused."""
    ana, ben = two
    with pytest.raises(KeyNeeded):
        collect(ben.client)
    with pytest.raises(UsageError):
        collect(ana.client, older_than_ms=day_ms - 1)


def test_a_members_clock_moves_no_fence(two: tuple[Laptop, Laptop]) -> None:
    """A member who dates commits in 1970 or 2100 neither hurries the fence nor holds it up."""
    ana, ben = two
    for ms in (0, 5 * 10**12):
        at_ms(ben.client, ms)
        ben.provider.put(conversation(f"dated {ms}", 2))
        ben.provider.sync()
    before = ana.client.log.next_seq
    ana.provider.put(conversation("by ana", 2))
    ana.provider.sync()
    hers = ana.client.log.next_seq - 1
    assert hers > before
    at_ms(ana.client, 30 * day_ms + WEEK_MS - 1)
    assert collect(ana.client, dry_run=True).fence < before  # the founder's genesis counts as slot 0
    at_ms(ana.client, 30 * day_ms + WEEK_MS)
    assert hers == collect(ana.client, dry_run=True).fence


def test_missing_delete_rights_are_explained(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """Ordinary clients may not DELETE: the fence stands, and the error says with which credentials to run again."""
    ana, ben = two
    ben.provider.put(conversation("lost", 3))
    leave_garbage(ben, store)
    ana.provider.put(conversation("kept", 2))
    ana.provider.sync()
    at_ms(ana.client, 40 * day_ms)
    store.schedule = fault_at(Fault.REFUSED, "delete")

    with pytest.raises(StoreRefused) as refused:
        collect(ana.client)
    assert "gc identity" in refused.value.hint
    assert ana.client.roster.fence > 0


def test_strangers_files_stay(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """A file under our prefix that is no name of the format is not ours to delete."""
    ana, _ = two
    ana.provider.put(conversation("kept", 2))
    ana.provider.sync()
    at_ms(ana.client, 40 * day_ms)
    for name in ("packs/readme", "packs/000000000000/readme", f"manifests/{'0' * 64}"):
        store.plant(name, b"hello")
    collect(ana.client)

    assert {"packs/readme", "packs/000000000000/readme", f"manifests/{'0' * 64}"} <= names(store)


def test_a_push_that_a_fence_overtook_is_sent_again(two: tuple[Laptop, Laptop], store: StrictStore) -> None:
    """A fence and a deletion between upload and commit: the pusher notices, uploads anew, and nothing it names is missing."""
    ana, ben = two
    for number in range(3):
        ana.provider.put(conversation(f"before {number}", 2))
        ana.provider.sync()
    ben.provider.pull()
    ben.provider.put(conversation("slow", 3))
    at_ms(ana.client, 31 * day_ms)
    ana.provider.put(conversation("a day later", 2))
    raced: list[int] = []

    def race(op: str, name: str, _n: int) -> None:
        if op == "put" and name.startswith("packs/") and not raced:
            raced.append(1)
            ana.provider.sync()
            at_ms(ana.client, 31 * day_ms + WEEK_MS)
            raced.append(collect(ana.client).deleted)

    faultless = store.put_if_absent

    def put(name: str, data: bytes):  # type: ignore[no-untyped-def]
        outcome = faultless(name, data)
        race("put", name, 0)
        return outcome

    store.put_if_absent = put  # type: ignore[method-assign]
    report = ben.provider.sync()

    assert [1, 1] == raced
    assert 3 == report.pushed_nodes
    assert verify(ben.client).ok
    ana.provider.sync(full=True)
    assert 11 == len(ana.pulled())


class Turns:
    """A store that lets two threads take turns at random, request by request: one seed is one interleaving."""

    def __init__(self, inner: StrictStore, seed: int) -> None:
        self._inner = inner
        self._random = random.Random(seed)
        self._turn = threading.Condition()
        self._whose: str | None = None
        self.running = {"push", "gc"}

    def _wait(self) -> None:
        name = threading.current_thread().name
        with self._turn:
            self._turn.wait_for(lambda: self._whose in (None, name) or self._whose not in self.running, 20)

    def _pass(self) -> None:
        with self._turn:
            self._whose = self._random.choice(sorted(self.running)) if self.running else None
            self._turn.notify_all()

    def finished(self) -> None:
        with self._turn:
            self.running.discard(threading.current_thread().name)
            self._whose = next(iter(self.running), None)
            self._turn.notify_all()

    def __getattr__(self, attribute: str):  # type: ignore[no-untyped-def]
        method = getattr(self._inner, attribute)
        if attribute not in ("put_if_absent", "get", "list", "delete", "get_range"):
            return method

        def taken_in_turn(*values):  # type: ignore[no-untyped-def]
            self._wait()
            try:
                result = method(*values)
                return iter(list(result)) if attribute == "list" else result
            finally:
                self._pass()

        return taken_in_turn


def over(laptop: Laptop, store: object) -> None:
    """Let a laptop use another store from now on."""
    made = laptop.client
    for holder in (made, made.log, made.cache, made.committer):
        for attribute in ("store", "_store"):
            if hasattr(holder, attribute):
                setattr(holder, attribute, store)


@pytest.mark.parametrize("seed", range(25))
def test_no_interleaving_of_push_and_gc_deletes_what_is_named(tmp_path: Path, seed: int) -> None:
    """Ben pushes while Ana collects, in a random order of requests: everything named stays, and all nodes arrive once."""
    strict = StrictStore()
    owner = at_ms(founded(strict, tmp_path / "ana"), 30 * day_ms)
    ben = Laptop(at_ms(joined(owner, strict, tmp_path / "ben"), 30 * day_ms), tmp_path / "ben")
    ana = Laptop(owner, tmp_path / "ana")
    ben.provider.put(conversation("lost first", 2))
    leave_garbage(ben, strict)
    ana.provider.put(conversation("old", 2))
    ana.provider.sync()
    ben.provider.put(conversation("new", 3))
    at_ms(ana.client, 40 * day_ms)
    for laptop in (ana, ben):
        laptop.client.close()
        laptop.local.close()
    turns, failed = Turns(strict, seed), []

    def work(laptop: Laptop, name: str) -> None:
        try:
            again = reopened(laptop, strict, turns)
            try:
                again.provider.sync() if name == "push" else collect(again.client)
            finally:
                again.close()
        except Exception as error:  # noqa: BLE001 - told to the test's own thread
            failed.append(error)
        finally:
            turns.finished()

    threads = [
        threading.Thread(target=work, args=(laptop, name), name=name)
        for laptop, name in ((ben, "push"), (ana, "gc"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not failed
    after = reopened(ben, strict, strict)
    after.provider.sync(full=True)
    report = verify(after.client)
    assert report.ok, report.findings
    assert 7 == len(after.pulled())
    after.close()


def reopened(laptop: Laptop, _strict: StrictStore, store: object) -> Laptop:
    """The same home in this thread, over another view of the store, at the same time of the world."""
    from tests.actors import Person, client  # noqa: PLC0415 - only this helper

    now_ms = laptop.client.committer.now_ms()
    made = client(Person(None, laptop.client.identity), store, laptop.home)  # type: ignore[arg-type]
    return Laptop(at_ms(made, now_ms), laptop.home)


def test_a_digest_claimed_under_a_false_base_protects_and_hides_nothing(two: tuple[Laptop, Laptop]) -> None:
    """An object is its whole name: after a fence, a known digest under an old base is as newly named as any other."""
    ana, _ = two
    ana.provider.put(conversation("kept", 2))
    ana.provider.sync()
    ref = next(ref for ref, _ in ana.client.replica.named_objects() if ref.kind == "pack")
    false = ref.model_copy(update={"base": ref.base + 1})

    assert ana.client.replica.is_named(ref)
    assert not ana.client.replica.is_named(false)


def test_squatted_names_are_a_finding_and_the_push_goes_on(
    two: tuple[Laptop, Laptop], store: StrictStore
) -> None:
    """Other bytes under our object's name: said with its name, sealed again under another, and the commit stands."""
    ana, ben = two
    squatted: list[str] = []
    honest = store.put_if_absent

    def squat(name: str, data: bytes):  # type: ignore[no-untyped-def]
        kind = name.split("/", maxsplit=1)[0]
        if kind in ("packs", "manifests") and kind not in [done.split("/")[0] for done in squatted]:
            squatted.append(name)
            store.plant(name, b"squat")
        return honest(name, data)

    store.put_if_absent = squat  # type: ignore[method-assign]
    ana.provider.put(conversation("hello", 3))
    report = ana.provider.sync()
    ben.provider.sync(full=True)

    assert squatted == [broken.obj for broken in report.broken]
    assert 2 == len(squatted)
    assert 3 == report.pushed_nodes == len(ben.pulled())


def test_a_bucket_that_squats_on_every_name_is_given_up(
    two: tuple[Laptop, Laptop], store: StrictStore
) -> None:
    """Three fresh names taken in a row: the push stops with exit 6 instead of sealing for ever."""
    ana, _ = two
    honest = store.put_if_absent
    tried: list[str] = []

    def squat(name: str, data: bytes):  # type: ignore[no-untyped-def]
        if name.startswith("packs/"):
            tried.append(name)
            store.plant(name, b"squat")
        return honest(name, data)

    store.put_if_absent = squat  # type: ignore[method-assign]
    ana.provider.put(conversation("hello", 3))
    with pytest.raises(TapesError) as raised:
        ana.provider.sync()

    assert 6 == raised.value.exit_code
    assert push_module.squatted_attempts_max == len(tried)
