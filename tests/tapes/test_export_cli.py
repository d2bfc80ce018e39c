"""`tapes export` and `tapes import bundle` as people call them."""

import csv
import gzip
import io
import json
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from store.local import LocalStore
from store.local_path import local_store_path
from tests.command_line import SAMPLE, Person
from tests.laptops import turn

HOSTILE = "</pre></details><script>alert(1)</script><img src=//evil.example onerror=x>\x1b]0;t\x07\u202egnp ```\n# no heading"


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with the sample's sessions."""
    person = Person(tmp_path_factory.mktemp("ada") / "home")
    person.ok("import", "claude", SAMPLE)
    return person


def ids_of(person: Person) -> list[str]:
    """All session ids, sorted as exports are."""
    return sorted(session["id"] for session in person.json("sessions")["sessions"])


def hostile(folder: Path) -> Person:
    """Somebody whose one session wants to be code, in words, labels and tool calls."""
    person = Person(folder / "home")
    person.ok("sessions")
    first = turn(HOSTILE, None, project="=HYPERLINK(1)</h2><script>")
    blocks = [
        {"type": "tool_use", "tool_name": HOSTILE, "tool_use_id": "t", "tool_input": {HOSTILE: HOSTILE}},
        {
            "type": "tool_use",
            "tool_name": "Edit",
            "tool_input": {"old_string": HOSTILE, "new_string": f"x{HOSTILE}"},
        },
        {"type": "tool_result", "tool_result_id": "t", "tool_output": HOSTILE, "is_error": True},
        {"type": HOSTILE, "text": HOSTILE, "\ud800": "\ud800"},
    ]
    second = turn("x", first, project="=HYPERLINK(1)</h2><script>")
    second.bucket["content"].extend(blocks)
    second.bucket["role"] = '"><script>'
    with LocalStore.open(local_store_path(person.home)) as local:
        local.add([first, second])
    return person


def test_a_bundle_carries_all_sessions_to_another_home(ada: Person, tmp_path: Path) -> None:
    """Export all, import elsewhere: the same sessions with the same numbers; again: nothing new."""
    bob = Person(tmp_path / "bob")
    ada.ok("export", "--all", "-o", tmp_path / "all.tape")

    first = bob.json("import", "bundle", tmp_path / "all.tape")
    again = bob.json("import", "bundle", tmp_path / "all.tape")

    assert bob.json("sessions")["sessions"] == ada.json("sessions")["sessions"]
    assert (first["sessions"], again["nodes_new"]) == (len(ids_of(ada)), 0)


def test_two_exports_differ_only_in_when(ada: Person, tmp_path: Path) -> None:
    """All lines of the unpacked bundle but the first are the same."""
    bodies = []
    for name in ("a.tape", "b.tape"):
        ada.ok("export", "--all", "-o", tmp_path / name)
        bodies.append(gzip.decompress((tmp_path / name).read_bytes()).splitlines()[1:])

    assert bodies[0] == bodies[1]


def test_two_laptops_of_a_team_export_the_same(tmp_path: Path) -> None:
    """Who imported a session and who only pulled it write the same bundle body, and the same rows."""
    ada, bob = Person(tmp_path / "ada").init("Ada"), Person(tmp_path / "bob").init("Bob")
    ada.ok("import", "claude", SAMPLE)
    ada.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    ada.ok("storage", "set-provider", "hybrid")
    ada.ok("config", "set", "default-visibility", "team")
    ada.ok("team", "create", "Engine")
    ada.ok("storage", "sync")
    bob.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    bob.ok("storage", "sync")
    bodies, rows = [], []
    for person in (ada, bob):
        person.ok("export", "--all", "-o", person.home / "x.tape")
        bodies.append(gzip.decompress((person.home / "x.tape").read_bytes()).splitlines()[1:])
        rows.append(person.json("sql", "SELECT * FROM nodes ORDER BY hash")["rows"])

    assert len(bodies[0]) > 50
    assert bodies[0] == bodies[1]
    assert rows[0] == rows[1]


def test_a_pipe_names_the_sessions(ada: Person) -> None:
    """`tapes sessions | tapes export` takes the first word of each line; one id alone gives that session alone."""
    listed = ada.ok("sessions").out
    every = json.loads(ada.process("export", "--format", "json", stdin=listed).out)
    one = json.loads(ada.process("export", ids_of(ada)[0][:16]).out)

    assert [session["id"] for session in every["sessions"]] == ids_of(ada)
    assert [session["id"] for session in one["sessions"]] == ids_of(ada)[:1]
    assert one["export"]["tool"].startswith("tapes-sync ")
    assert one["export"]["schema_version"] == 1
    assert {"filter", "price_tables", "exported_at", "exported_by"} <= set(one["export"])


def test_filters_choose_and_are_recorded(ada: Person, tmp_path: Path) -> None:
    """An export by project and day has the sessions that `sessions` lists for them, and says how they were chosen."""
    projects = {session["project"] for session in ada.json("sessions")["sessions"]}
    for project in projects:
        chosen = ["--project", project, "--since", "2020-01-01", "--tz", "Europe/Vienna"]
        ada.ok("export", *chosen, "-o", tmp_path / "x.json")
        exported = json.loads((tmp_path / "x.json").read_text())
        listed = ada.json("sessions", *chosen)["sessions"]
        assert [s["id"] for s in exported["sessions"]] == sorted(s["id"] for s in listed)
        assert {s["project"] for s in exported["sessions"]} == {project}
        assert exported["export"]["filter"] == {
            "project": [project],
            "since": "2020-01-01",
            "time_zone": "Europe/Vienna",
        }
    assert len(projects) > 1


@pytest.mark.parametrize("stdin", ["", "\n  \n"])
def test_an_empty_stdin_is_never_everything(stdin: str, ada: Person, tmp_path: Path) -> None:
    """A search that found nothing ends an export with 2, and no file is there."""
    done = ada.tapes("export", "-o", tmp_path / "x.json", stdin=stdin)

    assert done.code == 2
    assert "no session ids came in" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["feedfacefeedface", "-o", "x.tape"],
        ["--all", "-o", "x.docx"],
        ["--all", "-o", "x.csv", "--content", "full"],
        ["--all", "-o", "x.tape", "--content", "none"],
        ["--all", "--format", "parquet"],
        ["--all", "--json"],
        ["--all", "--project", "x", "-o", "x.json"],
        ["feedfacefeedface", "--project", "x", "-o", "x.json"],
        ["--all", "-o", ".", "--format", "json"],
        ["--all", "-o", "x.csv", "--content", "redacted"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_ends_with_2_and_no_file(
    words: list[str], ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown id, an unknown ending, content that a format has not: said, and nothing written."""
    monkeypatch.chdir(tmp_path)

    assert ada.tapes("export", *words).code == 2
    assert list(tmp_path.iterdir()) == []


def test_ndjson_has_each_node_once(ada: Person, tmp_path: Path) -> None:
    """First what it is, then nodes and sessions, each once; without content no word that was said."""
    ada.ok("export", "--all", "-o", tmp_path / "all.ndjson", "--content", "none")
    records = [json.loads(line) for line in (tmp_path / "all.ndjson").read_text().splitlines()]
    nodes = [record for record in records if record["record"] == "node"]

    assert records[0]["record"] == "export"
    assert sorted(r["id"] for r in records if r["record"] == "session") == ids_of(ada)
    assert len({node["hash"] for node in nodes}) == len(nodes) > 0
    assert not any("content" in node["bucket"] or "extra" in node.get("source", {}) for node in nodes)
    assert not any("raw" in node.get("usage", {}) for node in nodes)


def test_csv_is_one_row_per_session_and_no_formula(ada: Person, tmp_path: Path) -> None:
    """The numbers of `sessions --json`; a label that a spreadsheet would run is quoted."""
    ada.ok("export", "--all", "-o", tmp_path / "all.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    known = {session["id"]: session for session in ada.json("sessions")["sessions"]}
    person = hostile(tmp_path)
    person.ok("export", "--all", "-o", tmp_path / "bad.csv")
    [bad] = csv.DictReader(io.StringIO((tmp_path / "bad.csv").read_text()))

    assert [row["id"] for row in rows] == ids_of(ada)
    assert all(int(row["output"]) == known[row["id"]]["tokens"]["output"] for row in rows)
    assert bad["project"].startswith("'=HYPERLINK")


class _Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_hostile_content_stays_text_in_html(tmp_path: Path) -> None:
    """No tag, no attribute, no control character of a session's becomes part of the document; the policy forbids the rest."""
    hostile(tmp_path).ok("export", "--all", "-o", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    seen = _Tags()
    seen.feed(page)

    assert not seen.tags & {"script", "img", "link", "iframe", "a", "object"}
    assert seen.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert "default-src 'none'" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)
    assert "alert(1)" in page  # it is shown


def test_documents_show_edits_as_diffs(ada: Person, tmp_path: Path) -> None:
    """The sample's edits: a fence of diff in Markdown, marked lines in HTML, and no escaped JSON of them in either."""
    for name in ("x.md", "x.html"):
        ada.ok("export", "--all", "-o", tmp_path / name)
    page, text = (tmp_path / "x.html").read_text(), (tmp_path / "x.md").read_text()

    assert "\n```diff\n" in text
    assert "\n- SEGMENTS = 6\n+ SEGMENTS = 12\n" in text
    assert "<del>- SEGMENTS = 6</del>\n<ins>+ SEGMENTS = 12</ins>" in page
    assert "old_string" not in text + page
    assert "\nimage/png, 84 B\n" in text


def test_documents_call_sessions_as_lists_do(ada: Person, tmp_path: Path) -> None:
    """Every session's title stands in the HTML by its id, the same that `sessions` says."""
    ada.ok("export", "--all", "-o", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    listed = {one["id"]: one["title"] for one in ada.json("sessions")["sessions"]}

    assert sum(title is not None for title in listed.values()) >= 6
    for session, title in listed.items():
        titled = f"<dt>title</dt><dd>{escape(title)}</dd>\n" if title else "<dl>\n"
        assert f"{titled}<dt>id</dt><dd>{session}</dd>" in page


def test_hostile_content_stays_in_its_fence_in_markdown(tmp_path: Path) -> None:
    """Outside the fences stands nothing of what was said, and no raw HTML."""
    hostile(tmp_path).ok("export", "--all", "-o", tmp_path / "x.md")
    outside, fence = [], ""
    for line in (tmp_path / "x.md").read_text().splitlines():
        mark = re.match("(`{3,})(text|diff)?$", line)
        if mark and not fence:
            fence = mark[1]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)

    assert fence == ""
    assert not any(re.search(r"(?<!\\)[<!]", line) for line in outside[outside.index("# Sessions") :])
    assert "# no heading" not in outside


def test_parquet_appears_whole_in_a_new_folder(ada: Person, tmp_path: Path) -> None:
    """Nodes and sessions by UTC day, metadata only; a folder that has something is refused and left as it is."""
    ada.ok("export", "--all", "--format", "parquet", "-o", tmp_path / "out")
    nodes = pq.read_table(tmp_path / "out" / "nodes", partitioning="hive")
    again = ada.tapes("export", "--all", "--format", "parquet", "-o", tmp_path / "out")

    assert nodes.num_rows == ada.json("sessions")["totals"]["nodes"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_export.json", "nodes", "sessions"]
    assert again.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_broken_bundle_ends_with_6_and_leaves_nothing(ada: Person, tmp_path: Path) -> None:
    """A bundle that was cut is refused with its name; the home has no session more."""
    ada.ok("export", "--all", "-o", tmp_path / "all.tape")
    (tmp_path / "cut.tape").write_bytes((tmp_path / "all.tape").read_bytes()[:-30])
    bob = Person(tmp_path / "bob")
    done = bob.tapes("import", "bundle", tmp_path / "cut.tape")

    assert done.code == 6
    assert "cut.tape" in done.err
    assert bob.json("sessions")["sessions"] == []


def test_a_pipe_in_the_place_of_a_file_is_written_into(ada: Person, tmp_path: Path) -> None:
    """A device or a named pipe stays what it is: a file put in its place would take `/dev/null` from everybody."""
    fifo = tmp_path / "pipe.json"
    os.mkfifo(fifo)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(fifo.read_bytes)
        ada.ok("export", "--all", "-o", fifo)
        data = reading.result(60)

    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert len(json.loads(data)["sessions"]) == 8
    assert ada.tapes("export", "--all", "--format", "json", "-o", "/dev/full").code == 5
    assert Path("/dev/full").is_char_device()
    assert json.loads(ada.process("export", "--all", "--format", "json", "-o", "/dev/stdout").out)["sessions"]


def test_a_link_in_the_place_of_a_file_is_followed(ada: Person, tmp_path: Path) -> None:
    """The file behind it is replaced, and the link stays; one that leads to itself gives way."""
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    (tmp_path / "circle.json").symlink_to("circle.json")
    ada.ok("export", "--all", "-o", tmp_path / "link.json")

    assert (tmp_path / "link.json").is_symlink()
    assert len(json.loads((tmp_path / "real.json").read_text())["sessions"]) == 8
    assert (tmp_path / "real.json").stat().st_mode & 0o777 == 0o600
    ada.ok("export", "--all", "-o", tmp_path / "circle.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle.json", "link.json", "real.json"]


def test_a_dash_is_stdout_and_a_file_url_is_its_path(ada: Person, tmp_path: Path) -> None:
    """`-o -` does what leaving it out does, and a place given as buckets are is that folder, not one named "file:"."""
    place = tmp_path / "a set"

    written = ada.process("export", "--all", "--format", "ndjson", "-o", "-").out
    assert len(written.splitlines()) > 1
    ada.ok("export", "--all", "--format", "parquet", "-o", place.as_uri())
    assert ada.tapes("export", "--all", "--format", "csv", "-o", "file:///a%00b").code == 2
    assert (place / "_export.json").exists()
