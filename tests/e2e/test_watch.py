"""`tapes watch` as a process: killed, cut off, called, ended, twice at once, beside other commands."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sync.home_lock import HomeLock
from tests.command_line import HOUSE, Person
from tests.watching import GrowingLog, environ, member, until, watching


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Ada shares everything with the team she founded in a folder."""
    (tmp_path / "disk").mkdir()
    return _founding(member(tmp_path, "ada"), (tmp_path / "disk" / "bucket").as_uri())


def _founding(person: Person, bucket: str) -> Person:
    person.ok("storage", "configure", "--bucket", bucket)
    person.ok("config", "set", "default-visibility", "team")
    person.ok("team", "create", "Engine")
    return person


def _joining(ada: Person, folder: Path) -> Person:
    bob = member(folder, "bob")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    return bob


def _turns(person: Person) -> int:
    """All turns of all sessions that somebody can see."""
    [row] = person.json("sql", "SELECT count(*) AS turns FROM nodes")["rows"]
    return int(row["turns"] if isinstance(row, dict) else row[0])


def test_a_log_that_grows_arrives_at_the_second_member(ada: Person, tmp_path: Path) -> None:
    """Both watch; lines written twice over appear in Bob's home with nobody running a command, and each turn once."""
    log, bob = GrowingLog.of(ada), _joining(ada, tmp_path)
    with watching(ada) as hers, watching(bob) as his:
        log.grow(10)
        first = until(lambda: _turns(bob), what=f"turns at Bob's: {hers.said} {his.said}")
        log.grow()
        until(
            lambda: hers.service("import").get("rounds", 0) and _turns(ada) > first, what="the rest, imported"
        )
        until(lambda: _turns(bob) == _turns(ada) > first, what=f"the rest at Bob's: {hers.said} {his.said}")
        assert (0, 0) == (hers.end(), his.end())
    assert ada.json("verify")["ok"]
    assert 0 == ada.json("storage", "status")["pending_push"]


def test_kills_during_a_watch_lose_and_double_nothing(ada: Person, tmp_path: Path) -> None:
    """SIGKILL at two moments while a log grows: the next watch goes on, and every turn is in the bucket once."""
    log, bob = GrowingLog.of(ada), _joining(ada, tmp_path)
    for rounds in (0, 1):
        with watching(ada) as killed:
            log.grow(5)
            killed.until_rounds("import", rounds)
            killed.kill()
        status = ada.json("storage", "status")["watch"]  # null: killed before it had said anything
        assert status is None or not status["running"]
    log.grow()
    with watching(ada) as last:
        last.until_rounds("sync", 1)
        assert 0 == last.end()
    bob.ok("storage", "sync")

    assert _turns(ada) == _turns(bob) > 10
    assert 0 == ada.json("storage", "status")["pending_push"]
    assert ada.json("verify")["ok"]


def test_a_second_watch_names_the_first(ada: Person) -> None:
    """Exit 1 with the process id, and the first one goes on undisturbed; after it ended another may watch."""
    with watching(ada) as first:
        first.until_rounds("sync", 1)
        second = ada.process("watch")
        assert (1, True) == (second.code, f"process {first.running.pid}" in second.err)
        assert first.running.pid == ada.json("storage", "status")["watch"]["pid"]
        assert 0 == first.end()
    assert 0 == ada.process("watch", "--once").code


def test_what_came_last_goes_out_at_the_end(ada: Person) -> None:
    """Asked to end long before its next round, it imports and pushes once more, and ends with 0."""
    ada.ok("config", "set", "storage.sync_interval", "1h")
    log = GrowingLog.of(ada)
    with watching(ada) as hers:
        hers.until_rounds("sync", 1)
        log.grow()
        assert 0 == hers.end(), hers.said
    status = ada.json("storage", "status")

    assert (0, True) == (status["pending_push"], status["local"]["nodes"] > 10)
    assert [False, True] == [status["watch"]["running"], status["watch"]["ended_at"] is not None]


def test_a_second_ctrl_c_ends_a_slow_end(ada: Person) -> None:
    """Another process keeps the home, so that the last sync waits: Ctrl-C again leaves at once, with 130, nothing broken."""
    with HomeLock(ada.home / "writing.lock").held(), watching(ada) as hers:
        until(lambda: hers.service("sync").get("doing") == "working", what="a sync that waits")
        hers.running.send_signal(signal.SIGINT)
        until(lambda: "ending" in hers.said, what="the beginning of the end")
        assert 130 == hers.end(signal.SIGINT)
    assert ada.json("verify")["ok"]
    assert 0 == ada.process("watch", "--once").code


@pytest.mark.long
def test_an_end_is_bounded(ada: Person) -> None:
    """Another process keeps the home for ever: SIGTERM still ends the watch, with 0, and says what was cut."""
    with HomeLock(ada.home / "writing.lock").held(), watching(ada) as hers:
        until(lambda: hers.service("sync").get("doing") == "working", what="a sync that waits")
        assert 0 == hers.end()
        assert "sync: cut short" in hers.said


def test_no_sync_on_close_means_none(ada: Person) -> None:
    """With storage.sync_on_close = false what came last stays for the next watch; Ctrl-C ends it as SIGTERM does."""
    ada.ok("config", "set", "storage.sync_interval", "1h")
    ada.ok("config", "set", "storage.sync_on_close", "false")
    with watching(ada) as hers:
        hers.until_rounds("sync", 1)
        GrowingLog.of(ada).grow()
        assert 0 == hers.end(signal.SIGINT)
    assert 0 == ada.json("storage", "status")["local"]["nodes"]


def test_changed_settings_and_sighup_are_taken_up(ada: Person) -> None:
    """An hour's wait ends when the settings file changes, or at SIGHUP; a broken file is said, and mended again."""
    ada.ok("config", "set", "storage.sync_interval", "1h")
    with watching(ada) as hers:
        hers.until_rounds("import", 1)
        hers.running.send_signal(signal.SIGHUP)
        hers.until_rounds("import", 2)
        config = ada.home / "config.toml"
        good = config.read_text()
        config.write_text(good + "\nnonsense")
        until(lambda: hers.service("import")["failures"], what="a failed round")
        assert 2 == hers.service("import")["last_error"]["exit_code"]
        config.write_text(good.replace("1h", "1s"))
        hers.until_rounds("import", 6)
        assert None is hers.service("import")["last_error"]
        assert 0 == hers.end()


def test_a_bucket_that_is_gone_stops_no_import(ada: Person, tmp_path: Path) -> None:
    """The disk is unplugged: turns are still imported and wait; the status says what failed and when it is tried again."""
    log, disk = GrowingLog.of(ada), tmp_path / "disk"
    with watching(ada) as hers:
        hers.until_rounds("sync", 1)
        disk.rename(tmp_path / "unplugged")
        log.grow()
        until(lambda: hers.service("sync")["failures"], what="a failed sync")
        until(lambda: ada.json("storage", "status")["local"]["nodes"] > 10, what="the import")
        service = ada.json("storage", "status")["watch"]["services"]["sync"]
        assert service["last_error"]["exit_code"] == 5, service
        (tmp_path / "unplugged").rename(disk)
        until(lambda: not hers.service("sync")["failures"], what=f"a sync: {hers.said}")
        assert "sync: works again" in hers.said
        assert 0 == hers.end()
    assert 0 == ada.json("storage", "status")["pending_push"]


def test_watch_sync_and_search_beside_each_other(ada: Person) -> None:
    """A watch of every second, syncs, searches and imports, all processes of one home at once: all end well, nothing twice."""
    log = GrowingLog.of(ada)
    commands = [["storage", "sync"], ["search", "test*"], ["import", "claude"]]
    with watching(ada) as hers:
        hers.until_rounds("import", 1)
        for _ in range(2):
            log.grow(10)
            hers.running.send_signal(signal.SIGHUP)  # its own round begins with theirs
            running = [_started(ada, *words) for words in commands]
            ends = [(each.communicate(timeout=60)[1], each.returncode) for each in running]
            assert [0] * len(ends) == [code for _, code in ends], ends
        log.grow()
        hers.running.send_signal(signal.SIGHUP)
        assert 0 == hers.end()
    assert "error" not in hers.said
    assert 0 == ada.json("storage", "status")["pending_push"]
    assert ada.json("verify")["ok"]


def _started(person: Person, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tapes", *words]
    null = subprocess.DEVNULL
    return subprocess.Popen(
        command, env=environ(person), cwd=HOUSE, stdin=null, stdout=null, stderr=subprocess.PIPE
    )


def test_a_local_home_only_imports(tmp_path: Path) -> None:
    """Without a bucket the watch says that nothing is synced, imports, and `storage status` says the same."""
    ada = member(tmp_path, "ada")
    GrowingLog.of(ada).grow()
    with watching(ada) as hers:
        hers.until_rounds("sync", 1)
        hers.until_rounds("import", 1)
        assert "nothing is synced" in hers.said.splitlines()[0]
        assert "off" == ada.json("storage", "status")["watch"]["services"]["sync"]["doing"]
        assert 0 == hers.end()
    assert ada.json("storage", "status")["local"]["nodes"] > 10


def test_a_closed_terminal_ends_the_watch(ada: Person) -> None:
    """SIGHUP because the terminal went away is no call for a reload: the watch ends, its last sync done."""
    ours, theirs = os.openpty()
    ada.ok("config", "set", "storage.sync_interval", "1h")
    running = subprocess.Popen(
        [sys.executable, "-m", "tapes", "watch"],
        env=environ(ada),
        cwd=HOUSE,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    state = ada.home / "watching.json"
    until(lambda: state.exists() and "waiting" in state.read_text(), what="the first rounds")
    GrowingLog.of(ada).grow()
    os.close(ours)  # the kernel sends SIGHUP, and a shell sends another
    for _ in range(3):
        running.send_signal(signal.SIGHUP)
        time.sleep(0.05)

    assert 0 == running.wait(60)
    assert None is not json.loads(state.read_text())["ended_at"]
    assert 0 == ada.json("storage", "status")["pending_push"]
