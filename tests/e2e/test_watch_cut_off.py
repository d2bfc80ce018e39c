"""A watch on real S3 whose wire is cut, again and again, also in the middle of an upload, while its agent goes on writing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import Person
from tests.services.proxies import Door, door
from tests.services.shared import S3Service
from tests.watching import GrowingLog, member, until, watching

broken_off_bytes = 3_000  # a request's head and a part of its body: a pack of this log has more


@pytest.fixture(
    params=[
        pytest.param("localstack", marks=pytest.mark.localstack),
        pytest.param("rgw", marks=[pytest.mark.rgw, pytest.mark.long]),
    ]
)
def service(request: pytest.FixtureRequest) -> S3Service:
    """One of the two."""
    found: S3Service = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def wire(service: S3Service, aws_environment: pytest.MonkeyPatch) -> Iterator[Door]:
    """A port that leads to the service; the environment has its credentials, and no way around the port."""
    for name, value in service.environment.items():
        if name != "AWS_ENDPOINT_URL":
            aws_environment.setenv(name, value)
    with door(service.endpoint_url) as made:
        yield made


def _founding(folder: Path, bucket: str, wire: Door) -> Person:
    ada = member(folder, "ada")
    ada.ok("storage", "configure", "--bucket", f"s3://{bucket}/team", "--endpoint-url", wire.url)
    ada.ok("config", "set", "default-visibility", "team")
    ada.ok("team", "create", "Engine")
    return ada


def test_a_cut_wire_holds_up_nothing_but_the_sync(service: S3Service, wire: Door, tmp_path: Path) -> None:
    """Cut twice, once with a kill -9 besides: imports go on, the sync comes back by itself, and the team has each turn once."""
    ada = _founding(tmp_path, service.make_bucket(), wire)
    log = GrowingLog.of(ada)
    with watching(ada) as hers:
        log.grow(8)
        hers.until_rounds("sync", 1)
        wire.shut()
        log.grow(8)
        until(lambda: hers.service("sync")["failures"], what=f"a failed sync: {hers.said}")
        assert 5 == hers.service("sync")["last_error"]["exit_code"]
        until(lambda: ada.json("storage", "status")["pending_push"], what="the import, meanwhile")
        wire.open()
        until(lambda: not hers.service("sync")["failures"], what=f"the sync again: {hers.said}")
        wire.shut()
        log.grow()
        hers.kill()
    wire.open()
    with watching(ada) as again:
        again.until_rounds("sync", 1)
        assert 0 == again.end(), again.said
    assert 0 == ada.json("storage", "status")["pending_push"]
    bob = member(tmp_path, "bob")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    bob.ok("storage", "sync")
    theirs, ours = bob.json("sessions"), ada.json("sessions")
    assert [each["turns"] for each in ours["sessions"]] == [each["turns"] for each in theirs["sessions"]]
    assert sum(each["turns"] for each in theirs["sessions"]) > 10
    assert ada.json("verify")["ok"]


def test_uploads_that_break_off_leave_nothing_half(service: S3Service, wire: Door, tmp_path: Path) -> None:
    """Every connection is aborted in the middle of its upload: exit 5 and the queue stays; then it goes out, whole and once."""
    bucket = service.make_bucket()
    ada = _founding(tmp_path, bucket, wire)
    log = GrowingLog.of(ada)
    with watching(ada) as hers:
        hers.until_rounds("sync", 1)
        before = service.copy(bucket).keys()
        wire.choke(broken_off_bytes)
        log.grow()
        until(lambda: hers.service("sync")["failures"], what=f"a failed sync: {hers.said}")
        status = ada.json("storage", "status")
        failing = status["watch"]["services"]["sync"]
        assert (5, True) == (failing["last_error"]["exit_code"], status["pending_push"] > 0)
        assert failing["next_try_at"] is not None or failing["doing"] == "working"
        assert wire.dropped > 1
        assert before == service.copy(bucket).keys()  # S3 keeps no part of a body that did not come whole
        wire.choke(None)
        until(lambda: not hers.service("sync")["failures"], what=f"the sync again: {hers.said}")
        assert 0 == hers.end(), hers.said
    assert 0 == ada.json("storage", "status")["pending_push"]
    assert ada.json("verify")["ok"]
    assert 1 == sum(name.startswith("team/packs/") for name in service.copy(bucket))
