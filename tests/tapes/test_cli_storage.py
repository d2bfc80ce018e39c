"""`tapes storage`: what cannot carry a team is refused, what stays behind is named."""

from pathlib import Path

import pytest

from crypto.errors import PartialFailure, VerificationFailed
from store.blobs import PutOutcome
from store.directory import DirectoryStore
from sync.providers import SyncReport
from tapes.commands import storage_sync
from tapes.commands.context import begin, no_flags
from tests.command_line import SAMPLE, Person


class _Careless(DirectoryStore):
    """A store that answers 200 and ignores the precondition, as `rclone serve s3` does."""

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """Always "created"."""
        self.put_projection(name, data)
        return PutOutcome.CREATED


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody with an identity."""
    return Person(tmp_path / "ada").init("Ada")


def test_a_store_that_ignores_preconditions_is_refused_and_not_saved(
    ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 5 with the reason; the settings and the bucket stay as they were."""
    monkeypatch.setattr(
        "tapes.commands.storage_configure.open_bucket", lambda *_, **__: _Careless(tmp_path / "b")
    )
    before = ada.json("config", "list")["settings"]
    done = ada.tapes("storage", "configure", "--bucket", (tmp_path / "b").as_uri())

    assert (5, True) == (done.code, "If-None-Match" in done.err)
    assert before == ada.json("config", "list")["settings"]
    assert [] == list((tmp_path / "b").rglob("log/*"))


def test_a_bucket_that_goes_careless_later_is_refused_before_the_first_commit(
    ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings written by hand do not go around the probe: the first sync runs it."""
    ada.ok("config", "set", "storage.bucket", (tmp_path / "b").as_uri())
    ada.ok("config", "set", "storage.provider", "hybrid")
    monkeypatch.setattr("store.open_store.open_store", lambda *_, **__: _Careless(tmp_path / "b"))

    assert 5 == ada.tapes("storage", "sync").code
    assert [] == list((tmp_path / "b").rglob("log/*"))


def test_flag_and_environment_choose_the_bucket(ada: Person, tmp_path: Path) -> None:
    """--bucket wins over TAPES_STORAGE_BUCKET; without the flag the variable is what is probed and saved."""
    by_env = Person(ada.home, {"TAPES_STORAGE_BUCKET": (tmp_path / "env").as_uri()})

    assert (tmp_path / "flag").as_uri() == by_env.json(
        "storage", "configure", "--bucket", (tmp_path / "flag").as_uri()
    )["bucket"]
    assert (tmp_path / "env").as_uri() == by_env.json("storage", "configure")["bucket"]
    assert (tmp_path / "env").as_uri() == ada.json("config", "get", "storage.bucket")["value"]


def test_another_buckets_endpoint_is_not_taken_over(ada: Person, tmp_path: Path) -> None:
    """Moving from a MinIO to a folder forgets the endpoint, which would make the folder's URL an error."""
    ada.ok("config", "set", "storage.endpoint_url", "https://minio.example:9000")
    ada.ok("storage", "configure", "--bucket", (tmp_path / "b").as_uri())

    assert None is ada.json("config", "get", "storage.endpoint_url")["value"]


def test_turns_that_stay_behind_end_with_3_and_are_named(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node over the limit does not stop the others; its id is in the failure."""
    monkeypatch.setenv("TAPES_HOME", str(ada.home))
    report = SyncReport(skipped=[("ab" * 32, "too large")])

    with pytest.raises(PartialFailure) as failure:
        storage_sync._judge(begin(no_flags), report)
    assert (3, ["ab" * 32 + "  too large"]) == (failure.value.exit_code, failure.value.failed)


def test_a_broken_bucket_wins_over_turns_that_stay_behind(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6 says more than 3: the bucket is not to be trusted."""
    monkeypatch.setenv("TAPES_HOME", str(ada.home))
    broken = VerificationFailed("packs/x", "altered")

    with pytest.raises(VerificationFailed):
        storage_sync._judge(begin(no_flags), SyncReport(skipped=[("ab", "x")], broken=[broken]))


def test_an_altered_object_ends_verify_with_6_and_is_named(ada: Person, tmp_path: Path) -> None:
    """One flipped byte of one pack: the finding names it, in the table and in the JSON."""
    ada.ok("import", "claude", SAMPLE)
    ada.ok("storage", "configure", "--bucket", (tmp_path / "b").as_uri())
    ada.ok("storage", "sync")
    [pack] = (path for path in (tmp_path / "b" / "packs").rglob("*") if path.is_file())
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(bytes(data))
    done, told = ada.tapes("verify", "--json"), ada.tapes("verify")

    assert (6, 6, False) == (done.code, told.code, done.json["ok"])
    name = str(pack.relative_to(tmp_path / "b"))
    assert name in {finding["object"] for finding in done.json["findings"]}
    assert name in told.out


def test_before_an_identity_the_next_step_is_said_and_what_waits_is_counted(tmp_path: Path) -> None:
    """Without a bucket `sync` names the command that works; with one, turns that no identity can push yet do wait."""
    new = Person(tmp_path / "new")
    new.ok("import", "claude", SAMPLE)

    refused = new.tapes("storage", "sync")
    assert refused.code == 2
    assert "tapes storage configure" in refused.err
    assert new.json("storage", "status")["pending_push"] == 0
    new.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    standing = new.json("storage", "status")
    assert standing["pending_push"] == standing["local"]["nodes"] > 0


@pytest.mark.parametrize("words", [("storage", "sync"), ("storage", "status")])
def test_a_sync_with_nothing_new_loads_no_tables(ada: Person, tmp_path: Path, words: tuple[str, ...]) -> None:
    """What runs by the minute starts without Arrow and DuckDB, which take longer to load than all that it does."""
    ada.ok("import", "claude", SAMPLE)
    ada.ok("storage", "configure", "--bucket", (tmp_path / "b").as_uri())
    ada.ok("storage", "sync")

    assert not ada.loaded(*words) & {"pyarrow", "duckdb", "numpy"}
