"""From a bucket URL to a store: `file:///path` or `s3://bucket/prefix`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from crypto.errors import UsageError
from store.blobs import BlobStore
from store.directory import DirectoryStore
from store.limiting import Bucket, LimitedStore
from store.metering import MeteredStore
from store.network import AS_IT_IS, Network
from store.retrying import RetryingStore

if TYPE_CHECKING:  # the type only: boto3 is slow to import
    from store.s3 import S3Files

_EXAMPLES: Final = "give s3://bucket/prefix or file:///home/me/bucket (a full path, three slashes)"
_BUCKET: Final = re.compile(
    r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?\Z"
)  # S3 asks for three characters, other stores do not
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*\Z")
prefix_bytes_max: Final = 500  # with a name of store/blobs.py it stays under S3's 1024


def open_store(
    url: str,
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    network: Network = AS_IT_IS,
    may_be_new: bool = False,
) -> BlobStore:
    """The store behind `url`, within the network's limits; nothing is sent yet. A folder that `may_be_new` is made.

    Raises UsageError with examples for a URL that means nothing, StoreRefused for a folder that cannot be used.
    """
    parts = _parts(url, "a bucket URL", _EXAMPLES)
    if parts.scheme == "file":
        path = _folder_of(url, parts, endpoint_url or region)
        return _limited(DirectoryStore(path, may_be_new=may_be_new), network)
    if parts.scheme == "s3":
        return _limited(_open_s3(url, parts, endpoint_url, region, network), network)
    raise UsageError(f"not a bucket URL: {_shown(url)}", hint=_EXAMPLES)


def open_files(
    url: str, *, endpoint_url: str | None, region: str | None, network: Network
) -> "tuple[S3Files, str]":
    """A place in a bucket for files, and the last part of the URL's path; nothing is sent yet. UsageError as `open_store`."""
    hint = "give s3://bucket/folder or s3://bucket/folder/file.tape"
    parts = _parts(url, "a place in a bucket", hint)
    folder, _, last = parts.path.strip("/").rpartition("/")
    if (
        parts.scheme != "s3"
        or not last
        or not _BUCKET.match(parts.netloc)
        or not _PREFIX.match(f"{folder}/{last}/".lstrip("/"))
    ):
        raise UsageError(f"not a place in a bucket: {_shown(url)}", hint=hint)
    if endpoint_url is not None:
        _check_endpoint(endpoint_url)
    from store.s3 import S3Files  # noqa: PLC0415 - as below

    prefix = f"{folder}/" if folder else ""
    files = S3Files(parts.netloc, prefix, endpoint_url=endpoint_url, region=region, network=network)
    return files, last


def compose(store: BlobStore) -> tuple[RetryingStore, MeteredStore]:
    """The store to work with, and the meter inside it: retries are counted."""
    metered = MeteredStore(store)
    return RetryingStore(metered), metered


def _limited(store: BlobStore, network: Network) -> BlobStore:
    up, down = network.upload_bytes_per_second, network.download_bytes_per_second
    if up is None and down is None:
        return store
    return LimitedStore(store, Bucket(up) if up else None, Bucket(down) if down else None)


def _folder_of(url: str, parts: SplitResult, s3_option: str | None) -> Path:
    path = Path(unquote(parts.path))
    if (
        parts.netloc not in ("", "localhost")
        or not path.is_absolute()
        or "\0" in str(path)
        or path == Path("/")
    ):
        raise UsageError(f"not a folder's URL: {_shown(url)}", hint=_EXAMPLES)
    if s3_option:
        raise UsageError(
            "an endpoint or a region has no meaning for a folder", hint="leave it out, or give s3://…"
        )
    return path


def _open_s3(
    url: str, parts: SplitResult, endpoint_url: str | None, region: str | None, network: Network
) -> BlobStore:
    prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
    if not _BUCKET.match(parts.netloc) or not _PREFIX.match(prefix) or len(prefix) > prefix_bytes_max:
        raise UsageError(f"not a bucket and prefix: {_shown(url)}", hint=_EXAMPLES)
    if endpoint_url is not None:
        _check_endpoint(endpoint_url)
    from store.s3 import S3Store  # noqa: PLC0415 - boto3 takes 0.15 s to import, and a folder as bucket needs none of it

    return S3Store(parts.netloc, prefix, endpoint_url=endpoint_url, region=region, network=network)


def _check_endpoint(endpoint_url: str) -> None:
    hint = "give --endpoint-url as https://minio.example:9000"
    parts = _parts(endpoint_url, "an endpoint URL", hint)
    # Credentials in a URL end up in messages and config files; they belong in the AWS chain.
    plain = parts.path in ("", "/") and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise UsageError(f"not an endpoint URL: {_shown(endpoint_url)}", hint=hint)


def _parts(url: str, what: str, hint: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:  # an unclosed IPv6 bracket, for one
        raise UsageError(f"not {what}: {_shown(url)}", hint=hint) from error
    if parts.query or parts.fragment:
        raise UsageError(f"not {what}: {_shown(url)} has a ? or # part", hint=hint)
    return parts


def _shown(url: str) -> str:
    """The URL for a message, without what may be a password in front of an @ or in a query."""
    return repr(re.sub(r"//[^/]*@", "//…@", re.split(r"[?#]", url)[0])[:200])
