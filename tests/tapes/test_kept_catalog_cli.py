"""The kept catalog, as people meet it: damaged, deleted, made anew."""

import os
import re
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from query import catalog_keeper
from query.catalog_keeper import catalog_key
from query.sealed_sections import Sections, SectionsBroken
from tapes.commands.context import Flags, begin
from tapes.commands.desk import Desk
from tapes.finder import finding
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


ASKED = (
    ("sessions", "--json"),
    ("search", "lighthouse", "--json"),
    ("sql", "SELECT * FROM nodes ORDER BY hash", "--format", "csv"),
    ("sql",),
    ("export", "--all", "--format", "ndjson"),
    ("export", "--format", "ndjson", "--content", "redacted"),
)
PIPED = "SELECT count(*) FROM nodes; SELECT id FROM sessions ORDER BY id;"


@pytest.mark.long
@pytest.mark.parametrize("section", ["rows", "paths"])
def test_a_part_that_was_altered_is_met_on_the_way_and_the_answer_is_whole(
    ada: Person, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    """Whoever asks: said once if it is read at all, nothing of an answer twice, and the same bytes as before."""
    monkeypatch.setattr(catalog_keeper, "Keeping", partial(catalog_keeper.Keeping, rows_min=0))
    ada.ok("search", "lighthouse")  # with it titles come, and the catalog is made
    ids = "".join(f"{one['id']}\n" for one in ada.json("sessions")["sessions"])
    path = ada.home / "index" / LEFT[0]
    for words in ASKED:
        stdin = PIPED if words == ("sql",) else ids
        as_ever = ada.ok(*words, stdin=stdin)
        altered = _altered(ada, path, section)
        told, again = ada.ok(*words, stdin=stdin), ada.ok(*words, stdin=stdin)
        assert _undated(told.out) == _undated(as_ever.out) == _undated(again.out), words
        is_read = path.read_bytes() != altered
        assert is_read or (words[0], section) == ("sessions", "rows"), words
        assert (told.err.count("made anew"), again.err.count("made anew")) == (is_read, 0), words


def test_a_folder_that_was_exported_from_an_altered_catalog_is_whole(
    ada: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder of the first attempt leaves nothing behind."""
    monkeypatch.setattr(catalog_keeper, "Keeping", partial(catalog_keeper.Keeping, rows_min=0))
    ada.ok("sessions")
    _altered(ada, ada.home / "index" / LEFT[0], "rows")
    (tmp_path / "out").mkdir()

    told = ada.ok("export", "--all", "-o", tmp_path / "out" / "all.parquet")

    assert "made anew" in told.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["all.parquet"]
    counted = ada.ok(
        "sql", "SELECT count(*) AS n FROM nodes", "--over", tmp_path / "out" / "all.parquet", "--json"
    )
    assert counted.json["rows"] == [[ada.json("sessions")["totals"]["nodes"]]]


def _altered(person: Person, path: Path, section: str) -> bytes:
    """One byte in the middle of a section: what is there now."""
    with (
        mock.patch.dict(os.environ, {"TAPES_HOME": str(person.home)}),
        Desk(begin(Flags())) as desk,
        Sections(path, catalog_key(desk.identity)) as sections,
    ):
        offset, length, _ = sections._places[section]
    data = bytearray(path.read_bytes())
    data[offset + length // 2] ^= 1
    path.write_bytes(data)
    return bytes(data)


def _undated(text: str) -> str:
    return re.sub(r'"exported_at": ?"[^"]*"', "", text)


def test_what_stands_in_its_place_and_cannot_be_removed_is_named(ada: Person) -> None:
    """A folder, say: an error that names it, and no riddle."""
    path = ada.home / "index" / LEFT[0]
    path.unlink()
    path.mkdir()

    done = ada.tapes("sessions")

    assert done.code == 5
    assert f"{path} cannot be removed" in done.err


def test_the_finder_begins_once_more(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when the screen is gone, and what was chosen the second time is the answer."""
    given: list[SectionsBroken | tuple[str, ...]] = [
        SectionsBroken("catalog.sealed is damaged"),
        ("8259b33c",),
    ]

    def chosen(*_: object) -> tuple[str, ...]:
        one = given.pop(0)
        if isinstance(one, SectionsBroken):
            raise one
        return one

    monkeypatch.setattr(finding, "terminal", lambda **_: nullcontext())
    monkeypatch.setattr(finding, "_chosen", chosen)
    found = ada.ok("search", "-i")
    assert (found.out, given) == ("8259b33c\n", [])
    assert found.err.count("made anew") == 1
