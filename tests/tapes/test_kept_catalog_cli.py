"""The kept catalog, as people meet it: damaged, deleted, made anew."""

from pathlib import Path

import pytest

from tests.command_line import SAMPLE, Person

LEFT = ("catalog.sealed", "catalog-more.sealed", ".catalog.sealed.1")


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    """Ada, in a team of one, with the sample logs pushed; and what is no catalog where hers would be."""
    (tmp_path / "bucket").mkdir()
    person = Person(tmp_path / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    person.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    person.ok("storage", "sync")
    (person.home / "index").mkdir(exist_ok=True)
    for name in LEFT:
        (person.home / "index" / name).write_bytes(b"no catalog" * 100)
    return person


def test_a_damaged_catalog_is_said_and_answers_are_the_same(ada: Person) -> None:
    """A word about it, once; the sessions all the same."""
    told, again = ada.ok("sessions", "--json"), ada.ok("sessions", "--json")

    assert told.json == again.json
    assert len(told.json["sessions"]) > 1
    assert ("made anew" in told.err, "made anew" in again.err) == (True, False)


def test_reindex_leaves_nothing_of_the_former_one(ada: Person) -> None:
    """The file, what was noted beside it, and what a killed writer left."""
    ada.ok("reindex")

    assert not list((ada.home / "index").glob("*catalog*"))
