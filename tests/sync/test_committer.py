"""The commit client against a store that fails, loses replies, is late, or is raced."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from crypto.errors import StoreError, TapesError, VerificationFailed
from crypto.identities import SecretKeys
from store import events
from store.names import slot_name
from sync.client import Client
from sync.committer import Committer
from sync.drafts import Content, DraftContext, draft
from tests.actors import Person, client, founded, joined
from tests.fakes.strict_store import Fault, StrictStore, fault_at


@pytest.fixture
def store() -> StrictStore:
    """A strict bucket in memory."""
    return StrictStore()


@pytest.fixture
def ana(store: StrictStore, tmp_path: Path) -> Client:
    """A founder whose committer does not wait between attempts."""
    made = founded(store, tmp_path / "ana")
    return hurried(made)


def hurried(made: Client) -> Client:
    made.committer = Committer(made.store, made.replica, made.log, made.identity, sleep=lambda _: None)
    return made


def note(made: Client) -> Callable[[DraftContext], bytes]:
    """A drafter that says next to nothing."""

    def drafter(context: DraftContext) -> bytes:
        roster = made.roster
        key = made.keychain.newest(roster, roster.team_space)
        return draft(context, roster.team, key, Content([events.Rewrap(type="rewrap", grants=[])]))

    return drafter


def slots(store: StrictStore) -> list[str]:
    return [info.name for info in store.list("log/")]


@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.LATE])
def test_a_lost_reply_is_recognised_as_our_own_commit(store: StrictStore, ana: Client, fault: Fault) -> None:
    """Written but not answered, at once or some requests later: one commit, not two, and no lost race."""
    store.schedule = fault_at(fault, "put", "log/")
    committed = ana.commit(note(ana))

    assert committed is not None
    assert (1, 0) == (committed.seq, committed.lost_races)
    assert [slot_name(0), slot_name(1)] == slots(store)


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.SLOW_DOWN, Fault.REFUSED])
def test_a_failed_put_is_finished_by_the_next_run(
    store: StrictStore, ana: Client, tmp_path: Path, fault: Fault
) -> None:
    """A put that did not happen leaves the journal; the next process settles it before drafting anything new."""
    store.schedule = fault_at(fault, "put", "log/")
    with pytest.raises(StoreError):
        ana.commit(note(ana))
    ana.close()
    again = hurried(client(person_of(ana), store, tmp_path / "ana"))

    assert 1 == again.committer.resume()
    assert again.replica.journal() is None
    assert [slot_name(0), slot_name(1)] == slots(store)


def person_of(made: Client) -> Person:
    """The client's person; the member's secret is on paper, not here."""
    return Person(SecretKeys(bytes(32), bytes(32)), made.identity)


class PowerCut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("acted", [False, True])
def test_a_crash_around_the_put_neither_loses_nor_doubles(
    store: StrictStore, ana: Client, tmp_path: Path, *, acted: bool
) -> None:
    """Killed just before or just after the slot was written, the next process ends with exactly one commit."""
    real = store.put_if_absent

    def cut(name: str, data: bytes) -> NoReturn:
        if acted:
            real(name, data)
        raise PowerCut

    store.put_if_absent = cut  # type: ignore[method-assign]
    with pytest.raises(PowerCut):
        ana.commit(note(ana))
    store.put_if_absent = real  # type: ignore[method-assign]
    ana.close()
    again = hurried(client(person_of(ana), store, tmp_path / "ana"))

    assert 1 == again.committer.resume()
    assert [slot_name(0), slot_name(1)] == slots(store)
    assert 2 == again.log.next_seq


def test_an_attempt_lost_while_away_is_forgotten(store: StrictStore, ana: Client, tmp_path: Path) -> None:
    """If somebody else took the slot meanwhile, the interrupted commit is not put anywhere."""
    ben = hurried(joined(ana, store, tmp_path / "ben"))
    store.schedule = fault_at(Fault.BEFORE, "put", "log/")
    with pytest.raises(StoreError):
        ana.commit(note(ana))
    ben.commit(note(ben))

    assert ana.committer.resume() is None
    assert 4 == len(slots(store))


def test_losers_rebase_onto_the_next_number(store: StrictStore, ana: Client, tmp_path: Path) -> None:
    """A commit drafted on a stale point loses its slot, reads on and lands behind the winner."""
    ben = hurried(joined(ana, store, tmp_path / "ben"))
    drafter = note(ben)
    raced: list[bool] = []

    def late(context: DraftContext) -> bytes:
        if not raced:
            raced.append(True)
            ana.commit(note(ana))
        return drafter(context)

    committed = ben.commit(late)

    assert committed is not None
    assert 1 == committed.lost_races
    ana.log.catch_up()
    assert ana.log.point == ben.log.point


def test_a_void_commit_is_never_sent(store: StrictStore, ana: Client) -> None:
    """What we ourselves would judge void stays here: a removed member's client says so instead of littering the log."""

    def bad(context: DraftContext) -> bytes:
        roster = ana.roster
        key = ana.keychain.newest(roster, roster.team_space)
        return draft(context, bytes(32), key, Content([events.Rewrap(type="rewrap", grants=[])]))

    with pytest.raises(TapesError, match="would be void"):
        ana.commit(bad)
    assert [slot_name(0)] == slots(store)


def test_garbage_in_the_next_slot_costs_one_number(store: StrictStore, ana: Client) -> None:
    """Somebody's junk in the slot we wanted is judged void and stepped over."""
    store.put_if_absent(slot_name(1), b"junk")
    committed = ana.commit(note(ana))

    assert committed is not None
    assert 2 == committed.seq
    junk = ana.replica.slot(1)
    assert junk is not None
    assert junk.void_reason is not None


def test_an_interrupted_attempt_is_not_put_into_a_bucket_that_was_rolled_back(
    store: StrictStore, ana: Client
) -> None:
    """The server dies under the write and comes back with last night's data: said, with evidence, and no slot above the hole."""
    last_night = {info.name: store.get(info.name) for info in store.list("")}
    ana.commit(note(ana))
    store.schedule = fault_at(Fault.BEFORE, "put", "log/")
    with pytest.raises(StoreError):
        ana.commit(note(ana))
    [lost] = set(slots(store)) - last_night.keys()
    data = store.get(lost)
    store.plant(lost, None)
    for again in (ana.committer.resume, lambda: ana.commit(note(ana))):
        with pytest.raises(VerificationFailed, match=f"{lost}: is gone"):
            again()

    assert slots(store) == sorted(last_night)
    store.plant(lost, data)
    assert 2 == ana.committer.resume()


def test_a_bucket_that_is_rolled_back_under_a_long_upload_gets_no_commit(
    store: StrictStore, ana: Client
) -> None:
    """The log was looked at before the upload; by its end the newest slot is gone: the commit is refused, and writes nothing."""
    ana.commit(note(ana))
    ana.log.refresh()
    newest = slots(store)[-1]
    store.plant(newest, None)

    with pytest.raises(VerificationFailed, match=f"{newest}: is gone"):
        ana.commit(note(ana))
    assert newest not in slots(store)
    assert None is ana.replica.journal()
