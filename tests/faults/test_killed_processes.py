"""Real processes on one home: killed by the kernel in the middle, and several at once."""

import json
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from store.directory import DirectoryStore
from sync.verify import verify
from tests.actors import client, founded, joined
from tests.faults.one_sync import SyncProcess, read_person, write_identity
from tests.faults.worlds import PRIVATE, PRIVATE_NODES, TEAM_NODES
from tests.laptops import Laptop

COMMITS = 3  # the team's nodes, the private space, the private nodes


@dataclass(frozen=True)
class Home:
    """Ana's home and the folder that is the team's bucket, with Ben to look at it."""

    path: Path
    bucket: Path
    ben: Laptop

    @property
    def url(self) -> str:
        return self.bucket.as_uri()

    def slots(self) -> int:
        return len(list((self.bucket / "log").iterdir()))

    def check(self, commits_before: int) -> None:
        """Everything of Ana's is in the log exactly once, and both their checks of the whole bucket pass."""
        ana = Laptop(
            client(read_person(self.path), DirectoryStore(self.bucket), self.path), self.path, PRIVATE
        )
        assert 0 == ana.provider.sync().pushed_nodes
        assert sorted(node.hash for node in [*TEAM_NODES, *PRIVATE_NODES]) == ana.pulled()
        assert commits_before + COMMITS == self.slots()
        assert verify(ana.client).ok
        ana.close()
        self.ben.provider.sync(full=True)
        assert sorted(node.hash for node in TEAM_NODES) == self.ben.pulled()
        assert verify(self.ben.client).ok


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Ana has nodes to push, Ben has joined, nobody has synced."""
    store = DirectoryStore(tmp_path / "bucket")
    owner = founded(store, tmp_path / "ana")
    ben = Laptop(joined(owner, store, tmp_path / "ben"), tmp_path / "ben")
    write_identity(tmp_path / "ana", owner.identity)
    ana = Laptop(owner, tmp_path / "ana", PRIVATE)
    ana.provider.put([*TEAM_NODES, *PRIVATE_NODES])
    ana.close()
    return Home(tmp_path / "ana", tmp_path / "bucket", ben)


@pytest.mark.parametrize(
    ("prefix", "at", "after"),
    [
        ("packs/", 0, False),
        ("manifests/", 0, True),
        ("log/", 0, False),
        ("log/", 0, True),
        ("log/", 1, True),
        ("log/", 2, False),
    ],
)
def test_a_killed_sync_is_finished_by_the_next(home: Home, prefix: str, at: int, *, after: bool) -> None:
    """SIGKILL right before or after a write: the next process of the home ends with each node committed once."""
    before = home.slots()
    killed = SyncProcess.start(home.path, home.url, prefix=prefix, at=at, after=after)
    killed.go()
    assert -signal.SIGKILL == killed.end()[0]
    again = SyncProcess.start(home.path, home.url)
    again.go()
    code, said = again.end()

    assert 0 == code, said
    home.check(before)


def kill_at_some_moment(home: Home, seconds: float) -> None:
    """Start a sync and kill it so long after it began, wherever it then is."""
    victim = SyncProcess.start(home.path, home.url)
    victim.wait_ready()
    victim.go()
    time.sleep(seconds)
    victim.running.send_signal(signal.SIGKILL)
    victim.end()


def test_kills_at_any_moment_lose_and_double_nothing(home: Home) -> None:
    """Killed again and again at arbitrary moments, inside SQLite's writes too, the home still ends with everything once."""
    before = home.slots()
    for number in range(4):
        kill_at_some_moment(home, 0.005 + 0.03 * number)
    home_syncs(home)
    home.check(before)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_many_kills_at_random_moments(home: Home, seed: int) -> None:
    """As above, at random moments; the seed repeats the run as far as the machine's timing allows."""
    before, chance = home.slots(), random.Random(seed)
    for _ in range(6):
        kill_at_some_moment(home, chance.uniform(0, 0.25))
    home_syncs(home)
    home.check(before)


def home_syncs(home: Home) -> None:
    last = SyncProcess.start(home.path, home.url)
    last.go()
    code, said = last.end()
    assert 0 == code, said


def test_syncs_of_one_home_take_turns(home: Home) -> None:
    """Three processes sync the same home at once: all end well, one of them pushes, and nothing is there twice."""
    before = home.slots()
    racers = [SyncProcess.start(home.path, home.url) for _ in range(3)]
    for racer in racers:
        racer.wait_ready()
    for racer in racers:
        racer.go()
    ends = [racer.end() for racer in racers]

    assert [0, 0, 0] == [code for code, _ in ends], ends
    assert [0, 0, 9] == sorted(json.loads(said)["nodes"] for _, said in ends)
    home.check(before)
