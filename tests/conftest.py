"""Real services for the tests that name them; each is left out, with the reason, where it is not installed."""

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.services.shared import HOUSE, S3Service, run_folder, running

# A test is never timed: a busy machine must not turn one red.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

_RGW_PROGRAMS = ("radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-mgr", "ceph-osd")


@pytest.fixture(scope="session")
def localstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """LocalStack's S3."""
    if not (HOUSE / ".localstack-venv" / ".installed").exists():
        pytest.skip("LocalStack is left out: run localstack/install.sh")
    with running(HOUSE / "localstack", run_folder(tmp_path_factory)) as service:
        yield service


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """Ceph's S3 gateway."""
    missing = [program for program in _RGW_PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(
            f"Ceph RGW is left out, no {', '.join(missing)}: run infra/rgw/install.sh as root on Debian"
        )
    with running(HOUSE / "infra" / "rgw", run_folder(tmp_path_factory)) as service:
        yield service


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """SeaweedFS."""
    if not (HOUSE / ".seaweedfs-venv" / ".installed").exists():
        pytest.skip("SeaweedFS is left out: run infra/seaweedfs/install.sh")
    with running(HOUSE / "infra" / "seaweedfs", run_folder(tmp_path_factory)) as service:
        yield service


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No AWS setting of this machine reaches the test, and nothing asks the cloud's metadata address."""
    for name in (
        "PROFILE",
        "DEFAULT_PROFILE",
        "SESSION_TOKEN",
        "ENDPOINT_URL",
        "ENDPOINT_URL_S3",
        "REGION",
        "DEFAULT_REGION",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    return monkeypatch
