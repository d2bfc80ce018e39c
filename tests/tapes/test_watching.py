"""The parts of `tapes watch`: when the next round is, waiting through sleep and set clocks, rounds that fail, the one lock."""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import StoreError, TapesError
from tapes.watching.alarm import Alarm, Clocks, slept_seconds_min
from tapes.watching.instance import only_watch, watching_pid
from tapes.watching.pace import backoff_seconds_max, seconds_to_next
from tapes.watching.rounds import Done, Rounds
from tapes.watching.state import StateFile, read_state
from tapes.watching.stopping import Stopped, Stopping
from tests.watching import until


@given(interval=st.floats(1, 7 * 86_400), failures=st.integers(0, 100_000), seed=st.integers(0, 2**32))
def test_the_next_round_is_never_too_soon_nor_too_late(interval: float, failures: int, seed: int) -> None:
    """Whatever the interval and however many weeks of failures: at least 0.9 intervals, at most the cap or 1.1 intervals."""
    seconds = seconds_to_next(interval, failures, random.Random(seed))

    assert interval * 0.9 <= seconds <= max(backoff_seconds_max, interval * 1.1)


def test_failures_make_the_wait_grow() -> None:
    """After three failures in a row a minute's interval has become at least four; success brings it back."""
    chance = random.Random(1)

    assert all(seconds_to_next(60, 3, chance) >= 240 for _ in range(100))
    assert all(seconds_to_next(60, 0, chance) <= 66 for _ in range(100))


@dataclass
class _Machine:
    """Both clocks; each look at the monotonic one is `step` seconds later, and `events` happen at such a time."""

    step: float = 1.0
    monotonic_at: float = 1000.0
    wall_at: float = 5_000_000.0
    events: dict[float, Callable[["_Machine"], None]] = field(default_factory=dict)

    def monotonic(self) -> float:
        self.monotonic_at += self.step
        self.wall_at += self.step
        for at in [at for at in self.events if at <= self.monotonic_at]:
            self.events.pop(at)(self)
        return self.monotonic_at

    def alarm(self, settings: Path) -> Alarm:
        return Alarm(settings, Clocks(self.monotonic, lambda: self.wall_at), look_seconds=0.0001)

    def jump(self, seconds: float) -> None:
        self.wall_at += seconds


def test_a_wait_ends_when_it_is_due(tmp_path: Path) -> None:
    """Nothing happens: the monotonic clock decides."""
    machine = _Machine()

    assert "due" == machine.alarm(tmp_path / "none").wait(60)
    assert 1060 <= machine.monotonic_at < 1070


def test_a_machine_that_slept_is_noticed(tmp_path: Path) -> None:
    """The wall clock is eight hours on, the monotonic one stood still: the round is due at once."""
    machine = _Machine(events={1010.0: lambda self: self.jump(8 * 3600)})

    assert "slept" == machine.alarm(tmp_path / "none").wait(900)
    assert machine.monotonic_at < 1030


@pytest.mark.parametrize("jump", [-400 * 86_400, -3600, slept_seconds_min - 5])
def test_a_clock_set_back_or_nudged_changes_nothing(tmp_path: Path, jump: float) -> None:
    """Neither a year back nor NTP's correction skips, repeats or delays a round."""
    machine = _Machine(events={1010.0: lambda self: self.jump(jump)})

    assert "due" == machine.alarm(tmp_path / "none").wait(60)
    assert 1060 <= machine.monotonic_at < 1070


def test_a_changed_settings_file_and_a_call_end_the_wait(tmp_path: Path) -> None:
    """Written in place, replaced, made or removed: noticed; a call before the wait counts, once."""
    path = tmp_path / "config.toml"
    alarm = _Machine(events={1010.0: lambda _: _write(path)}).alarm(path)
    assert "changed" == alarm.wait(900)
    alarm = _Machine(events={1010.0: lambda _: path.unlink()}).alarm(path)
    assert "changed" == alarm.wait(900)

    alarm.look()
    path.write_text("written between the reading of the settings and the wait")
    assert "changed" == alarm.wait(900)

    alarm.look()
    alarm.call()
    assert ["called", "due"] == [alarm.wait(900), alarm.wait(5)]


def _write(path: Path) -> None:
    path.write_text("a = 1")


def _rounds(tmp_path: Path, job: Callable[[Callable[[str], None]], Done]) -> tuple[Rounds, list[str]]:
    said: list[str] = []
    state = StateFile(tmp_path / "watching.json")
    return Rounds("sync", job, Alarm(tmp_path / "none"), state, said.append, 0.001), said


def _state(tmp_path: Path) -> dict[str, object]:
    told = read_state(tmp_path / "watching.json", tmp_path / "watching.lock")
    assert told is not None
    return dict(told["services"]["sync"])


def test_settings_changed_during_a_round_are_read_by_the_next_one_soon(tmp_path: Path) -> None:
    """The hour's wait after that round ends at once, and the wait after the next one does not."""
    settings, rounds_begun = tmp_path / "config.toml", []

    def job(_step: Callable[[str], None]) -> Done:
        rounds_begun.append(1)
        if len(rounds_begun) == 1:
            settings.write_text("a = 1")
        return Done(3600, at_close=False)

    alarm = Alarm(settings, look_seconds=0.001)
    rounds = Rounds("sync", job, alarm, StateFile(tmp_path / "watching.json"), lambda _: None, 3600)
    rounds.start()
    until(lambda: len(rounds_begun) > 1, what="a second round")
    time.sleep(0.2)  # two hundred looks

    assert (True, 2) == (rounds.stop(60), len(rounds_begun))


def test_a_failure_is_said_once_and_its_end_too(tmp_path: Path) -> None:
    """Weeks without a network are two lines in the log; the state tells each failure, its hint, and when it ended."""
    outcomes = [StoreError("no network", hint="plug it in")] * 3 + [None]

    def job(_step: Callable[[str], None]) -> Done:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return Done(60, "pushed 3 turns")

    rounds, said = _rounds(tmp_path, job)
    for _ in range(3):
        assert isinstance(rounds.once(), StoreError)
    failing = _state(tmp_path)
    assert (3, "no network") == (failing["failures"], dict(failing["last_error"])["message"])  # type: ignore[call-overload]
    assert None is rounds.once()

    assert ["sync: error: no network; plug it in", "sync: works again", "sync: pushed 3 turns"] == said
    assert (0, None, 4) == tuple(_state(tmp_path)[name] for name in ("failures", "last_error", "rounds"))


def test_a_service_that_is_switched_off_does_not_say_that_it_works(tmp_path: Path) -> None:
    """Who reads "works again" looks no further: the bucket was not asked. And what fails after that is not off any more."""
    off = Done(60, off="the provider is local: nothing is synced")
    outcomes: list[Done | StoreError] = [StoreError("rolled back"), off, StoreError("no network")]

    def job(_step: Callable[[str], None]) -> Done:
        outcome = outcomes.pop(0)
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    rounds, said = _rounds(tmp_path, job)
    rounds.once()
    rounds.once()
    assert None is _state(tmp_path)["last_success_at"]
    rounds.start()
    until(lambda: _state(tmp_path)["failures"] == 1 and _state(tmp_path)["doing"] == "waiting", what="a wait")
    rounds.stop(1)

    assert ["sync: error: rolled back", "sync: the provider is local: nothing is synced"] == said[:2]


def test_an_unexpected_error_ends_no_watch_and_is_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug met every minute leaves one crash file, not one a minute; the next round is tried all the same."""
    monkeypatch.setenv("TAPES_HOME", str(tmp_path))

    def job(_step: Callable[[str], None]) -> Done:
        raise ZeroDivisionError

    rounds, said = _rounds(tmp_path, job)
    for _ in range(3):
        assert isinstance(rounds.once(), TapesError)

    assert (1, 1) == (len(said), len(list((tmp_path / "crashes").iterdir())))


def test_a_round_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """A stop waits no longer than it was told to, and says that the service did not end."""
    hang, begun = threading.Event(), threading.Event()

    def job(_step: Callable[[str], None]) -> Done:
        begun.set()
        hang.wait(60)
        return Done(60, at_close=False)

    rounds, _ = _rounds(tmp_path, job)
    rounds.start()
    begun.wait(60)

    assert not rounds.stop(0.05)
    hang.set()
    until(lambda: _state(tmp_path)["doing"] == "ended", what="the end of the hanging round")


def test_a_long_round_is_cut_at_its_next_step(tmp_path: Path) -> None:
    """Work that reports its steps ends by itself when the time is over; no closing round follows."""
    begun, rounds_begun = threading.Event(), []

    def job(step: Callable[[str], None]) -> Done:
        rounds_begun.append(1)
        while True:
            begun.set()
            step("pushing for ever")

    rounds, _ = _rounds(tmp_path, job)
    rounds.start()
    begun.wait(60)

    assert rounds.stop(0.05) or rounds.stop(60)
    assert ([1], "cut short") == (rounds_begun, _state(tmp_path)["step"])


def test_stopping_lets_work_go_on_until_its_time_is_over() -> None:
    """Before it is asked, and until the deadline, a check passes; after it, it ends the work."""
    at = [0.0]
    stopping = Stopping(lambda: at[0])
    stopping.check()
    stopping.ask(5)
    stopping.ask(60)
    at[0] = 4.9
    stopping.check()
    at[0] = 5.0

    with pytest.raises(Stopped):
        stopping.check()


def test_one_watch_per_home(tmp_path: Path) -> None:
    """The second is refused with the first's process id; when that one is gone, however, the lock is free."""
    lock = tmp_path / "watching.lock"
    assert None is watching_pid(lock)
    with only_watch(lock), pytest.raises(TapesError, match=r"process \d+ already watches"), only_watch(lock):
        pytest.fail("two watches")
    assert None is watching_pid(lock)
    with only_watch(lock):
        assert watching_pid(lock) is not None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', '{"services": {"sync": {"new_field": 1}}}', "\0" * 80]
)
def test_a_state_file_of_another_version_or_of_a_power_cut_is_no_error(tmp_path: Path, text: str) -> None:
    """`storage status` says what it can: that a watch was here and does not run."""
    (tmp_path / "watching.json").write_text(text)
    told = read_state(tmp_path / "watching.json", tmp_path / "watching.lock")

    assert told == {"running": False, "pid": None, "started_at": None, "ended_at": None, "services": {}}


def test_a_full_disk_ends_no_watch(tmp_path: Path) -> None:
    """The state file cannot be written: the watch goes on, and the old file stays whole."""
    state = StateFile(tmp_path / "watching.json")
    state.change("sync", doing="waiting")
    (tmp_path / ".watching.json.new").mkdir()
    state.change("sync", doing="working")

    assert "waiting" == json.loads((tmp_path / "watching.json").read_text())["services"]["sync"]["doing"]
    assert "working" == state.fields()["services"]["sync"]["doing"]
