"""Proxy, authority and limits as settings: validated when they are set, shown without a password, used by every command."""

from pathlib import Path

import pytest

from store.limiting import Bucket
from tests.command_line import SAMPLE, Person

SECRET = "hunter2"
URL = f"http://ada:{SECRET}@proxy.example:3128"


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody with an identity; no proxy of this machine's."""
    none = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "http_proxy", "AWS_CA_BUNDLE"), "")
    return Person(tmp_path / "ada", none).init("Ada")


def test_a_proxys_password_is_read_from_stdin_and_shown_nowhere(ada: Person) -> None:
    """Set by stdin, it is in the file; set, get, list and doctor show the proxy without it."""
    told = ada.ok("config", "set", "storage.proxy", "-", stdin=URL + "\n")
    everything = [
        told,
        *(ada.tapes("config", *words) for words in (["get", "storage.proxy"], ["list"], ["list", "--json"])),
        ada.tapes("config", "get", "storage.proxy", "--json"),
        ada.tapes("doctor"),
    ]

    assert URL in ada.home.joinpath("config.toml").read_text()
    assert all(SECRET not in done.out + done.err for done in everything)
    assert all("http://…@proxy.example:3128" in done.out + done.err for done in everything[1:3])
    assert "proxy http://…@proxy.example:3128 (storage.proxy)" in everything[-1].out


def test_a_password_in_argv_is_refused(ada: Person) -> None:
    """Exit 2, nothing saved, and the way by stdin is named; from the environment it wins and is shown without it."""
    done = ada.tapes("config", "set", "storage.proxy", URL)
    assert (2, True, False) == (done.code, "storage.proxy -" in done.err, SECRET in done.err)
    assert None is ada.json("config", "get", "storage.proxy")["value"]

    by_env = Person(ada.home, {"TAPES_STORAGE_PROXY": URL})
    told = by_env.ok("config", "set", "storage.proxy", "http://other:1")
    assert SECRET not in told.err + told.out


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("storage.proxy", "proxy.example:3128", "did you mean http://proxy.example:3128?"),
        ("storage.upload_limit", "2MB", "did you mean 2MB/s?"),
        ("storage.download_limit", "16Mbit/s", "2MB/s"),
        ("storage.ca_bundle", "/nowhere/ca.pem", "PEM"),
        ("storage.sync_interval", "0s", "1s or more"),
        ("storage.sync_interval", "soon", "as 90m"),
        ("storage.upload-limit", "2MB/s", "did you mean storage.upload_limit?"),
    ],
)
def test_what_cannot_be_meant_is_not_saved(ada: Person, key: str, value: str, hint: str) -> None:
    """Exit 2 with what was probably meant, when it is set, not at the next sync."""
    before = ada.home.joinpath("config.toml").read_text()
    done = ada.tapes("config", "set", key, value)

    assert (2, True) == (done.code, hint in done.err), done.err
    assert before == ada.home.joinpath("config.toml").read_text()


def test_doctor_shows_the_way_to_the_bucket(ada: Person, tmp_path: Path) -> None:
    """Limits and where a proxy comes from; an authority file that vanished is a failed check that names it."""
    ada.ok("config", "set", "storage.upload_limit", "2MiB/s")
    by_env = Person(ada.home, {"HTTPS_PROXY": URL})
    checks = {check["name"]: check for check in by_env.json("doctor")["checks"]}
    assert "proxy http://…@proxy.example:3128 (HTTPS_PROXY)" in checks["network"]["detail"]
    assert "up 2.0 MiB/s, down unlimited" in checks["network"]["detail"]
    gone = Person(ada.home, {"TAPES_STORAGE_CA_BUNDLE": str(tmp_path / "gone.pem")}).tapes("doctor", "--json")

    assert (2, True) == (gone.code, "gone.pem" in gone.out)


def test_a_sync_keeps_to_the_limit(ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte that `storage sync` says it sent was taken from the upload's bucket, and none without a limit."""
    taken: list[int] = []
    monkeypatch.setattr(Bucket, "take", lambda _, number_bytes: taken.append(number_bytes))
    ada.ok("storage", "configure", "--bucket", (tmp_path / "b").as_uri())
    ada.ok("storage", "sync")
    assert [] == taken
    ada.ok("config", "set", "storage.upload_limit", "100kB/s")
    ada.ok("import", "claude", SAMPLE)
    sent = ada.json("storage", "sync")["bytes"]["up"]

    assert sent == sum(taken) > 10_000
