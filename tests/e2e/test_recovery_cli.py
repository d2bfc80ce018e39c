"""Devices and recovery from the command line: link, lose, recover, rescue; and ending what others may do."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sync.linking import LinkCode, format_code
from tests.command_line import HOUSE, SAMPLE, Person
from tests.device_linking import link, offering


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """Where the team's bucket is."""
    return tmp_path / "bucket"


@pytest.fixture
def ada(tmp_path: Path, bucket: Path) -> Person:
    """An owner whose sessions, some for the team and some private, are in the bucket."""
    person = Person(tmp_path / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    project = next(s["project"] for s in person.json("sessions")["sessions"] if s["project"])
    person.ok("config", "set", f"default-visibility.{project}", "team")
    person.ok("storage", "configure", "--bucket", bucket.as_uri())
    person.ok("team", "create", "Engine")
    person.ok("storage", "sync")
    return person


def _joined(ada: Person, home: Path, name: str) -> Person:
    person = Person(home).init(name)
    person.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    return person


def _said(person: Person) -> list[dict[str, Any]]:
    """All sessions with all their turns, without what is about this home rather than about the sessions."""
    sessions = person.listed()["sessions"]
    shown = [person.json("show", session["id"]) for session in sessions]
    about = [{k: v for k, v in s.items() if k not in {"member", "space", "synced"}} for s in sessions]
    return [*about, *shown]


def _spaces(person: Person) -> set[str | None]:
    return {session["space"] for session in person.json("sessions")["sessions"]}


def test_a_linked_device_sees_all_the_member_sees(ada: Person, tmp_path: Path, bucket: Path) -> None:
    """Two processes and a code: afterwards the new home shows the same sessions, private ones too, as the same member."""
    new = Person(tmp_path / "new")
    joined, linked = link(ada, new)

    assert (0, 0) == (joined.code, linked.code), joined.err + linked.err
    shown = [line.split(": ")[-1] for line in (joined.err + linked.err).splitlines() if "fingerprint" in line]
    assert 2 == len(shown)
    assert shown[0] == shown[1]
    new.ok("storage", "sync")
    assert {"team", "private"} == _spaces(ada)
    assert ada.listed()["sessions"] == new.listed()["sessions"]
    assert _said(ada) == _said(new)
    assert 1 == len(new.json("team", "members")["members"])
    devices = new.json("device", "list")["devices"]
    assert [(None, False), ("laptop two", True)] == [(d["name"], d["is_this"]) for d in devices]
    assert [] == [path for path in bucket.rglob("links/*") if path.is_file()]


def test_a_code_links_one_device_once(ada: Person, tmp_path: Path) -> None:
    """Used again it is refused with 4, cut or changed with 2; in none of these cases does the home get an identity."""
    with offering(ada, "--yes") as (code, process):
        Person(tmp_path / "new").ok("device", "join", "-", "--vault", "file", stdin=code)
        process.communicate(timeout=60)
    late = Person(tmp_path / "late")

    again = late.tapes("device", "join", "-", "--vault", "file", stdin=code)
    assert (4, True) == (again.code, "tapes device link" in again.err)
    assert 2 == late.tapes("device", "join", "-", stdin=code[:-9]).code
    assert code.strip() not in again.err
    assert not (late.home / "identity.json").exists()


def test_a_home_with_an_identity_does_not_join_as_a_device(ada: Person, tmp_path: Path) -> None:
    """There is never a second identity in a home, nor one lost to a link."""
    bob = Person(tmp_path / "bob").init("Bob")
    before = (bob.home / "identity.json").read_text()
    with offering(ada, "--yes") as (code, _):
        done = bob.tapes("device", "join", "-", stdin=code)

    assert (2, before) == (done.code, (bob.home / "identity.json").read_text())


def test_linking_asks_for_a_terminal_or_yes(ada: Person) -> None:
    """Without anybody to compare the two screens, nothing is offered."""
    assert 2 == ada.tapes("device", "link").code


@pytest.mark.parametrize(("answer", "admitted"), [("n", 0), ("", 0), ("Y", 1)])
def test_the_person_at_the_screens_decides(
    ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, admitted: int
) -> None:
    """Another fingerprint on the other screen, or no answer: nothing is committed and the request is withdrawn."""
    asking: list[subprocess.Popen[bytes]] = []
    new = Person(tmp_path / "new")

    def shown(_run: object, code: LinkCode) -> None:
        words = ["device", "join", format_code(code), "--vault", "file"]
        asking.append(
            subprocess.Popen(
                [sys.executable, "-m", "tapes", *words],
                env=new._environ(),
                cwd=HOUSE,
                stderr=subprocess.DEVNULL,
            )
        )

    monkeypatch.setattr("tapes.commands.device_link._show", shown)
    monkeypatch.setattr("tapes.commands.device_link.can_ask", lambda _run: True)
    monkeypatch.setattr("tapes.commands.device_link.ask", lambda _run, _question: answer)
    done = ada.tapes("device", "link")
    with asking[0] as process:
        if not admitted:
            process.kill()

    assert (0 if admitted else 2) == done.code, done.err
    assert 1 + admitted == len(ada.json("device", "list")["devices"])
    assert bool(admitted) == (new.home / "identity.json").exists()
    assert [] == [path for path in (tmp_path / "bucket").rglob("links/*") if path.is_file()]


def test_a_revoked_device_is_out_and_says_why(ada: Person, tmp_path: Path) -> None:
    """Revoking tells to rotate credentials; the lost device cannot write, the rest of the team goes on."""
    new = Person(tmp_path / "new")
    link(ada, new)
    lost = next(d for d in ada.json("device", "list")["devices"] if not d["is_this"])
    assert 2 == ada.tapes("device", "revoke", lost["id"][:8], "--lost-since", "99999").code  # behind the head
    done = ada.ok("device", "revoke", lost["id"][:8], "--lost-since", "2020-01-01")

    assert "rotate the bucket credentials now" in done.err
    assert 4 == new.tapes("storage", "sync").code
    assert ada.json("device", "list")["devices"][1]["revoked_seq"] is not None
    ada.ok("storage", "sync")
    assert 2 == ada.tapes("device", "revoke", "ffff").code
    assert 2 == ada.tapes("device", "revoke", lost["id"][:8], "--lost-since", "someday").code


def test_what_a_revoked_device_had_let_in_is_named_while_it_stays(ada: Person, tmp_path: Path) -> None:
    """Without --lost-since, or with a day too late, a ghost that the thief let in would otherwise stay unseen."""
    lost, ghost = Person(tmp_path / "lost"), Person(tmp_path / "ghost")
    link(ada, lost)
    link(lost, ghost)
    ids = [
        next(d["id"] for d in who.json("device", "list")["devices"] if d["is_this"]) for who in (lost, ghost)
    ]
    done = ada.ok("device", "revoke", ids[0], "--lost-since", "2999-01-01")

    assert f"tapes device revoke {ids[1][:12]}" in done.err
    assert "which stays" not in ada.ok("device", "revoke", ids[1]).err


def test_recovery_writes_nothing_behind_an_altered_commit(ada: Person, tmp_path: Path) -> None:
    """One flipped byte voids all behind it for a kit alone: a commit there would fork. Garbage is gone past when told to."""
    new, log = Person(tmp_path / "new"), tmp_path / "bucket" / "log"
    words = ("recover", "--kit", tmp_path / "ada.kit", "--bucket", (tmp_path / "bucket").as_uri())
    slots = sorted(log.iterdir())
    altered, good = slots[1], slots[1].read_bytes()
    altered.write_bytes(good.replace(b'"at":', b'"ax":', 1))
    done = new.tapes(*words, "--vault", "file")

    assert 6 == done.code
    assert f"log/{altered.name}" in done.err
    assert slots == sorted(log.iterdir())
    assert not (new.home / "identity.json").exists()
    altered.write_bytes(good)
    (log / f"{len(slots):012d}").write_bytes(b"garbage")
    assert 6 == new.tapes(*words, "--vault", "file").code
    new.ok(*words, "--vault", "file", "--past-void")
    new.ok("storage", "sync")
    assert _said(ada) == _said(new)
    ada.ok("storage", "sync")


def test_the_kit_brings_a_member_back_when_all_devices_are_lost(
    ada: Person, tmp_path: Path, bucket: Path
) -> None:
    """A new machine with the printed page: the same member, all sessions, and it can revoke what was lost and push on."""
    new = Person(tmp_path / "new")
    recovered = new.json(
        "recover", "--kit", ada.home.with_suffix(".kit"), "--bucket", bucket.as_uri(), "--name", "second life"
    )

    assert "Ada" == recovered["name"]
    assert ada.json("team", "members")["members"][0]["id"] == recovered["member_id"]
    new.ok("storage", "sync")
    assert _said(ada) == _said(new)
    [old] = [d for d in new.json("device", "list")["devices"] if not d["is_this"]]
    new.ok("device", "revoke", old["id"][:12])
    new.ok("storage", "sync")
    assert 4 == ada.tapes("storage", "sync").code
    assert new.ok("verify", "--json").json["ok"]


def test_recovery_repeats_and_refuses_strangers(ada: Person, tmp_path: Path, bucket: Path) -> None:
    """Run again it finishes without a second device; another's kit is refused with 4, a wrong word with 2."""
    new, kit = Person(tmp_path / "new"), ada.home.with_suffix(".kit")
    place = ("--bucket", bucket.as_uri(), "--vault", "file")
    new.ok("recover", "--kit", kit, *place)
    new.ok("recover", "--kit", kit, *place)
    assert 2 == len(new.json("device", "list")["devices"])

    Person(tmp_path / "eve").init("Eve")
    stranger = Person(tmp_path / "stranger")
    done = stranger.tapes("recover", "--kit", tmp_path / "eve.kit", *place)
    assert (4, True) == (done.code, "not in this bucket's team" in done.err)
    wrong = stranger.tapes("recover", "--kit", "-", *place, stdin="abandon " * 24)
    assert (2, True) == (wrong.code, "checksum" in wrong.err)
    assert not (stranger.home / "identity.json").exists()
    assert 2 == new.tapes("recover", "--kit", tmp_path / "eve.kit", *place).code


def test_the_words_may_be_typed_at_a_terminal(ada: Person, tmp_path: Path, bucket: Path) -> None:
    """Paper has no file: the words alone, asked for, are enough."""
    page = ada.home.with_suffix(".kit").read_text().split("Whoever")[0].split("\n\n", 1)[1]
    words = " ".join(word for word in page.split() if not word.isdigit())
    done = Person(tmp_path / "new").at_terminal(
        "recover", "--bucket", bucket.as_uri(), "--vault", "file", answers={"words of the kit:": words}
    )

    assert (0, True) == (done.code, "device of Ada" in done.out)


def test_rescue_needs_nothing_but_bucket_and_kit(ada: Person, tmp_path: Path, bucket: Path) -> None:
    """A new folder shows the same sessions, turn for turn; the bucket is not written to, and the head is told."""
    before = sorted((p, p.stat().st_mtime_ns) for p in bucket.rglob("*") if p.is_file())
    nobody = Person(tmp_path / "nobody")
    done = nobody.ok(
        "rescue", bucket.as_uri(), "--kit", ada.home.with_suffix(".kit"), "-o", tmp_path / "rescued"
    )

    assert _said(ada) == _said(Person(tmp_path / "rescued"))
    assert "the log ends at commit" in done.err
    assert "cannot be seen" in done.err
    assert before == sorted((p, p.stat().st_mtime_ns) for p in bucket.rglob("*") if p.is_file())
    assert 2 == nobody.tapes("rescue", bucket.as_uri(), "--kit", "x", "-o", tmp_path / "rescued").code
    assert not nobody.home.exists() or not any(nobody.home.iterdir())


def test_rescue_brings_what_is_left_and_names_what_is_not(ada: Person, tmp_path: Path, bucket: Path) -> None:
    """With one pack gone, all other sessions come home, the pack is named, and the exit code is 6."""
    lost = max((bucket / "packs").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else -1)
    lost.unlink()
    done = Person(tmp_path / "nobody").tapes(
        "rescue", bucket.as_uri(), "--kit", ada.home.with_suffix(".kit"), "-o", tmp_path / "rescued"
    )

    assert (6, True) == (done.code, lost.name in done.err)
    assert Person(tmp_path / "rescued").json("sessions")["sessions"]


def test_members_come_and_go_from_the_command_line(ada: Person, tmp_path: Path) -> None:
    """Role, removal, leaving, invites listed and closed; each refusal is the fold's, in words, before a commit is spent."""
    bob, cat = _joined(ada, tmp_path / "bob", "Bob"), _joined(ada, tmp_path / "cat", "Cat")
    bob.ok("storage", "sync")
    cat.ok("storage", "sync")
    ada.ok("storage", "sync")
    ids = {m["name"]: m["id"][:12] for m in ada.json("team", "members")["members"]}

    refused = bob.tapes("team", "remove", ids["Ada"])
    assert (2, True) == (refused.code, "rules refuse" in refused.err)
    ada.ok("team", "role", ids["Bob"], "admin")
    assert "rotate the bucket credentials now" in bob.ok("team", "remove", ids["Cat"]).err
    assert 4 == cat.tapes("storage", "sync").code
    ada.ok("team", "invite")
    [open_one] = ada.json("team", "invites")["invites"]
    ada.ok("team", "uninvite", open_one["id"][:10])
    assert [] == ada.json("team", "invites")["invites"]
    assert 2 == ada.tapes("team", "leave", "--yes").code
    bob.ok("team", "leave", "--yes")
    ada.ok("storage", "sync")
    states = {m["name"]: m["state"] for m in ada.json("team", "members")["members"]}
    assert {"Ada": "active", "Bob": "left", "Cat": "removed"} == states
    assert ada.ok("verify", "--json").json["ok"]


def test_a_new_kit_is_shown_and_confirmed_at_a_terminal(ada: Person, tmp_path: Path, bucket: Path) -> None:
    """No file is needed: the words on the screen, two of them typed back, are the kit that recovers from then on."""
    kit = ada.home.with_suffix(".kit")
    done = ada.at_terminal("member", "rekey", "--kit", kit, answers={r"Type word (\d+) of the kit:": "@kit"})
    assert 0 == done.code, done.out
    [mark] = re.findall(r"Its mark: ([0-9a-f]{8})", done.out)
    shown = done.out.split("Its mark")[0]
    words = {int(n): word for n, word in re.findall(r"(?<![0-9])([0-9]{1,2}) ([a-z]+)", shown)}
    new = Person(tmp_path / "new")
    page = " ".join(words[number] for number in range(1, 25))

    new.ok("recover", "--kit", "-", "--bucket", bucket.as_uri(), "--vault", "file", stdin=page)
    assert f"the mark {mark}" in new.ok("doctor").out
    again = ada.tapes("member", "rekey", "--yes", "--kit", kit, "--kit-out", tmp_path / "third")
    assert (4, True) == (again.code, mark in again.err)
    assert not (tmp_path / "third").exists()


def test_a_rekey_that_is_not_confirmed_changes_nothing(ada: Person, tmp_path: Path) -> None:
    """Three wrong words: exit 2, no commit, and the old kit still counts; nor without a terminal or a file for it."""
    kit = ada.home.with_suffix(".kit")
    before = ada.json("storage", "status")["remote"]["version"]
    done = ada.at_terminal("member", "rekey", "--kit", kit, answers={r"Type word (\d+) of the kit:": "wrong"})

    assert 2 == done.code
    assert 2 == ada.tapes("member", "rekey", "--kit", kit).code
    ada.ok("storage", "sync")
    assert before == ada.json("storage", "status")["remote"]["version"]
    ada.ok("member", "rekey", "--yes", "--kit", kit, "--kit-out", tmp_path / "new")
