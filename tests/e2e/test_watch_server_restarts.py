"""A watch whose S3 server really ends, by its process id, and comes back: with its data, without, or with last night's."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import HOUSE, Person
from tests.services.shared import S3Service, free_port, start, stop
from tests.watching import GrowingLog, Watching, member, until, watching

LOCALSTACK, RGW = HOUSE / "localstack", HOUSE / "infra" / "rgw"
patience_seconds = 120  # the wait between two tries has doubled meanwhile
pytestmark = pytest.mark.long


class Server:
    """One S3 server of this test's own, always at the same port."""

    def __init__(self, scripts: Path, folder: Path) -> None:
        self._scripts, self._folder = scripts, folder
        self._port, self._runs = free_port(), 0
        self._again: list[subprocess.Popen[bytes]] = []
        self.service = self._start()

    def _start(self) -> S3Service:
        self._runs += 1
        return start(self._scripts, self._folder / str(self._runs), self._port)

    def stop(self) -> None:
        """All of it; its data is gone."""
        stop(self._scripts, self._folder / str(self._runs))
        for each in self._again:
            each.wait(patience_seconds)

    def start_empty(self) -> None:
        """Again, with another data folder."""
        self.service = self._start()

    def stop_gateway(self) -> None:
        """Only what answers requests (of RGW), as a crash ends it; the data stays."""
        os.kill(int(self._gateway.read_text()), signal.SIGKILL)

    def start_gateway(self) -> None:
        """Again, over the same data."""
        folder = self._gateway.parent
        environ = {**os.environ, "CEPH_CONF": str(folder / "ceph.conf")}
        with (folder / "rgw.again.log").open("wb") as log:
            running = subprocess.Popen(
                ["radosgw", "-f", "-n", "client.rgw"],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._again.append(running)
        self._gateway.write_text(str(running.pid))

    @property
    def _gateway(self) -> Path:
        return self._folder / str(self._runs) / "rgw.pid"


def _serving(scripts: Path, folder: Path, environment: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(scripts, folder)
    for name, value in server.service.environment.items():
        if name != "AWS_ENDPOINT_URL":
            environment.setenv(name, value)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def localstack_alone(tmp_path: Path, aws_environment: pytest.MonkeyPatch) -> Iterator[Server]:
    """A LocalStack that forgets everything when it ends."""
    if not (HOUSE / ".localstack-venv" / ".installed").exists():
        pytest.skip("LocalStack is left out: run localstack/install.sh")
    yield from _serving(LOCALSTACK, tmp_path, aws_environment)


@pytest.fixture
def rgw_alone(tmp_path: Path, aws_environment: pytest.MonkeyPatch) -> Iterator[Server]:
    """A Ceph whose gateway can end alone."""
    if shutil.which("radosgw") is None:
        pytest.skip("Ceph RGW is left out: run infra/rgw/install.sh as root on Debian")
    yield from _serving(RGW, tmp_path, aws_environment)


def _founding(folder: Path, bucket: str, server: Server) -> Person:
    ada = member(folder, "ada")
    url = server.service.endpoint_url
    ada.ok("storage", "configure", "--bucket", f"s3://{bucket}/team", "--endpoint-url", url)
    ada.ok("config", "set", "default-visibility", "team")
    ada.ok("team", "create", "Engine")
    return ada


def _until_said(hers: Watching, exit_code: int, words: str) -> None:
    """The state names this error and a next try, in `storage status` too."""

    def said() -> bool:
        error = hers.service("sync").get("last_error")
        return error is not None and error["exit_code"] == exit_code and words in str(error)

    until(said, what=f"exit {exit_code} and {words!r}: {hers.said}", seconds_max=patience_seconds)
    shown = hers.person.json("storage", "status")["watch"]["services"]["sync"]
    assert exit_code == shown["last_error"]["exit_code"]
    assert shown["failures"] > 0
    assert shown["next_try_at"] is not None or shown["doing"] == "working"


def _until_queued(ada: Person, more_than: int) -> int:
    """Imports go on: turns that wait."""

    def waiting() -> int:
        pending = ada.json("storage", "status")["pending_push"]
        return int(pending) if pending > more_than else 0

    return int(until(waiting, what="the import, meanwhile"))


def _until_synced(hers: Watching) -> None:
    def well() -> bool:
        return hers.rounds("sync") > 0 and not hers.service("sync")["failures"]

    until(well, what=f"a sync by itself: {hers.said}", seconds_max=patience_seconds)


def _require_everything_once(ada: Person, folder: Path) -> None:
    assert 0 == ada.json("storage", "status")["pending_push"]
    assert ada.json("verify")["ok"]
    bob = member(folder, "bob")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    bob.ok("storage", "sync")
    ours, theirs = ada.json("sessions"), bob.json("sessions")
    assert [each["turns"] for each in ours["sessions"]] == [each["turns"] for each in theirs["sessions"]]
    assert sum(each["turns"] for each in theirs["sessions"]) > 10


@pytest.mark.rgw
def test_a_gateway_that_is_killed_and_started_again(rgw_alone: Server, tmp_path: Path) -> None:
    """Killed with the watch at work, and the watch killed while it is away: both come back, and each turn is there once."""
    ada = _founding(tmp_path, rgw_alone.service.make_bucket(), rgw_alone)
    log = GrowingLog.of(ada)
    with watching(ada) as first:
        log.grow(8)
        first.until_rounds("sync", 1)
        log.grow(4)
        rgw_alone.stop_gateway()
        _until_said(first, 5, "nothing answers")
        log.grow(8)
        queued = _until_queued(ada, 0)
        first.kill()
    with watching(ada) as again:
        _until_said(again, 5, "nothing answers")
        log.grow()
        _until_queued(ada, queued)
        rgw_alone.start_gateway()
        _until_synced(again)
        assert 0 == again.end(), again.said
    _require_everything_once(ada, tmp_path)


@pytest.mark.localstack
def test_a_server_that_comes_back_without_data_and_then_with_last_nights(
    localstack_alone: Server, tmp_path: Path
) -> None:
    """No server, no bucket, an empty bucket, an older one: each is said as what it is; nothing is lost, healed it goes on."""
    server, bucket = localstack_alone, localstack_alone.service.make_bucket()
    ada = _founding(tmp_path, bucket, server)
    log = GrowingLog.of(ada)
    with watching(ada) as hers:
        hers.until_rounds("sync", 1)
        last_night = server.service.copy(bucket)
        log.grow(10)
        until(lambda: len(server.service.copy(bucket)) > len(last_night), what="a push after the backup")
        server.stop()
        _until_said(hers, 5, "")
        log.grow(8)
        queued = _until_queued(ada, 0)
        server.start_empty()
        _until_said(hers, 5, "make the bucket first")
        server.service.make_bucket(bucket)
        _until_said(hers, 6, "rolled back")
        assert {} == server.service.copy(bucket)
        log.grow()
        queued = _until_queued(ada, queued)
        server.service.restore(bucket, last_night)
        _until_said(hers, 6, "rolled back")
        assert last_night == server.service.copy(bucket)
        assert queued == ada.json("storage", "status")["pending_push"]
        assert ada.tapes("doctor", "--heal-log").code in {0, 3}
        _until_synced(hers)
        assert 0 == hers.end(), hers.said
    _require_everything_once(ada, tmp_path)
