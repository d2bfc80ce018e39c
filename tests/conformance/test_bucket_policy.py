"""Bucket policies that we tell people to use: on a server that enforces them, and as documents that say what they should."""

import json
from pathlib import Path

import boto3
import pytest

from crypto.errors import StoreRefused
from store.blobs import PutOutcome
from store.names import slot_name
from store.probe import probe_put_if_absent
from store.s3 import S3Store
from tests.services.shared import HOUSE, S3Service

RGW_POLICY = HOUSE / "infra/rgw/bucket-policy.json"
POLICIES = sorted([RGW_POLICY, *(HOUSE / "infra/minio").glob("policy-*.json")])


@pytest.mark.rgw
def test_log_slots_cannot_be_deleted_and_all_else_works(
    rgw: S3Service, aws_environment: pytest.MonkeyPatch
) -> None:
    """Under the shipped policy a slot can be created and read but not deleted; the probe and other deletes still work."""
    for name, value in rgw.environment.items():
        aws_environment.setenv(name, value)
    bucket = rgw.make_bucket()
    policy = RGW_POLICY.read_text().replace("BUCKET", bucket).replace("PREFIX", "team")
    client = boto3.client("s3", endpoint_url=rgw.endpoint_url)
    client.put_bucket_policy(Bucket=bucket, Policy=policy)
    client.close()
    store = S3Store(bucket, "team", endpoint_url=rgw.endpoint_url)

    assert probe_put_if_absent(store, rounds=1).notes == ()
    assert store.put_if_absent(slot_name(0), b"genesis") is PutOutcome.CREATED
    with pytest.raises(StoreRefused):
        store.delete(slot_name(0))
    assert store.get(slot_name(0)) == b"genesis"
    store.close()


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_policy_allows_deleting_log_slots(path: Path) -> None:
    """Each shipped policy parses, stays below the team's prefix, and nowhere allows a delete that could reach `log/`."""
    statements = json.loads(path.read_text())["Statement"]

    for statement in statements:
        deletes = any("Delete" in action or "*" in action for action in statement["Action"])
        for resource in statement["Resource"]:
            assert resource.startswith("arn:aws:s3:::BUCKET")
            if statement["Effect"] == "Allow" and deletes:
                assert resource.startswith("arn:aws:s3:::BUCKET/PREFIX/")
                assert resource.removeprefix("arn:aws:s3:::BUCKET/PREFIX/").split("/")[0] not in (
                    "",
                    "*",
                    "log",
                )
