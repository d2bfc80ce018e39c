"""The way to the bucket: bandwidth limits, proxies, a site's own authority, against real servers on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import StoreError, StoreRefused, TapesError, UsageError
from store.blobs import BlobStore
from store.directory import DirectoryStore
from store.limiting import Bucket, LimitedStore, burst_seconds
from store.network import Network, check_ca_bundle, check_ca_path, check_proxy, rate_of, shown_proxy
from store.open_store import open_store
from tests.services.proxies import door, own_authority, proxy
from tests.services.scripted_http import Answer, Script, scripted
from tests.services.shared import S3Service, free_port

SLOT = "log/000000000000"
PASSWORD = "ada:hunter2"
_ODD = "ab:@/%?#\\\n\x1b ü重"


@pytest.fixture(autouse=True)
def credentials(aws_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An identity, and no proxy or authority of this machine's."""
    aws_environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    aws_environment.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        aws_environment.delenv(name, raising=False)
        aws_environment.delenv(name.lower(), raising=False)
    return aws_environment


@pytest.fixture
def server() -> Iterator[Script]:
    """An S3 that has one object."""
    with scripted(Answer(200, b"bytes", {"ETag": '"x"'})) as script:
        yield script


def _store(endpoint: str, network: Network) -> BlobStore:
    return open_store("s3://bucket/team", endpoint_url=endpoint, network=network)


def test_requests_go_through_the_configured_proxy(server: Script) -> None:
    """With a user and a password, which the proxy asks for; plain HTTP is forwarded."""
    with proxy(PASSWORD) as between:
        store = _store(server.url, Network(proxy=f"http://{PASSWORD}@{between.address}"))
        assert b"bytes" == store.get(SLOT)
        assert ["GET"] == between.seen


def test_a_proxy_that_wants_a_password_is_told_and_none_is_repeated(server: Script, tmp_path: Path) -> None:
    """407 plain or in a tunnel: the hint names the setting, and no message holds what was tried."""
    bundle, tls = own_authority(tmp_path)
    with proxy(PASSWORD) as between, door(server.url, tls) as front:
        wrong = Network(proxy=f"http://ada:wrong-one@{between.address}", ca_bundle=str(bundle))
        for endpoint in (server.url, front.url):
            with pytest.raises(StoreError) as caught:
                _store(endpoint, wrong).get(SLOT)
            assert "storage.proxy" in caught.value.hint
            assert "wrong-one" not in str(caught.value) + caught.value.hint + repr(wrong)
    assert [] == server.seen


def test_a_proxy_that_is_away_is_named_as_the_reason(server: Script) -> None:
    """Connection refused there: exit 5, the hint looks at the proxy and not at the bucket."""
    with pytest.raises(StoreError) as caught:
        _store(server.url, Network(proxy=f"http://127.0.0.1:{free_port()}")).get(SLOT)

    assert (5, True) == (caught.value.exit_code, "proxy" in caught.value.hint)


def test_the_environment_is_honoured_and_off_overrules_it(
    server: Script, credentials: pytest.MonkeyPatch
) -> None:
    """HTTP(S)_PROXY holds when nothing is set; a set proxy wins over it; off goes straight."""
    with proxy() as theirs, proxy() as ours:
        credentials.setenv("http_proxy", f"http://{theirs.address}")
        _store(server.url, Network()).get(SLOT)
        assert (1, 0) == (len(theirs.seen), len(ours.seen))
        _store(server.url, Network(proxy=f"http://{ours.address}")).get(SLOT)
        assert (1, 1) == (len(theirs.seen), len(ours.seen))
        _store(server.url, Network(proxy="off")).get(SLOT)
        assert (1, 1, 3) == (len(theirs.seen), len(ours.seen), len(server.seen))


def test_a_sites_own_authority(server: Script, tmp_path: Path, credentials: pytest.MonkeyPatch) -> None:
    """Not trusted without the setting, and the hint says which; trusted with it, with AWS_CA_BUNDLE, and through a tunnel."""
    bundle, tls = own_authority(tmp_path)
    with door(server.url, tls) as front, proxy() as between:
        with pytest.raises(StoreRefused) as caught:
            _store(front.url, Network()).get(SLOT)
        assert "storage.ca_bundle" in caught.value.hint
        assert b"bytes" == _store(front.url, Network(ca_bundle=str(bundle))).get(SLOT)
        tunnel = Network(f"http://{between.address}", str(bundle))
        assert (b"bytes", ["CONNECT"]) == (_store(front.url, tunnel).get(SLOT), between.seen)
        credentials.setenv("AWS_CA_BUNDLE", str(bundle))
        assert b"bytes" == _store(front.url, Network()).get(SLOT)


@pytest.mark.localstack
def test_proxy_and_authority_before_a_real_s3(localstack: S3Service, tmp_path: Path) -> None:
    """A whole object goes up and comes down through a proxy's tunnel to a TLS door before LocalStack."""
    bucket, (bundle, tls) = localstack.make_bucket(), own_authority(tmp_path)
    with door(localstack.endpoint_url, tls) as front, proxy(PASSWORD) as between:
        network = Network(f"http://{PASSWORD}@{between.address}", str(bundle))
        store = open_store(f"s3://{bucket}/team", endpoint_url=front.url, region="us-east-1", network=network)
        data = bytes(range(256)) * 4096
        store.put_if_absent(SLOT, data)
        assert (data, data[5:9]) == (store.get(SLOT), store.get_range(SLOT, 5, 4))
        assert {"CONNECT"} == set(between.seen)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("2MB/s", 2_000_000), ("500kB/s", 500_000), ("1.5 MiB/s", 1_572_864), ("1GB/s", 10**9), ("off", None)],
)
def test_rates(text: str, rate: int | None) -> None:
    """Decimal and binary units; off is no limit."""
    assert rate == rate_of(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("2MB", "2MB/s?"),
        ("2M", "2MB/s?"),
        ("16Mbit/s", "2MB/s"),
        ("16mbps", "2MB/s"),
        ("2Mb/s", "0.25MB/s"),
        ("1kB/s", "8kB/s"),
        ("fast", "2MB/s"),
        ("-1MB/s", "2MB/s"),
    ],
)
def test_what_is_no_rate_is_told_with_what_was_meant(text: str, hint: str) -> None:
    """Bits and missing seconds are the usual slips: the hint does the sum."""
    with pytest.raises(UsageError) as caught:
        rate_of(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("proxy.example:3128", "did you mean http://proxy.example:3128?"),
        ("socks5://proxy:1080", "HTTP proxy"),
        ("http://", "as http://"),
        ("http://proxy:99999", "as http://"),
        ("http://ada:hunter2@proxy/path", "as http://"),
        ("ftp://ada:hunter2@proxy", "as http://"),
    ],
)
def test_what_is_no_proxy_is_told_without_its_password(text: str, hint: str) -> None:
    """The nearest thing that would work is named; a password in the text is not repeated."""
    with pytest.raises(UsageError) as caught:
        check_proxy(text)
    assert hint in caught.value.hint
    assert "hunter2" not in caught.value.message + caught.value.hint


@given(
    user=st.text(_ODD),
    password=st.text(_ODD, min_size=4),
    scheme=st.sampled_from(["http://", "https://", "HTTP://", ""]),
)
def test_no_spelling_shows_a_password(user: str, password: str, scheme: str) -> None:
    """Whatever stands before the last @, odd characters included, is left out of what is shown."""
    assert f"{scheme}…@proxy:3128" == shown_proxy(f"{scheme}{user}:{password}@proxy:3128")


def test_an_authority_file_is_looked_at_when_it_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or no PEM: told with the path; a relative path is answered with the whole one."""
    (tmp_path / "junk").write_text("no certificate")
    for path in (tmp_path / "none", tmp_path, tmp_path / "junk"):
        with pytest.raises(UsageError, match="CA bundle"):
            check_ca_bundle(str(path))
    with pytest.raises(UsageError) as caught:
        check_ca_path("certs/ca.pem")
    assert f"{Path.cwd()}/certs/ca.pem" in caught.value.hint


@given(
    rate=st.integers(8_000, 10**8),
    sizes=st.lists(st.tuples(st.integers(0, 2**26), st.floats(0, 10)), min_size=1, max_size=50),
)
def test_a_bucket_keeps_to_its_rate(rate: int, sizes: list[tuple[int, float]]) -> None:
    """Whatever the sizes and pauses: when a take returns, no more went through than the rate allows, and one second's burst."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    bucket, total = Bucket(rate, lambda: now[0], sleep), 0
    for size, pause in sizes:
        now[0] += pause
        before = now[0]
        bucket.take(size)
        total += size
        assert total <= rate * (now[0] + burst_seconds) * 1.000_001 + 1
        assert now[0] - before <= total / rate + 0.001


def test_an_upload_waits_before_it_and_a_download_after_it(tmp_path: Path) -> None:
    """Each direction by its own limit, every byte counted once; lists and deletes are free."""
    waits: list[tuple[str, float]] = []
    up = Bucket(10_000, lambda: 0.0, lambda seconds: waits.append(("up", seconds)))
    down = Bucket(20_000, lambda: 0.0, lambda seconds: waits.append(("down", seconds)))
    store = LimitedStore(DirectoryStore(tmp_path / "b"), up, down)
    store.put_if_absent("a", bytes(30_000))
    store.put_projection("b", bytes(10_000))
    store.get("a")
    store.get_range("a", 0, 10_000)
    assert ["a", "b"] == [info.name for info in store.list("")]
    store.delete("b")

    assert [("up", 2.0), ("up", 3.0), ("down", 0.5), ("down", 1.0)] == waits


def test_limits_hold_for_any_store(tmp_path: Path) -> None:
    """A folder on a slow network share is limited as S3 is; without a limit nothing stands between."""
    url = (tmp_path / "b").as_uri()

    assert isinstance(open_store(url, network=Network(upload_bytes_per_second=8_000)), LimitedStore)
    assert isinstance(open_store(url), DirectoryStore)
    with pytest.raises(TapesError):
        _store("http://127.0.0.1:1", Network(ca_bundle=str(tmp_path / "gone.pem")))
