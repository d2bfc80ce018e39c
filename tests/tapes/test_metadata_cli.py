"""Metadata-only syncing as people meet it: said before it happens, shown everywhere, and undone by one setting."""

import gzip
import json
from pathlib import Path

import pytest

from tests.command_line import SAMPLE, Person


@pytest.fixture
def two(tmp_path: Path) -> tuple[Person, Person]:
    """Ada, who imported the sample and keeps what was said to herself, and Bob of her team."""
    ada, bob = Person(tmp_path / "ada").init("Ada"), Person(tmp_path / "bob").init("Bob")
    bucket = (tmp_path / "bucket").as_uri()
    ada.ok("storage", "configure", "--bucket", bucket)
    ada.ok("import", "claude", SAMPLE)
    ada.ok("config", "set", "default-visibility", "team")
    ada.ok("config", "set", "sync.content", "metadata")
    ada.ok("team", "create", "Us")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    return ada, bob


def test_it_is_shown_everywhere(two: tuple[Person, Person], tmp_path: Path) -> None:
    """Dry run, status, sessions, show, search, stats, SQL and exports of a reader all say that content is withheld."""
    ada, bob = two
    plan = ada.json("storage", "sync", "--dry-run")["plan"]
    ada.ok("storage", "sync")
    bob.ok("storage", "sync")
    turns = bob.json("sessions")["sessions"][0]["turns"]
    head = bob.json("sessions")["sessions"][0]["id"]
    listed, shown, found = bob.ok("sessions"), bob.ok("show", head), bob.ok("search", "the")
    left = bob.tapes("export", "--all", "-o", tmp_path / "all.tape")

    assert {("metadata", 0)} == {(each["content"], each["bytes"]) for each in plan}
    assert "metadata only" in ada.ok("storage", "sync", "--dry-run").out + ada.ok("storage", "status").out
    assert {"metadata"} == {ada.json("storage", "status")["content"]}
    assert turns == bob.json("sessions")["sessions"][0]["withheld_turns"]
    assert all("metadata only" in line for line in listed.out.splitlines())
    assert "METADATA ONLY" in shown.out
    assert "metadata-only" in found.err
    assert bob.json("search", "the")["withheld"] == bob.json("storage", "status")["withheld"] - _roots(bob)
    assert bob.json("stats", "--period", "3000d")["withheld_turns"] > 0
    assert [] == list((tmp_path / "bucket" / "packs").rglob("*"))
    assert [[True]] == bob.json("sql", "select distinct withheld from nodes")["rows"]
    assert (3, True) == (left.code, head in left.err)
    assert [] == json.loads(gzip.decompress((tmp_path / "all.tape").read_bytes()))["sessions"]
    bob.ok("export", head, "-o", tmp_path / "one.md")
    assert "metadata only" in (tmp_path / "one.md").read_text()


def _roots(person: Person) -> int:
    """Nodes that are nobody's turn."""
    return int(person.json("sql", "select count(*) as n from nodes where kind <> 'message'")["rows"][0][0])


def test_full_later_brings_the_rest(two: tuple[Person, Person], tmp_path: Path) -> None:
    """`config set sync.content full` says what follows; the next sync does it, and every number stays what it was."""
    ada, bob = two
    for each in two:
        each.ok("storage", "sync")
    before = bob.json("sessions")
    said = ada.ok("config", "set", "sync.content", "full").err
    for each in two:
        each.ok("storage", "sync")
    after = bob.json("sessions")

    assert "goes along" in said
    assert before["totals"] == after["totals"]
    assert {0} == {session["withheld_turns"] for session in after["sessions"]}
    assert 0 == bob.ok("export", "--all", "-o", tmp_path / "all.tape").code
    assert 0 == bob.ok("verify").code


def test_a_project_may_have_its_own_content(two: tuple[Person, Person]) -> None:
    """What is set for one project holds for it, and for no other."""
    ada, _ = two
    projects = {each["project"] for each in ada.json("storage", "sync", "--dry-run")["plan"]}
    chosen = min(project for project in projects if project)
    ada.ok("config", "set", f"sync.content.{chosen}", "full")
    plan = ada.json("storage", "sync", "--dry-run")["plan"]

    assert {"full"} == {each["content"] for each in plan if each["project"] == chosen}
    assert {"metadata"} >= {each["content"] for each in plan if each["project"] != chosen}
