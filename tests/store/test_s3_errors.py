"""What S3, proxies and networks answer, and what a caller of `store/s3.py` is told: against a scripted server on loopback."""

import base64
import inspect
from collections.abc import Callable, Iterator
from hashlib import sha256

import botocore.exceptions
import pytest

from crypto.errors import (
    BlobNotFound,
    KeyNeeded,
    StoreError,
    StoreRefused,
    StoreUnknown,
    TapesError,
    UsageError,
)
from store.blobs import PutOutcome, object_bytes_max
from store.s3 import S3Store
from tests.services.scripted_http import Answer, Drop, Garbage, Hang, Script, Seen, Step, scripted, xml_error
from tests.services.shared import free_port

SECRET = "wJalrXUtnFEMI-this-must-not-show"
SLOT = "log/000000000000"
read_timeout_s = 0.3


@pytest.fixture(autouse=True)
def credentials(aws_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An identity that the scripted server does not check."""
    aws_environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    aws_environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return aws_environment


@pytest.fixture
def server() -> Iterator[Callable[..., tuple[S3Store, Script]]]:
    """A function from the server's steps to a store that talks to it."""
    open_now = []

    def start(*steps: Step) -> tuple[S3Store, Script]:
        context = scripted(*steps)
        script = context.__enter__()
        store = S3Store("bucket", "team", endpoint_url=script.url, read_timeout_s=read_timeout_s)
        open_now.append((context, store))
        return store, script

    yield start
    for context, store in open_now:
        store.close()
        context.__exit__(None, None, None)


Start = Callable[..., tuple[S3Store, Script]]
LOST = [Drop(), Garbage(), Hang(2), xml_error(500, "InternalError"), xml_error(503, "ServiceUnavailable")]
LOST_IDS = ["dropped", "garbage", "timeout", "500", "503"]


@pytest.mark.parametrize(
    "step", [*LOST, xml_error(409, "ConditionalRequestConflict")], ids=[*LOST_IDS, "409"]
)
def test_put_without_a_clear_reply_is_unknown_and_sent_once(server: Start, step: Step) -> None:
    """A PUT that may have happened is StoreUnknown after one request: a 412 is never against our own repetition."""
    store, script = server(step)

    with pytest.raises(StoreUnknown):
        store.put_if_absent(SLOT, b"data")
    assert len(script.seen) == 1


@pytest.mark.parametrize("step", LOST, ids=LOST_IDS)
def test_read_without_a_clear_reply_may_pass(server: Start, step: Step) -> None:
    """A read or a list that fails on the way is a plain StoreError, neither absent nor refused."""
    store, _ = server(step)

    for read in (lambda: store.get(SLOT), lambda: store.get_range(SLOT, 0, 1), lambda: list(store.list(""))):
        with pytest.raises(StoreError) as caught:
            read()
        assert type(caught.value) is StoreError


def test_412_is_exists(server: Start) -> None:
    """A failed precondition is an outcome, not an error."""
    store, _ = server(xml_error(412, "PreconditionFailed"))

    assert store.put_if_absent(SLOT, b"data") is PutOutcome.EXISTS


def test_412_without_a_condition_is_refused(server: Start) -> None:
    """A store that says 412 to a plain PUT has not stored the projection."""
    store, _ = server(xml_error(412, "PreconditionFailed"))

    with pytest.raises(StoreRefused):
        store.put_projection("checkpoint", b"data")


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (xml_error(404, "NoSuchKey"), BlobNotFound),
        (xml_error(404, "NoSuchBucket"), StoreRefused),
        (Answer(404, b"<html>nothing here</html>"), StoreRefused),
        (Answer(404), StoreRefused),
        (xml_error(403, "AccessDenied"), StoreRefused),
        (xml_error(403, "RequestTimeTooSkewed"), StoreRefused),
        (xml_error(400, "InvalidArgument"), StoreRefused),
        (xml_error(400, "ExpiredToken"), KeyNeeded),
        (xml_error(501, "NotImplemented"), StoreRefused),
        (xml_error(301, "PermanentRedirect"), StoreRefused),
        (xml_error(429, "TooManyRequests"), StoreError),
        (xml_error(503, "SlowDown"), StoreError),
        (xml_error(400, "BadDigest"), StoreError),
    ],
    ids=[
        *("no key", "no bucket", "a proxy's page", "bare 404", "denied", "clock", "argument", "expired"),
        *("conditions unknown", "region", "too many", "slow down", "bad digest"),
    ],
)
def test_error_replies_to_a_read(server: Start, step: Step, error: type[TapesError]) -> None:
    """Only 404 NoSuchKey is "absent"; a missing bucket, a proxy's page and a 403 are refusals; throttling may pass."""
    store, script = server(step)

    with pytest.raises(TapesError) as caught:
        store.get(SLOT)

    assert type(caught.value) is error
    assert len(script.seen) == 1


@pytest.mark.parametrize("code", ["SlowDown", "ThrottlingException"])
def test_throttled_put_was_not_written(server: Start, code: str) -> None:
    """Throttling is said before anything is stored: it may pass, and is not unknown."""
    store, _ = server(xml_error(503, code))

    with pytest.raises(StoreError) as caught:
        store.put_if_absent(SLOT, b"data")
    assert type(caught.value) is StoreError


def test_nothing_listens_is_not_unknown() -> None:
    """A connection that was refused carried no write: a StoreError whose hint names the endpoint."""
    store = S3Store("bucket", endpoint_url=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(StoreError) as caught:
        store.put_if_absent(SLOT, b"data")
    assert type(caught.value) is StoreError
    assert "endpoint" in caught.value.hint


@pytest.mark.parametrize("announced", [4, 400])
def test_short_body_is_an_error(server: Start, announced: int) -> None:
    """An answer that ends before its announced length is an error, never a short result."""
    store, _ = server(Answer(200, b"abc", announced=announced))

    with pytest.raises(StoreError) as caught:
        store.get(SLOT)
    assert type(caught.value) is StoreError


def test_answer_without_a_length_is_an_error(server: Start) -> None:
    """Without an announced length a cut answer could not be told from a whole one."""
    chunked = Answer(200, b"3\r\nabc\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    store, _ = server(chunked)

    with pytest.raises(StoreError):
        store.get(SLOT)


def test_oversized_answer_is_not_read(server: Start) -> None:
    """A hostile bucket cannot make a reader buffer more than an object may hold."""
    store, _ = server(Answer(200, b"x", announced=object_bytes_max + 1))

    with pytest.raises(StoreRefused):
        store.get(SLOT)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"all the bytes"),
        Answer(206, b"abc", {"Content-Range": "bytes 1-3/13"}),
        Answer(206, b"ab", {"Content-Range": "bytes 0-1/2"}),
        Answer(206, b"abc"),
    ],
    ids=["ignored", "shifted", "short", "unsaid"],
)
def test_wrong_range_answer_is_found_out(server: Start, answer: Answer) -> None:
    """A store that ignores the range, answers for other bytes or for fewer is refused."""
    store, _ = server(answer)

    with pytest.raises(StoreRefused):
        store.get_range(SLOT, 0, 3)


def test_what_a_put_sends(server: Start) -> None:
    """A PUT carries its precondition and the body's SHA-256, signed with the body, in one plain piece, path style."""
    store, script = server(Answer(200, b"", {"ETag": '"x"'}))

    assert store.put_if_absent(SLOT, b"data") is PutOutcome.CREATED

    seen: Seen = script.seen[0]
    digest = sha256(b"data").digest()
    assert seen.line == f"PUT /bucket/team/{SLOT} HTTP/1.1"
    assert seen.body == b"data"
    assert seen.headers["if-none-match"] == "*"
    assert seen.headers["x-amz-checksum-sha256"] == base64.b64encode(digest).decode()
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
    assert "if-none-match" in seen.headers["authorization"]
    assert "content-encoding" not in seen.headers
    assert "transfer-encoding" not in seen.headers


def _page(names: list[str], *, token: str = "") -> Answer:
    entries = "".join(f"<Contents><Key>team/{name}</Key><Size>1</Size></Contents>" for name in names)
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = "true" if token else "false"
    body = f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{entries}</ListBucketResult>"
    return Answer(200, body.encode(), {"Content-Type": "application/xml"})


def test_list_pages_without_key_count(server: Start) -> None:
    """Pages follow their tokens, an empty page in between included; KeyCount is not needed; strangers are left out."""
    pages = [_page(["log/1", "log/NOT ours", "log/2"], token="t1"), _page([], token="t2"), _page(["log/3"])]
    store, script = server(*pages)

    assert [info.name for info in store.list("log/")] == ["log/1", "log/2", "log/3"]
    assert "continuation-token=t2" in script.seen[2].line


@pytest.mark.parametrize(
    "pages",
    [
        [_page([], token="same")],
        [_page(["log/1"], token="a"), _page(["log/1"], token="b")],
        [_page(["log/2"], token="a"), _page(["log/1"], token="b")],
        [_page(["packs/1"])],
        [Answer(200, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")],
    ],
    ids=["token repeats", "name repeats", "out of order", "other prefix", "no token"],
)
def test_list_that_lies_is_refused(server: Start, pages: list[Answer]) -> None:
    """A list that loops, runs backwards, leaves its prefix or hides its next page ends in an error."""
    store, _ = server(*pages)

    with pytest.raises(StoreRefused):
        list(store.list("log/"))


def test_no_credentials_asks_for_them(server: Start, credentials: pytest.MonkeyPatch) -> None:
    """Without credentials nothing is sent, and the error says where they are looked for."""
    credentials.delenv("AWS_ACCESS_KEY_ID")
    credentials.delenv("AWS_SECRET_ACCESS_KEY")
    store, script = server(Answer())

    with pytest.raises(KeyNeeded) as caught:
        store.get(SLOT)
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert script.seen == []


def test_missing_profile_asks_for_it(credentials: pytest.MonkeyPatch) -> None:
    """A profile that does not exist is told when the store is opened."""
    credentials.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(KeyNeeded):
        S3Store("bucket", endpoint_url="http://127.0.0.1:1")


def test_bad_endpoint_is_a_usage_error() -> None:
    """An endpoint that is no URL is the caller's mistake, with an example of a right one."""
    with pytest.raises(UsageError) as caught:
        S3Store("bucket", endpoint_url="minio:9000")
    assert "https://" in caught.value.hint


def test_secrets_and_terminal_codes_stay_out_of_messages(server: Start) -> None:
    """Neither our secret nor a hostile store's escape codes reach a message."""
    store, _ = server(xml_error(403, f"Access&#10;Denied[31m{SECRET}" + "A" * 500, message=SECRET))

    with pytest.raises(StoreRefused) as caught:
        store.get(SLOT)
    assert "\n" not in str(caught.value)
    assert "[" not in str(caught.value)
    assert len(str(caught.value)) < 250
    assert SECRET not in repr(store) + store.describe()


def _all_botocore_errors() -> list[type[Exception]]:
    base: type[Exception] = botocore.exceptions.BotoCoreError
    return [
        each for _, each in inspect.getmembers(botocore.exceptions, inspect.isclass) if issubclass(each, base)
    ]


class _FailingClient:
    """Stands where botocore's client stands, and raises what it is told."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put_object(self, **_: object) -> None:
        raise self._error

    def get_object(self, **_: object) -> None:
        raise self._error


def _what_arrives(call: Callable[[], object]) -> type[Exception]:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever arrives is the answer
        return type(error)
    return StopIteration  # nothing arrived, and that is no TapesError either


def test_no_botocore_error_leaks() -> None:
    """Every exception class that botocore has, in this or a later version, arrives as one of ours."""
    store = S3Store("bucket", endpoint_url="http://127.0.0.1:1")
    leaks = []
    for kind in _all_botocore_errors():
        store._client = _FailingClient(kind.__new__(kind))
        arrived = {
            _what_arrives(lambda: store.get(SLOT)),
            _what_arrives(lambda: store.put_if_absent(SLOT, b"data")),
        }
        if not all(issubclass(each, TapesError) for each in arrived):
            leaks.append((kind, arrived))

    assert len(_all_botocore_errors()) > 50
    assert leaks == []
