"""One real service per test run: the first worker that needs it starts it, the last one that leaves stops it by process id."""

import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import boto3
import pytest

HOUSE = Path(__file__).parents[2]
start_seconds_max = 180
# Three S3 by three makers, for `parametrize`: each is the name of a fixture in conftest.py.
S3_KINDS = [
    pytest.param("localstack", marks=pytest.mark.localstack),
    pytest.param("rgw", marks=pytest.mark.rgw),
    pytest.param("seaweedfs", marks=pytest.mark.seaweedfs),
]
# For tests of many seconds each: the third in the long run only.
S3_KINDS_SLOW = [*S3_KINDS[:2], pytest.param("seaweedfs", marks=[pytest.mark.seaweedfs, pytest.mark.long])]


@dataclass(frozen=True)
class S3Service:
    """A running S3: `environment` holds what the AWS chain reads, the endpoint among it."""

    environment: dict[str, str]

    @property
    def endpoint_url(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    def make_bucket(self, name: str | None = None) -> str:
        """A new empty bucket, of this name or another; returns its name."""
        name = name or f"tapes-{token_hex(8)}"
        with closing(self.client()) as client:
            client.create_bucket(Bucket=name)
        return name

    def client(self) -> Any:
        """A bare client, for what a bucket's operator does behind everybody's back; close it."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def copy(self, bucket: str) -> dict[str, bytes]:
        """Everything in a bucket."""
        with closing(self.client()) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            names = [each["Key"] for page in pages for each in page.get("Contents", [])]
            return {name: client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}

    def restore(self, bucket: str, objects: dict[str, bytes]) -> None:
        """Put a copy back."""
        with closing(self.client()) as client:
            for name, data in objects.items():
                client.put_object(Bucket=bucket, Key=name, Body=data)


def start(scripts: Path, folder: Path, port: int) -> S3Service:
    """One service of one's own at a port; whoever starts it ends it by its stop.sh."""
    done = subprocess.run(
        [scripts / "start.sh", folder, str(port)],
        capture_output=True,
        text=True,
        timeout=start_seconds_max,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return S3Service(dict(line.split("=", 1) for line in done.stdout.splitlines()))


def stop(scripts: Path, folder: Path) -> None:
    """End it, by its process ids."""
    subprocess.run([scripts / "stop.sh", folder], check=True, timeout=start_seconds_max)


@contextmanager
def running(scripts: Path, run_folder: Path) -> Iterator[S3Service]:
    """The service that `scripts`/start.sh and stop.sh start and stop, shared by all workers that name the same folder."""
    folder = run_folder / f"service-{scripts.name}"
    folder.mkdir(exist_ok=True)
    service = _enter(scripts, folder)
    try:
        yield service
    finally:
        _leave(scripts, folder)


def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers of this run share, and no other run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@dataclass(frozen=True)
class _State:
    """What the workers tell each other through a file."""

    users: int
    folder: str
    environment: dict[str, str]


def _enter(scripts: Path, folder: Path) -> S3Service:
    with _locked(folder) as state_file:
        state = _read(state_file)
        if state is None or state.users == 0:
            state = _start(scripts, folder / token_hex(4))
        _write(state_file, replace(state, users=state.users + 1))
        return S3Service(state.environment)


def _leave(scripts: Path, folder: Path) -> None:
    with _locked(folder) as state_file:
        state = _read(state_file)
        assert state is not None, "nobody leaves who did not enter"
        _write(state_file, replace(state, users=state.users - 1))
        if state.users == 1:
            subprocess.run([scripts / "stop.sh", state.folder], check=True, timeout=start_seconds_max)


def _start(scripts: Path, folder: Path) -> _State:
    # A port that is free now may be taken a moment later: three tries, then the script's own words.
    for _ in range(3):
        done = subprocess.run(
            [scripts / "start.sh", folder, str(free_port())],
            capture_output=True,
            text=True,
            timeout=start_seconds_max,
            check=False,
        )
        if done.returncode == 0:
            return _State(0, str(folder), dict(line.split("=", 1) for line in done.stdout.splitlines()))
    pytest.fail(f"{scripts.name} is installed but did not start: {done.stderr}", pytrace=False)


def _read(state_file: Path) -> _State | None:
    return _State(**json.loads(state_file.read_text())) if state_file.exists() else None


def _write(state_file: Path, state: _State) -> None:
    state_file.write_text(json.dumps(asdict(state)))


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / "state.json"
