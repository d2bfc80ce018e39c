"""Finding logs: what is a transcript, whose it is, and in which order it is read."""

import json
import os
from pathlib import Path

import pytest

from crypto.errors import UsageError
from store.local import LocalStore
from tapes.importers.claude.files import default_roots, find_logs
from tapes.importers.claude.run import import_claude
from tapes.importers.project import project_of
from tests.claude_logs import stored


def _write(path: Path, *records: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def _turn(uuid: str, at: str = "2026-02-14T09:00:00Z", **fields: object) -> dict[str, object]:
    message = {"role": "user", "content": uuid}
    return {"type": "user", "uuid": uuid, "sessionId": "s", "timestamp": at, "message": message, **fields}


def test_sessions_come_before_subagents_and_the_earliest_first(tmp_path: Path) -> None:
    """Turns that several files hold are credited to the session that had them first."""
    late = _write(tmp_path / "p" / "a.jsonl", _turn("1", "2026-02-16T00:00:00Z"))
    early = _write(tmp_path / "p" / "z.jsonl", _turn("2", "2026-02-15T00:00:00Z"))
    fork = _write(
        tmp_path / "p" / "b.jsonl", _turn("2", "2026-02-15T00:00:00Z", forkedFrom={"sessionId": "z"})
    )
    longer = _write(
        tmp_path / "p" / "c.jsonl", _turn("2", "2026-02-15T00:00:00Z"), _turn("3", "2026-02-15T01:00:00Z")
    )
    sub = _write(tmp_path / "p" / "a" / "subagents" / "agent-7.jsonl", _turn("4", "2026-02-14T00:00:00Z"))
    deep = _write(tmp_path / "p" / "a" / "subagents" / "workflows" / "w" / "agent-8.jsonl", _turn("5"))

    logs = find_logs([tmp_path])

    assert [log.path for log in logs] == [early, longer, fork, late, sub, deep]
    assert [(log.session, log.agent) for log in logs[-2:]] == [("a", "7"), ("a", "8")]


def test_what_is_no_transcript_is_left_alone(tmp_path: Path) -> None:
    """The prompt history, settings and strangers' JSON lines under the folder are not sessions."""
    log = _write(tmp_path / "projects" / "p" / "s.jsonl", _turn("1"))
    _write(tmp_path / "projects" / "history.jsonl", {"display": "hi", "timestamp": 1, "sessionId": "s"})
    _write(tmp_path / "projects" / "p" / "data.jsonl", {"id": 1, "type": "point"}, {"id": 2})
    _write(tmp_path / "projects" / "p" / "notes.json", {"loglines": []})

    assert [found.path for found in find_logs([tmp_path])] == [log]
    with pytest.raises(UsageError, match=r"data\.jsonl is no Claude Code log"):
        find_logs([tmp_path / "projects" / "p" / "data.jsonl"])


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    """Overlapping paths and links give each transcript once."""
    log = _write(tmp_path / "p" / "s.jsonl", _turn("1"))
    (tmp_path / "p" / "loop").symlink_to(tmp_path / "p")

    assert len(find_logs([tmp_path, tmp_path / "p", log])) == 1


def test_the_usual_places_and_the_configured_ones(tmp_path: Path) -> None:
    """CLAUDE_CONFIG_DIR names one or several folders; without it both usual places count, and none is an error."""
    (tmp_path / ".claude" / "projects").mkdir(parents=True)
    (tmp_path / "work" / "projects").mkdir(parents=True)

    assert default_roots({}, tmp_path) == [tmp_path / ".claude" / "projects"]
    configured = {"CLAUDE_CONFIG_DIR": f"{tmp_path / 'work'}, {tmp_path / 'other'},"}
    assert default_roots(configured, tmp_path) == [tmp_path / "work" / "projects", tmp_path / "other"]
    with pytest.raises(UsageError, match=r"neither ~/\.claude"):
        default_roots({}, tmp_path / "work")


def test_the_default_import_reads_the_configured_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a path the importer looks where CLAUDE_CONFIG_DIR points."""
    _write(tmp_path / "conf" / "projects" / "p" / "s.jsonl", _turn("1"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "conf"))

    with LocalStore.open(tmp_path / "tapes.db") as store:
        assert import_claude(store).nodes_new == 2


def test_a_web_export_is_a_log_too(tmp_path: Path) -> None:
    """`{"loglines": [...]}` holds the same lines; importing it again, grown, adds what is new."""
    export = tmp_path / "session.json"
    export.write_text(json.dumps({"loglines": [_turn("1"), 7, _turn("2", parentUuid="1")]}))
    with LocalStore.open(tmp_path / "tapes.db") as store:
        first = import_claude(store, [export])
        again = import_claude(store, [export])
        export.write_text(json.dumps({"loglines": [_turn("1"), _turn("2"), _turn("3", parentUuid="2")]}))
        grown = import_claude(store, [export])
        turns = len(list(stored(store)))

    assert (first.nodes_new, first.skipped_lines, first.errors[0].line) == (3, 1, 2)
    assert (again.nodes_new, again.skipped_lines) == (0, 0)
    assert (grown.nodes_new, turns) == (1, 4)


@pytest.mark.parametrize("content", ["", "[]", '{"messages": []}', "no json", '{"loglines": 7}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    """A file that is neither log nor export is a mistake of the caller, named as such."""
    (tmp_path / "x.json").write_text(content)

    with pytest.raises(UsageError, match=r"x\.json is no Claude Code log"):
        find_logs([tmp_path / "x.json"])


def test_an_unreadable_file_is_a_row_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that cannot be opened does not stop the others."""
    _write(tmp_path / "p" / "good.jsonl", _turn("1"))
    bad = _write(tmp_path / "p" / "bad.jsonl", _turn("2"))
    whole = Path.open

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        if self == bad:  # chmod would not stop root
            raise PermissionError(13, "Permission denied")
        return whole(self, *args, **kwargs)  # type: ignore[call-overload]  # passed on as they came

    monkeypatch.setattr(Path, "open", refuse)
    with LocalStore.open(tmp_path / "tapes.db") as store:
        report = import_claude(store, [tmp_path])

    assert report.nodes_new == 2
    assert [(error.path, error.line) for error in report.errors] == [(str(bad), 0)]
    assert "Permission denied" in report.errors[0].problem


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_a_file_name_that_is_no_text_is_imported(tmp_path: Path) -> None:
    """POSIX file names are bytes; one that is no UTF-8 is imported, and reported escaped."""
    folder = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(folder)  # noqa: PTH102 - a Path cannot be made of bytes
    Path(os.fsdecode(folder), "s.jsonl").write_text(json.dumps(_turn("1")) + "\nbroken\n")

    with LocalStore.open(tmp_path / "tapes.db") as store:
        report = import_claude(store, [tmp_path])

    assert report.nodes_new == 2
    assert "\\xff\\xfe" in report.errors[0].path


@pytest.mark.parametrize(
    ("cwd", "project"),
    [
        ("/home/kim/src/demo", "demo"),
        ("/home/kim/src/demo/", "demo"),
        ("C:\\src\\demo", "demo"),
        ("\\\\host\\share\\demo", "demo"),
        ("/tmp/back\\slash", "back\\slash"),  # noqa: S108 - a name only
        ("/home/kim/Bäckerei 重", "Bäckerei 重"),
        ("/", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_a_project_is_the_last_part_of_its_directory(cwd: object, project: str | None) -> None:
    """The folder's slug in ~/.claude is lossy; the directory in the lines is not."""
    assert project == project_of(cwd)
