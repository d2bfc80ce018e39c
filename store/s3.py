"""S3 as the bucket: the only file that speaks it. Every call is one attempt, and no botocore exception leaves.

Why one attempt: botocore would repeat a PUT whose reply was lost, and then report 412 against its own success (sync.md §2.3).
Why an explicit SHA-256 on each PUT: it makes the store check the upload, keeps the body under the signature, and avoids the
`aws-chunked` trailer that many S3-likes refuse or even store inside the object. Ceph RGW 16 takes the header and does not check
it (measured), so a reader never relies on the store: names are digests, and commits are chained.
"""

import base64
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from crypto.errors import (
    BlobNotFound,
    KeyNeeded,
    StoreError,
    StoreRefused,
    StoreUnknown,
    TapesError,
    UsageError,
)
from store.blobs import BlobInfo, PutOutcome, check_name, check_put, check_range, is_name, object_bytes_max
from store.limits import MIB
from store.network import AS_IT_IS, Network, check_ca_bundle, no_proxy

connect_timeout_s: Final = 10
read_timeout_s: Final = 60  # between two bytes, not for a whole object
file_part_bytes: Final = 64 * MIB  # of a file that goes up in parts
file_parts_max: Final = 10_000  # S3's own limit
file_attempts_max: Final = 5
connections_max: Final = 32  # 16 racers of the probe, and room beside them
list_page_names: Final = 1000  # what S3 gives at most
error_code_chars_max: Final = 64

_NO_CREDENTIALS: Final = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    NoAuthTokenError,
    TokenRetrievalError,
    SSOError,
)
_NEVER_SENT: Final = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_THROTTLED: Final = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
}
_DAMAGED_ON_THE_WAY: Final = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}
_HINT_OF_CODE: Final = {
    "NoSuchBucket": "make the bucket first, or correct its name in the bucket URL",
    "AccessDenied": "these credentials may not do this here: ask whoever owns the bucket",
    "InvalidAccessKeyId": "the store does not know this access key: check AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "check the secret key (AWS_SECRET_ACCESS_KEY or the profile)",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "PermanentRedirect": "the bucket is in another region: pass --region",
    "AuthorizationHeaderMalformed": "the bucket is in another region: pass --region",
    "NotImplemented": "this store does not know conditional writes and cannot carry a team",
}


class S3Store:
    """A prefix of a bucket. Thread-safe; credentials come by the usual AWS chain (environment, profile, role)."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        network: Network = AS_IT_IS,
        read_timeout_s: float = read_timeout_s,
        list_page_names: int = list_page_names,
    ) -> None:
        """Make the client; nothing is sent yet. Raises UsageError for a bad endpoint, KeyNeeded for a missing profile."""
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._endpoint = _endpoint(endpoint_url)
        self._page_names = list_page_names
        self._client = _client(self._endpoint, region, network, read_timeout_s)

    def __repr__(self) -> str:
        return f"S3Store({self.describe()!r})"

    def describe(self) -> str:
        """The bucket URL, and the endpoint when it is not AWS."""
        return _place(self._bucket, self._prefix, self._endpoint)

    def close(self) -> None:
        """Close the connections; only for programs that outlive their store."""
        self._client.close()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """PUT with `If-None-Match: *`, the one conditional write that is used."""
        check_put(name, data)
        return self._put(name, data, IfNoneMatch="*")

    def put_projection(self, name: str, data: bytes) -> None:
        """PUT without a condition."""
        check_put(name, data)
        self._put(name, data)

    def get(self, name: str) -> bytes:
        """GET; the bytes received are counted against the length announced."""
        check_name(name)
        with _speaking(f"{name} in {self.describe()}"):
            reply = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            announced = _announced_bytes(name, reply)
            if announced > object_bytes_max:
                reply["Body"].close()
                raise StoreRefused(f"{name}: {announced} bytes; an object has at most {object_bytes_max}")
            return _bytes_of(reply)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """GET with a Range; a store that ignores the header or answers for other bytes is found out."""
        check_range(name, offset, length)
        last = offset + length - 1
        with _speaking(f"{name} in {self.describe()}"):
            reply = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + name, Range=f"bytes={offset}-{last}"
            )
            if _announced_bytes(name, reply) != length or not _says_range(reply, offset, last):
                reply["Body"].close()
                raise StoreRefused(f"{name}: the store did not give bytes {offset} to {last}")
            return _bytes_of(reply)

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """ListObjectsV2, page by page. KeyCount is not looked at: some S3-likes leave it out."""
        arguments = {"Prefix": self._prefix + prefix, "MaxKeys": self._page_names}
        if start_after:
            arguments["StartAfter"] = self._prefix + start_after
        previous = start_after
        while True:
            with _speaking(f"{prefix or '/'} in {self.describe()}"):
                page = self._client.list_objects_v2(Bucket=self._bucket, **arguments)
            for info in self._listed(page, prefix):
                # A list that runs backwards would make a reader miss names, or a hostile store hold it for ever.
                if info.name <= previous:
                    raise StoreRefused(
                        f"{prefix}: the store lists out of order", hint="use a general-purpose bucket"
                    )
                previous = info.name
                yield info
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = _next_token(prefix, page, arguments)

    def delete(self, name: str) -> None:
        """DELETE; S3 answers alike whether or not the object was there."""
        check_name(name)
        with _speaking(f"{name} in {self.describe()}"):
            try:
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)
            except ClientError as error:
                if _code(error) != "NoSuchKey":  # some S3-likes say 404 here
                    raise

    def _put(self, name: str, data: bytes, **condition: str) -> PutOutcome:
        arguments = {"Bucket": self._bucket, "Key": self._prefix + name, "Body": data, **condition}
        arguments["ChecksumSHA256"] = base64.b64encode(sha256(data).digest()).decode("ascii")
        with _speaking(f"{name} in {self.describe()}", writes=True):
            try:
                self._client.put_object(**arguments)
            except ClientError as error:
                if condition and _status(error) == 412:
                    return PutOutcome.EXISTS
                raise
        return PutOutcome.CREATED

    def _listed(self, page: dict[str, Any], prefix: str) -> Iterator[BlobInfo]:
        for entry in page.get("Contents") or ():
            key = entry["Key"]
            if not key.startswith(self._prefix + prefix):
                raise StoreRefused(f"{prefix}: the store lists other names than it was asked for")
            name = key[len(self._prefix) :]
            if is_name(name):
                yield BlobInfo(name, entry["Size"])


class S3Files:
    """A place for files that other programs read: exports. No log lies there, so names are free and writes overwrite.

    Writing the same bytes again is harmless here, so botocore may repeat what got lost.
    """

    def __init__(
        self, bucket: str, prefix: str, *, endpoint_url: str | None, region: str | None, network: Network
    ) -> None:
        """Make the client; errors as S3Store. `prefix` is empty or ends with a slash."""
        endpoint = _endpoint(endpoint_url)
        self._bucket, self._prefix = bucket, prefix
        self._where = _place(bucket, prefix, endpoint)
        self._client = _client(endpoint, region, network, read_timeout_s, file_attempts_max)

    def names(self, start: str, most: int) -> list[str]:
        """Up to `most` names that begin so."""
        with _speaking(f"{start} in {self._where}"):
            page = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=self._prefix + start, MaxKeys=most
            )
        return [entry["Key"][len(self._prefix) :] for entry in page.get("Contents") or ()]

    def upload(self, name: str, path: Path) -> None:
        """Put a file under a name; until the last byte is there, the name is as it was."""
        key = self._prefix + name
        with _speaking(f"{name} in {self._where}", writes=True), path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            part_bytes = max(file_part_bytes, -(-size_bytes // file_parts_max))
            if size_bytes <= part_bytes:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=file.read())
            else:
                self._upload_parts(key, file, part_bytes)

    def delete(self, name: str) -> None:
        """Remove a name."""
        with _speaking(f"{name} in {self._where}"):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def _upload_parts(self, key: str, file: BinaryIO, part_bytes: int) -> None:
        """A kill in here leaves parts that no list shows; the bucket's own rule for unfinished uploads clears them."""
        place = {"Bucket": self._bucket, "Key": key}
        place["UploadId"] = self._client.create_multipart_upload(**place)["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            while data := file.read(part_bytes):
                number = len(parts) + 1
                reply = self._client.upload_part(**place, PartNumber=number, Body=data)
                parts.append({"PartNumber": number, "ETag": reply["ETag"]})
            self._client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**place)
            raise


@contextmanager
def _speaking(what: str, *, writes: bool = False) -> Iterator[None]:
    """The one seam between botocore's exceptions and ours."""
    try:
        yield
    except ClientError as error:
        raise _error_of_reply(what, error, writes=writes) from error
    except (BotoCoreError, ResponseParserError, OSError) as error:
        raise _error_of_transport(what, error, writes=writes) from error


def _endpoint(named: str | None) -> str | None:
    return named or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _place(bucket: str, prefix: str, endpoint: str | None) -> str:
    """The bucket URL, and the endpoint when it is not AWS."""
    place = f"s3://{bucket}/{prefix}"
    return f"{place} at {endpoint}" if endpoint else place


def _client(
    endpoint: str | None, region: str | None, network: Network, read_timeout: float, attempts_max: int = 1
) -> Any:
    if network.ca_bundle is not None:
        check_ca_bundle(network.ca_bundle)
    config = Config(
        **_proxied(network),
        signature_version="s3v4",
        retries={"total_max_attempts": attempts_max, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout,
        max_pool_connections=connections_max,
        tcp_keepalive=True,
        # A bucket as a host name needs DNS and certificates that few sites give their own store.
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    try:
        session = boto3.session.Session()
        # AWS needs a true region; a store of one's own only needs both sides to sign the same word.
        named = region or session.region_name or ("us-east-1" if endpoint else None)
        client = session.client(
            "s3", endpoint_url=endpoint, region_name=named, config=config, verify=network.ca_bundle
        )
    except _NO_CREDENTIALS as error:
        raise _key_needed(error) from error
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            f"no S3 client for endpoint {endpoint!r}, region {region!r} ({type(error).__name__})",
            hint="an endpoint looks like https://minio.example:9000, a region like eu-central-1",
        ) from error
    if endpoint:
        client.meta.events.register("before-call.s3", _stay_here)
    return client


def _proxied(network: Network) -> dict[str, Any]:
    """Nothing set: botocore looks at HTTPS_PROXY and NO_PROXY itself, and an empty table keeps it from that."""
    if network.proxy is None:
        return {}
    if network.proxy == no_proxy:
        return {"proxies": {}}
    settings = {"proxy_ca_bundle": network.ca_bundle} if network.ca_bundle is not None else None
    return {"proxies": {"http": network.proxy, "https": network.proxy}, "proxies_config": settings}


def _stay_here(params: dict[str, Any], **_: Any) -> None:
    """Mark a request as redirected already, so that botocore does not look for the bucket's region.

    Outside AWS there is none, and a store that answers 301 to everything has it recurse until the stack is full (1.44.5).
    """
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _key_needed(error: Exception) -> KeyNeeded:
    return KeyNeeded(
        f"no usable credentials for the bucket ({type(error).__name__})",
        hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `aws sso login`",
    )


def _code(error: ClientError) -> str:
    """The store's error code, cut to plain letters: the text of a reply is not trusted with a terminal or a log."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return re.sub(r"[^A-Za-z0-9.]", "", code)[:error_code_chars_max]


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _error_of_reply(where: str, error: ClientError, *, writes: bool) -> TapesError:
    """What an error status means to the caller. A 404 is "absent" only with the code that says so about this key."""
    status = _status(error)
    code = _code(error)
    message = f"{where}: the store answered {status} {code}".rstrip()
    if status == 404 and code == "NoSuchKey" and not writes:
        return BlobNotFound(message)
    if code in ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"):
        return KeyNeeded(message, hint="the session's credentials have expired: sign in again")
    if status == 429 or code in _THROTTLED or code in _DAMAGED_ON_THE_WAY:
        return StoreError(message, hint="try again in a while")  # refused before anything was written
    if status in (408, 409) or code == "RequestTimeout" or (status >= 500 and status != 501):
        return _maybe_written(message, writes=writes)
    if status == 407:
        return StoreRefused(message, hint="the proxy wants a user and a password: check storage.proxy")
    return StoreRefused(message, hint=_HINT_OF_CODE.get(code, "repeating the same request will not help"))


def _error_of_transport(where: str, error: Exception, *, writes: bool) -> TapesError:
    """What a broken conversation means. Messages carry the kind of failure, not its text: that may quote a request."""
    message = f"{where}: {type(error).__name__}"
    if isinstance(error, _NO_CREDENTIALS):
        return _key_needed(error)
    if isinstance(error, ProxyConnectionError):
        return StoreError(
            message, hint="the proxy does not answer, or refuses: check storage.proxy (or HTTPS_PROXY)"
        )
    if isinstance(error, _NEVER_SENT):
        return StoreError(message, hint="nothing answers there: check the endpoint and the network")
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return StoreRefused(
            message,
            hint="the certificate is not trusted: set storage.ca_bundle (or AWS_CA_BUNDLE) to your authority's file",
        )
    if isinstance(error, HTTPClientError | IncompleteReadError | ResponseParserError | OSError):
        return _maybe_written(message, writes=writes)
    return StoreRefused(message, hint="check the bucket's name and the AWS configuration")


def _maybe_written(message: str, *, writes: bool) -> StoreError:
    if writes:
        return StoreUnknown(message, hint="the write may have happened: read it back")
    return StoreError(message, hint="try again in a while")


def _announced_bytes(name: str, reply: dict[str, Any]) -> int:
    length = reply.get("ContentLength")
    if not isinstance(length, int):
        reply["Body"].close()
        raise StoreError(f"{name}: the store did not say how long its answer is")
    return length


def _says_range(reply: dict[str, Any], first: int, last: int) -> bool:
    said = re.match(r"bytes (\d+)-(\d+)/", str(reply.get("ContentRange", "")))
    return said is not None and (int(said[1]), int(said[2])) == (first, last)


def _bytes_of(reply: dict[str, Any]) -> bytes:
    """The body; botocore counts it against Content-Length and raises IncompleteReadError when it is cut."""
    data: bytes = reply["Body"].read()
    return data


def _next_token(prefix: str, page: dict[str, Any], arguments: dict[str, Any]) -> str:
    token = page.get("NextContinuationToken")
    if not isinstance(token, str) or token == arguments.get("ContinuationToken"):
        raise StoreRefused(f"{prefix}: the store's list has a next page but no way to it")
    return token
