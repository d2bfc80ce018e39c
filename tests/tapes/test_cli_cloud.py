"""`tapes` under the provider cloud: everything works on the bucket alone, and nothing of a session stays on the device."""

from pathlib import Path
from typing import Any

import pytest

from tests.command_line import SAMPLE, Person
from tests.tapes.test_cli_json import _hold

KEPT = {"identity.json", "config.toml", "writing.lock", "team.db", "team.db-wal", "team.db-shm"}


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Somebody with a bucket, whose sessions are still on her device only."""
    made = Person(tmp_path / "ada").init("Ada")
    made.ok("import", "claude", SAMPLE)
    made.ok("storage", "configure", "--bucket", (tmp_path / "b").as_uri())
    return made


def cloudy(ada: Person) -> Person:
    """The same after the switch, with nothing left behind."""
    ada.ok("storage", "set-provider", "cloud", "--push", "--delete-local")
    return ada


def files(ada: Person) -> set[str]:
    """What lies in the home, but for keys and the bucket's manifests, sealed as they are there."""
    sealed = [
        path.read_bytes() for path in (ada.home.parent / "b" / "manifests").rglob("*") if path.is_file()
    ]
    return {
        path.relative_to(ada.home).as_posix()
        for path in ada.home.rglob("*")
        if path.is_file()
        and path.parent.name != "keys"
        and not (path.is_relative_to(ada.home / "cache") and path.read_bytes() in sealed)
    }


def ids(ada: Person) -> list[str]:
    """The sessions' ids."""
    return [session["id"] for session in ada.json("sessions")["sessions"]]


def test_every_command_works_on_the_bucket_alone(ada: Person, tmp_path: Path) -> None:
    """Lists, transcripts, search, totals, SQL, exports and imports answer as under hybrid; only keys, pins and log rest here."""
    ada.ok("storage", "sync")

    def answers() -> list[Any]:
        asked: list[list[str]] = [
            ["show", ids(ada)[0]],
            ["search", "test*"],
            ["stats", "--period", "400d"],
        ]
        return [
            ada.listed(),
            *(ada.json(*words) for words in asked),
            ada.ok("sql", "FROM nodes ORDER BY ALL"),
            ada.ok("search", "the").out,
        ]

    before = answers()
    cloudy(ada)

    assert before == answers()
    again = ada.json("import", "claude", SAMPLE)
    assert (0, True) == (again["nodes_new"], again["nodes_known"] > 0)
    ada.ok("export", "--all", "-o", tmp_path / "all.tape")
    assert 0 == ada.json("import", "bundle", tmp_path / "all.tape")["nodes_new"]
    assert ada.json("verify")["ok"]
    assert files(ada) <= KEPT


def test_what_is_imported_goes_straight_to_the_bucket(ada: Person) -> None:
    """A new agent's logs: counted as new once, read by a device that has only the bucket, nothing of them in any file here."""
    cloudy(ada)
    tried = ada.json("import", "codex", SAMPLE.parent / "codex", "--dry-run")
    done = ada.json("import", "codex", SAMPLE.parent / "codex")
    again = ada.json("import", "codex", SAMPLE.parent / "codex")

    assert tried["nodes_new"] == done["nodes_new"] > 0
    assert (0, done["nodes_new"] + done["nodes_known"]) == (again["nodes_new"], again["nodes_known"])
    status = ada.json("storage", "status")
    _hold("storage status", status)
    assert ("cloud", 0, None) == (status["provider"], status["pending_push"], status["local"]["path"])
    assert files(ada) <= KEPT
    texts = [turn for one in ids(ada) for turn in _texts(ada.json("show", one)) if len(turn) > 12]
    rest = b"".join(path.read_bytes() for path in ada.home.rglob("*") if path.is_file())
    assert texts
    assert not [text for text in texts if text.encode() in rest]
    assert not [one for one in ids(ada) if one.encode() in rest or bytes.fromhex(one) in rest]


def _texts(shown: Any) -> list[str]:
    if isinstance(shown, dict):
        return [text for value in shown.values() for text in _texts(value)] + (
            [shown["text"]] if isinstance(shown.get("text"), str) else []
        )
    return [text for each in shown for text in _texts(each)] if isinstance(shown, list) else []


def test_unpushed_turns_forbid_the_switch(ada: Person) -> None:
    """Exit 2 with the number and the way out; a dry run says the same and changes nothing; nothing is deleted."""
    refused = ada.tapes("storage", "set-provider", "cloud", "--delete-local")
    tried = ada.json("storage", "set-provider", "cloud", "--push", "--delete-local", "--dry-run")

    assert (2, "") == (refused.code, refused.out)
    assert "--push" in refused.err
    _hold("storage set-provider", tried)
    assert tried["pending_push"] == tried["local"]["nodes"] > 0
    assert (True, False) == (tried["dry_run"], tried["deleted"])
    assert "hybrid" == ada.json("storage", "status")["provider"]
    assert "tapes.db" in files(ada)


def test_a_switch_deletes_nothing_unasked(ada: Person) -> None:
    """The local store stays, is named, and is what `local` shows again after the way back."""
    before = ids(ada)
    done = ada.tapes("storage", "set-provider", "cloud", "--push")
    named = ada.tapes("storage", "status").out

    assert "stay on this device" in done.err
    assert str(ada.home / "tapes.db") in done.err
    assert str(ada.home / "tapes.db") in named
    assert before == ids(ada)
    ada.ok("storage", "set-provider", "local")
    assert before == ids(ada)


def test_what_the_bucket_lost_is_not_deleted_here(ada: Person, tmp_path: Path) -> None:
    """Exit 6 naming the object, with the local store, which may be the last copy, still in place."""
    ada.ok("storage", "sync")
    [pack] = (path for path in (tmp_path / "b" / "packs").rglob("*") if path.is_file())
    pack.unlink()
    done = ada.tapes("storage", "set-provider", "cloud", "--delete-local")

    assert 6 == done.code
    assert pack.name in done.err
    assert "tapes.db" in files(ada)
    assert "hybrid" == ada.json("storage", "status")["provider"]


def test_what_was_given_up_is_sent_again_before_it_is_deleted_here(ada: Person, tmp_path: Path) -> None:
    """An object given up forbids no switch; turns that were in it and are only here do, until they are in another one."""
    before = ids(ada)
    ada.ok("storage", "sync")
    [pack] = (path for path in (tmp_path / "b" / "packs").rglob("*") if path.is_file())
    pack.unlink()
    ada.ok("storage", "give-up", str(pack.relative_to(tmp_path / "b")))
    refused = ada.tapes("storage", "set-provider", "cloud", "--delete-local")

    assert (2, True) == (refused.code, "tapes.db" in files(ada))
    assert "--heal-log" in refused.err
    ada.ok("doctor", "--heal-log")
    ada.ok("storage", "set-provider", "cloud", "--push", "--delete-local")
    assert "tapes.db" not in files(ada)
    assert before == ids(ada)


def test_turns_imported_before_and_after_the_cloud_are_pushed_on_return(ada: Person) -> None:
    """Back at hybrid with a new local store: what is imported there is pushed, whatever was remembered of the deleted one."""
    cloudy(ada)
    ada.ok("storage", "set-provider", "hybrid")
    ada.ok("import", "codex", SAMPLE.parent / "codex")

    assert ada.json("storage", "sync")["pushed"]["nodes"] > 0


def test_after_the_way_back_everything_can_be_fetched_again(ada: Person) -> None:
    """`sync --full` brings the turns whose cache was deleted, so that they are read without the bucket."""
    before = ada.json("sessions")
    ada.ok("storage", "sync", "--full")
    cloudy(ada)
    ada.ok("storage", "set-provider", "hybrid")
    ada.ok("storage", "sync", "--full")
    ada.ok("config", "set", "storage.bucket", "file:///nowhere/to/be/found")

    shown = ada.json("show", before["sessions"][0]["id"])
    assert _texts(shown)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["reindex"], 2),
        (["storage", "sync", "--full"], 2),
        (["config", "set", "storage.provider", "cloud"], 2),
        (["storage", "set-provider", "local", "--push"], 2),
        (["storage", "sync"], 0),
        (["doctor"], 0),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else None,
)
def test_what_cannot_be_is_said(ada: Person, words: list[str], code: int) -> None:
    """What has no meaning without local data ends with 2 and a way out, and writes nothing on stdout."""
    cloudy(ada)
    done = ada.tapes(*words)

    assert code == done.code, done.err
    if code:
        assert done.out == ""
        assert "hint: " in done.err


def test_without_its_bucket_the_cloud_says_so(ada: Person, tmp_path: Path) -> None:
    """A bucket that is away is exit 5 for reading and for importing; nothing is kept for later in secret."""
    cloudy(ada)
    ada.ok("config", "set", "storage.bucket", (tmp_path / "unplugged" / "b").as_uri())

    assert 5 == ada.tapes("sessions").code
    assert 5 == ada.tapes("import", "codex", SAMPLE.parent / "codex").code
    assert files(ada) <= KEPT


def test_a_stateless_machine_needs_only_identity_and_settings(ada: Person, tmp_path: Path) -> None:
    """TAPES_STORAGE_PROVIDER=cloud in a home that joined but never synced reads the whole team."""
    ada.ok("config", "set", "default-visibility", "team")
    cloudy(ada)
    ben = Person(tmp_path / "ben", {"TAPES_STORAGE_PROVIDER": "cloud"}).init("Ben")
    ben.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])

    assert ids(ada) == ids(ben)
    assert files(ben) <= KEPT
