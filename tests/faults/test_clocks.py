"""Clocks that are wrong, processes that sleep through what happens, homes that cannot be written: nobody else notices."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from query.sessions import list_sessions
from query.source import open_source
from store.blobs import BlobStore
from store.directory import DirectoryStore
from sync.client import Client
from sync.committer import Committer
from sync.devices import first_slot_since
from sync.membership import Bucket, invite, members
from sync.rights import remove_member
from sync.team import InviteTerms
from sync.verify import verify
from tests.actors import NOW_MS, founded, joined
from tests.command_line import HOUSE, Person
from tests.fakes.strict_store import StrictStore
from tests.faults.one_stopped_sync import start
from tests.faults.one_sync import write_identity
from tests.laptops import Laptop, conversation, turn

YEAR_MS = 365 * 24 * 3_600_000
WEEK_MS = 7 * 24 * 3_600_000
CLOCKS = {
    "ten years behind": NOW_MS - 10 * YEAR_MS,
    "ten years ahead": NOW_MS + 10 * YEAR_MS,
    "in 2100": 4_102_444_800_000,
    "at the last number": 2**53 - 1,
    "in 1970": 0,
}
NOBODY = 65_534  # the user that owns nothing


def with_clock(made: Client, now_ms: int) -> Client:
    """The same client on a device whose clock says this."""
    made.committer = Committer(
        made.store, made.replica, made.log, made.identity, clock_ms=lambda: now_ms, sleep=lambda _: None
    )
    return made


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_members_clock_expires_and_reorders_nothing(tmp_path: Path, clock: str) -> None:
    """A member whose commits say 2100, or 1970: the owner's invite stays open, and what was first stays first for everybody."""
    store = StrictStore()
    owner = with_clock(founded(store, tmp_path / "ana"), NOW_MS)
    member = with_clock(joined(owner, store, tmp_path / "ben", "ben"), CLOCKS[clock])
    invite(owner, InviteTerms(5, NOW_MS + WEEK_MS), Bucket("file:///b"))
    ana, ben = Laptop(owner, tmp_path / "ana"), Laptop(member, tmp_path / "ben")
    ana.provider.put([turn("said once", None, 3, project="alpha")])
    ana.provider.sync()
    ben.provider.put([turn("said once", None, 3, project="beta"), *conversation("from ben", 3, "gamma")])
    ben.provider.sync()
    ana.provider.put(conversation("after ben", 2, "delta"))
    ana.provider.sync()
    ben.provider.sync()

    for laptop in (ana, ben):
        assert [True] == [i.open for i in laptop.client.roster.invites.values() if i.expires_at_ms]
        assert [None] * owner.log.next_seq == [slot.void_reason for slot in laptop.client.replica.slots()]
        assert verify(laptop.client).findings == []
    assert ana.pulled() == ben.pulled()
    assert 6 == len(set(ana.pulled()))
    assert {"alpha", "gamma", "delta"} == projects_seen_by_a_reader(owner, store, tmp_path)
    ana.close()
    ben.close()


def projects_seen_by_a_reader(owner: Client, store: BlobStore, root: Path) -> set[str | None]:
    """The sessions' projects, as a third member's fresh laptop shows them."""
    cat = Laptop(joined(owner, store, root / "cat", "cat"), root / "cat")
    cat.provider.sync()
    with open_source(cat.local, cat.client) as source:
        seen = {session.project for session in list_sessions(source).sessions}
    cat.close()
    return seen


@pytest.mark.parametrize("clock", ["ten years behind", "in 1970"])
def test_an_expired_invite_is_closed_by_whose_clock_is_right(tmp_path: Path, clock: str) -> None:
    """An owner whose clock stands still closes nothing; another owner device on time does, for all, by the same event."""
    store = StrictStore()
    owner = with_clock(founded(store, tmp_path / "ana"), CLOCKS[clock])
    invite(owner, InviteTerms(1, NOW_MS - 1), Bucket("file:///b"))
    late = Laptop(owner, tmp_path / "ana")
    late.provider.sync()
    assert [True] == [i.open for i in owner.roster.invites.values()]

    late.client = with_clock(owner, NOW_MS)
    late.provider.sync()

    assert [False] == [i.open for i in owner.roster.invites.values()]
    late.close()


def test_a_date_finds_no_slot_too_late_because_of_a_lying_clock(tmp_path: Path) -> None:
    """`device revoke --lost-since` with a member's clock at 2100 in between: never later than the first commit on that day."""
    store = StrictStore()
    owner = with_clock(founded(store, tmp_path / "ana"), NOW_MS)
    liar = with_clock(joined(owner, store, tmp_path / "ben", "ben"), CLOCKS["in 2100"])
    for made, home in ((liar, "ben"), (owner, "ana")):
        laptop = Laptop(made, tmp_path / home)
        laptop.provider.put(conversation(home, 1))
        laptop.provider.sync()
    owner.log.catch_up()

    asked = datetime.fromtimestamp((NOW_MS - WEEK_MS) / 1000, UTC)
    honest = [slot.seq for slot in owner.replica.slots() if owner.commit_at(slot.seq).at >= NOW_MS - WEEK_MS]
    assert first_slot_since(owner, asked) <= min(honest)


@pytest.mark.parametrize(
    ("prefix", "after"),
    [("packs/", True), ("manifests/", True), ("log/", False), ("log/", True)],
    ids=["pack sent", "manifest sent", "about to commit", "committed, reply unread"],
)
def test_a_stopped_push_wakes_into_another_world(tmp_path: Path, prefix: str, *, after: bool) -> None:
    """Stopped mid-push; meanwhile others push and a removal changes the key; woken an hour on, it ends with each node once."""
    store = DirectoryStore(tmp_path / "bucket")
    owner = founded(store, tmp_path / "ana")
    cat = joined(owner, store, tmp_path / "cat", "cat")
    sam = joined(owner, store, tmp_path / "sam", "sam")
    write_identity(tmp_path / "sam", sam.identity)
    asleep = Laptop(sam, tmp_path / "sam")
    asleep.provider.put(conversation("from sam", 4))
    asleep.close()

    running = start(tmp_path / "sam", tmp_path / "bucket", prefix, after=after)
    ana = Laptop(owner, tmp_path / "ana")
    try:
        ana.provider.put(conversation("meanwhile", 3))
        ana.provider.sync()
        remove_member(owner, cat.identity.member_id)
    finally:
        running.send_signal(signal.SIGCONT)
    out, err = running.communicate(timeout=60)

    assert running.returncode == 0, err
    assert '"nodes": 4' in out
    ana.provider.sync(full=True)
    everything = [*conversation("from sam", 4), *conversation("meanwhile", 3)]
    assert sorted(node.hash for node in everything) == ana.pulled()
    assert [None] * owner.log.next_seq == [slot.void_reason for slot in owner.replica.slots()]
    assert verify(owner).findings == []
    assert ["active", "active"] == [m.state for m in members(owner) if m.id != cat.identity.member_id]
    cat.close()
    ana.close()


@pytest.fixture
def closed_home(tmp_path: Path) -> Iterator[Person]:
    """A home with an identity, a session and a bucket, in which not even its owner may write.

    Root writes everywhere: as root the home is given to nobody, and the commands run as nobody.
    """
    if os.geteuid() == 0 and not all(
        map(open_to_nobody, (HOUSE, Path(sys.executable), Path(sys.base_prefix)))
    ):
        pytest.skip("run as root from a folder, or with a Python, that other users cannot enter")
    root = tmp_path / "closed"
    who = Person(root / "home")
    root.mkdir()
    who.init("Ana")
    who.ok("storage", "configure", "--bucket", f"file://{root / 'bucket'}")
    who.ok("team", "create", "Closed")
    who.ok("import", "claude", HOUSE / "tapes" / "samples" / "claude")
    who.ok("storage", "sync")
    everything = [root, *root.rglob("*")]
    for path in everything:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o500 if path.is_dir() else 0o400)
    if os.geteuid() == 0:
        temporary = Path(tempfile.gettempdir()).resolve()
        for above in (tmp_path, *tmp_path.parents):
            if above == temporary:
                break
            above.chmod(above.stat().st_mode | 0o011)
    yield who
    for path in everything:
        path.chmod(0o700)


def open_to_nobody(path: Path) -> bool:
    """Whether every folder on the way lets others through."""
    real = path.resolve()
    return all(above.stat().st_mode & 0o001 for above in (real, *real.parents))


def as_nobody(who: Person, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """One command in a process that the file modes bind."""
    user = NOBODY if os.geteuid() == 0 else None
    return subprocess.run(
        [sys.executable, "-m", "tapes", *map(str, words)],
        env={**os.environ, "HOME": str(who.home.parent), "TAPES_HOME": str(who.home)},
        cwd=HOUSE,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def digest_of(folder: Path) -> dict[str, str]:
    """Every file and its bytes."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


COMMANDS_OF_A_CLOSED_HOME: dict[str, tuple[str | Path, ...]] = {
    "reading": ("sessions",),
    "syncing": ("storage", "sync"),
    "importing": ("import", "claude", HOUSE / "tapes" / "samples" / "claude"),
    "setting": ("config", "set", "ui.color", "never"),
}


def test_a_home_that_cannot_be_written_says_so_and_stays_as_it_is(closed_home: Person) -> None:
    """Read-only disk or wrong owner: what must write ends with an error about that; nothing changes or crashes."""
    before = digest_of(closed_home.home)
    for what, words in COMMANDS_OF_A_CLOSED_HOME.items():
        done = as_nobody(closed_home, *words)
        assert "Traceback" not in done.stderr, (what, done.stderr)
        assert "unexpected" not in done.stderr, (what, done.stderr)
        assert done.returncode in ({0, 5} if what == "reading" else {1, 2, 5}), (what, done.stderr)
        assert done.returncode == 0 or "hint:" in done.stderr, (what, done.stderr)
    assert digest_of(closed_home.home) == before
