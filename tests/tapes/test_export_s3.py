"""Exports into somebody's bucket, on real S3."""

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest

import store.s3
from crypto.errors import StoreError
from store.network import AS_IT_IS
from store.s3 import S3Files
from tests.command_line import SAMPLE, Person
from tests.services.shared import S3_KINDS_SLOW, S3Service


class Place:
    """A bucket, and somebody who exports into it."""

    def __init__(self, service: S3Service, person: Person) -> None:
        self.bucket = service.make_bucket()
        self.person = Person(person.home, service.environment)
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=service.endpoint_url,
            region_name=service.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=service.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=service.environment["AWS_SECRET_ACCESS_KEY"],
        )

    def names(self) -> list[str]:
        """What lies there."""
        return [entry["Key"] for entry in self._s3.list_objects_v2(Bucket=self.bucket).get("Contents", ())]

    def get(self, name: str) -> bytes:
        """One object."""
        data: bytes = self._s3.get_object(Bucket=self.bucket, Key=name)["Body"].read()
        return data

    def unfinished(self) -> list[Any]:
        """Uploads in parts that were begun and not ended."""
        return list(self._s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))

    def close(self) -> None:
        """Close the connections."""
        self._s3.close()


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with the sample's sessions."""
    person = Person(tmp_path_factory.mktemp("ada") / "home")
    person.ok("import", "claude", SAMPLE)
    return person


@pytest.fixture(params=S3_KINDS_SLOW)
def place(request: pytest.FixtureRequest, ada: Person) -> Iterator[Place]:
    """A new bucket on each service."""
    made = Place(request.getfixturevalue(request.param), ada)
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_dataset_and_a_file_arrive_whole(place: Place, tmp_path: Path) -> None:
    """The same files as in a folder, under hive's names; a bundle byte for byte but for when it was written; never twice."""
    url = f"s3://{place.bucket}/a/set"
    place.person.ok("export", "--all", "--format", "parquet", "--content", "full", "-o", url)
    place.person.ok("export", "--all", "--format", "parquet", "--content", "full", "-o", tmp_path / "set")
    here = sorted(
        f"a/set/{path.relative_to(tmp_path / 'set').as_posix()}" for path in (tmp_path / "set").rglob("*.*")
    )
    rows = sum(
        pq.ParquetFile(io.BytesIO(place.get(name))).metadata.num_rows
        for name in place.names()
        if "/nodes/" in name
    )
    again = place.person.tapes("export", "--all", "--format", "parquet", "-o", url)
    place.person.ok("export", "--all", "-o", f"s3://{place.bucket}/x.tape")
    place.person.ok("export", "--all", "-o", tmp_path / "x.tape")
    bodies = [
        gzip.decompress(data).splitlines()[1:]
        for data in (place.get("x.tape"), (tmp_path / "x.tape").read_bytes())
    ]

    assert [name for name in place.names() if name != "x.tape"] == here
    assert any("date=2026-" in name for name in here)
    assert rows == place.person.json("sessions")["totals"]["nodes"]
    assert (again.code, "folder with something in it" in again.err) == (2, True)
    assert bodies[0] == bodies[1]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_broken_upload_leaves_nothing_or_no_marker(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker goes up last; an upload that fails takes away what it had brought, and the exit code says the network did it."""
    plain, order = S3Files.upload, list[str]()

    def upload(self: S3Files, name: str, path: Path) -> None:
        order.append(name)
        if name.endswith("_export.json") and "broken" in name:
            raise StoreError("gone")
        plain(self, name, path)

    monkeypatch.setattr(S3Files, "upload", upload)
    done = place.person.tapes("export", "--all", "--format", "parquet", "-o", f"s3://{place.bucket}/broken")
    left = place.names()
    place.person.ok("export", "--all", "--format", "parquet", "-o", f"s3://{place.bucket}/good")

    assert (done.code, left) == (5, [])
    assert order[-1] == "good/_export.json"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_large_file_goes_in_parts(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the size of a part it is put together by the store; one that breaks off leaves the name and no unfinished upload."""
    monkeypatch.setattr(store.s3, "file_part_bytes", 5 * 1024 * 1024)
    for name, value in place.person.environment.items() if place.person.environment else ():
        monkeypatch.setenv(name, value)
    (tmp_path / "large").write_bytes(bytes(range(256)) * 50_000)
    files = S3Files(place.bucket, "p/", endpoint_url=None, region=None, network=AS_IT_IS)
    files.upload("large", tmp_path / "large")
    arrived = place.get("p/large")
    upload_part, parts = files._client.upload_part, list[int]()

    def breaking(**arguments: Any) -> Any:
        parts.append(arguments["PartNumber"])
        if len(parts) == 2:
            raise OSError("cut")
        return upload_part(**arguments)

    monkeypatch.setattr(files._client, "upload_part", breaking)
    with pytest.raises(StoreError):
        files.upload("other", tmp_path / "large")

    assert arrived == (tmp_path / "large").read_bytes()
    assert place.names() == ["p/large"]
    assert place.unfinished() == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://ours/tapes/x.tape", "inside the team's bucket"),
        ("s3:///x.tape", "not a place"),
        ("s3://b/", "no format"),
        ("s3://b/../x.tape", "not a place"),
        ("s3://b/a?y/x.tape", "not a place"),
    ],
)
def test_what_is_no_place_is_a_usage_error(url: str, said: str, tmp_path: Path) -> None:
    """Bad URLs, and the team's own bucket: exit 2, before a single request."""
    person = Person(tmp_path / "home")
    person.ok("config", "set", "storage.bucket", "s3://ours/tapes")
    done = person.tapes("export", "--all", "-o", url)

    assert (done.code, said in done.err) == (2, True), done.err
    assert json.dumps(done.out) == '""'
