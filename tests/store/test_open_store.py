"""Bucket URLs: what opens which store, and what is refused with an example of a right one."""

from pathlib import Path

import pytest

from crypto.errors import UsageError
from store.directory import DirectoryStore
from store.open_store import open_store


def test_file_url_opens_a_folder(tmp_path: Path) -> None:
    """A file URL, percent signs decoded, is a folder as bucket, made if it may be new; it describes itself by the same URL."""
    url = (tmp_path / "my bücket").as_uri()

    used = open_store(url)
    assert not (tmp_path / "my bücket").exists()
    new = open_store(url, may_be_new=True)

    assert isinstance(new, DirectoryStore)
    assert [url, url] == [used.describe(), new.describe()]
    assert (tmp_path / "my bücket").is_dir()


@pytest.mark.parametrize(
    ("url", "described"),
    [
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/", "s3://bucket/"),
        ("s3://bucket/team", "s3://bucket/team/"),
        ("s3://my.bucket-1/Teams/a_b/", "s3://my.bucket-1/Teams/a_b/"),
    ],
)
def test_s3_url_opens_s3(url: str, described: str, aws_environment: pytest.MonkeyPatch) -> None:
    """An S3 URL gives bucket and prefix, with or without a slash at the end; the endpoint is part of the place."""
    place = open_store(url, endpoint_url="http://127.0.0.1:9", region="eu-central-1").describe()

    assert place == f"{described} at http://127.0.0.1:9"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "/home/me/bucket",
        "s3:/bucket",
        "s3://",
        "s3:///prefix",
        "s3://-b/x",
        "s3://Bucket/x",
        "s3://user:pw@bucket/x",
        "s3://bucket/../x",
        "s3://bucket/a//b",
        "s3://bucket/a?b=c",
        "s3://bucket/a#b",
        "s3://bucket/" + "a" * 600,
        "file://relative/path",
        "file:relative",
        "file://",
        "file:///",
        "file:///a%00b",
        "http://bucket",
        "s3://[::1",
    ],
)
def test_bad_urls_are_usage_errors_with_examples(url: str) -> None:
    """Whatever is no bucket URL is the caller's mistake, answered with examples and without its password."""
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert "s3://bucket/prefix" in caught.value.hint
    assert "file:///" in caught.value.hint
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["minio:9000", "ftp://x", "http://", "http://me:pw@minio:9000", "http://x/path", "http://x?y"]
)
def test_bad_endpoints_are_usage_errors(endpoint: str) -> None:
    """An endpoint is a plain http or https URL; credentials in it would end up in messages."""
    with pytest.raises(UsageError) as caught:
        open_store("s3://bucket/x", endpoint_url=endpoint)
    assert "https://minio.example:9000" in caught.value.hint
    assert "pw" not in str(caught.value)


def test_an_endpoint_for_a_folder_is_a_usage_error(tmp_path: Path) -> None:
    """S3 options beside a file URL are a mix-up, not something to ignore."""
    with pytest.raises(UsageError):
        open_store(tmp_path.as_uri(), region="eu-central-1")
