"""The tree of turns: what follows what when the log's own tree is cut, crossed by other lines, or really branches."""

from pathlib import Path
from typing import Any

import pytest

from store.local import LocalStore
from store.nodes import Node
from tapes.importers.claude import window
from tapes.importers.claude.run import import_claude
from tapes.importers.report import ImportReport
from tests.claude_logs import encode

Line = dict[str, Any]
Shape = dict[str, str]  # what a turn says -> what the turn before it says
ROOT = "claude session s"


def _user(uuid: str, parent: str | None, text: Any = "", **fields: Any) -> Line:
    message = {"role": "user", "content": text or uuid}
    return {
        "type": "user",
        "uuid": uuid,
        "parentUuid": parent,
        "sessionId": "s",
        "message": message,
        **fields,
    }


def _result(uuid: str, parent: str, tool: str) -> Line:
    block = {"type": "tool_result", "tool_use_id": tool, "content": uuid}
    return _user(uuid, parent, [block])


def _said(uuid: str, parent: str | None, message_id: str, block: Line | str = "", **fields: Any) -> Line:
    content = [block] if isinstance(block, dict) else [{"type": "text", "text": block or uuid}]
    usage = {"input_tokens": 1, "output_tokens": 9}
    message = {"id": f"msg_{message_id}", "model": "m", "content": content, "usage": usage}
    return {
        "type": "assistant",
        "uuid": uuid,
        "parentUuid": parent,
        "sessionId": "s",
        "message": message,
        **fields,
    }


def _tool(uuid: str, parent: str, message_id: str, tool: str) -> Line:
    return _said(uuid, parent, message_id, {"type": "tool_use", "id": tool, "name": uuid, "input": {}})


def _words(node: Node) -> str:
    """What a turn says, by its first block."""
    block = node.bucket["content"][0]
    return str(block.get("text") or block.get("tool_output") or block.get("tool_name"))


def _import(folder: Path, *lines: Line) -> tuple[Shape, list[Node], ImportReport]:
    """Import lines as one file; answers the tree's shape, its nodes and the report."""
    file = folder / "s.jsonl"
    file.write_bytes(b"".join(encode(line) + b"\n" for line in lines))
    with LocalStore.open(folder / "tapes.db") as store:
        report = import_claude(store, [file])
        nodes = [node for row in store.facts() if (node := store.get(row.facts.hash))]
    words = {node.hash: _words(node) for node in nodes}
    return {words[n.hash]: words[n.parent_hash] for n in nodes if n.parent_hash}, nodes, report


def test_blocks_of_one_call_are_one_turn(tmp_path: Path) -> None:
    """The lines of one message.id become one node: blocks in order, each once, the last stop reason, the largest usage."""
    first = _said("a1", "u1", "A", "thinking aloud")
    again = {**first, "message": {**first["message"], "usage": {"input_tokens": 1, "output_tokens": 3}}}
    last = _tool("a2", "a1", "A", "t1")
    last["message"] |= {"usage": {"input_tokens": 1, "output_tokens": 40}, "stop_reason": "tool_use"}
    late = _said("a3", "a2", "A", "thinking aloud")

    shape, nodes, _ = _import(tmp_path, _user("u1", None), first, again, last, late)

    assert shape == {"u1": ROOT, "thinking aloud": "u1"}
    assert [block["type"] for block in nodes[-1].bucket["content"]] == ["text", "tool_use"]
    assert nodes[-1].usage is not None
    assert (nodes[-1].usage.output, nodes[-1].stop_reason) == (40, "tool_use")
    assert nodes[-1].source is not None
    assert nodes[-1].source.extra["uuids"] == ["a1", "a2", "a3"]


def test_parallel_results_make_no_branch(tmp_path: Path) -> None:
    """Results of parallel calls stand one after the other, and what follows any of them follows the last."""
    lines = (
        _user("u1", None),
        _tool("a1", "u1", "A", "t1"),
        _tool("a2", "a1", "A", "t2"),
        _tool("a3", "a2", "A", "t3"),
        _result("r2", "a2", "t2"),
        _result("r1", "a1", "t1"),
        _result("r3", "a3", "t3"),
        _said("b1", "r1", "B"),
    )

    shape, _, _ = _import(tmp_path, *lines)

    assert shape == {"u1": ROOT, "a1": "u1", "r2": "a1", "r1": "r2", "r3": "r1", "b1": "r3"}


def test_results_between_the_lines_of_a_call_join_it(tmp_path: Path) -> None:
    """Tools start while the call still streams: its later lines belong to the turn before their results."""
    lines = (
        _user("u1", None),
        _tool("a1", "u1", "A", "t1"),
        _result("r1", "a1", "t1"),
        _tool("a2", "r1", "A", "t2"),
        _result("r2", "a2", "t2"),
        _said("b1", "r2", "B"),
    )

    shape, _, _ = _import(tmp_path, *lines)

    assert shape == {"u1": ROOT, "a1": "u1", "r1": "a1", "r2": "r1", "b1": "r2"}


def test_an_answer_given_again_is_a_branch(tmp_path: Path) -> None:
    """A tool run a second time, after a rewind, is another branch below the call."""
    lines = (
        _user("u1", None),
        _tool("a1", "u1", "A", "t1"),
        _result("r1", "a1", "t1"),
        _said("b1", "r1", "B"),
        _result("again", "a1", "t1"),
        _said("c1", "again", "C"),
    )

    shape, _, _ = _import(tmp_path, *lines)

    assert shape == {"u1": ROOT, "a1": "u1", "r1": "a1", "b1": "r1", "again": "a1", "c1": "again"}


def test_an_edited_prompt_is_a_branch(tmp_path: Path) -> None:
    """Going back to an earlier turn and saying something else is a real branch."""
    lines = (
        _user("u1", None),
        _said("a1", "u1", "A"),
        _user("u2", "a1"),
        _said("b1", "u2", "B"),
        _user("other", "a1"),
        _said("c1", "other", "C"),
    )

    shape, _, _ = _import(tmp_path, *lines)

    assert shape == {"u1": ROOT, "a1": "u1", "u2": "a1", "b1": "u2", "other": "a1", "c1": "other"}


def test_the_tree_runs_through_lines_that_are_no_turns(tmp_path: Path) -> None:
    """Attachments, progress and unknown lines stand between turns: the chain passes, and they are kept verbatim."""
    hook = {
        "type": "attachment",
        "uuid": "h",
        "parentUuid": "u1",
        "sessionId": "s",
        "attachment": {"type": "hook"},
    }
    news = {"type": "hologram", "uuid": "n", "parentUuid": "h", "sessionId": "s", "depth": [3]}
    snap = {"type": "file-history-snapshot", "messageId": "m", "snapshot": {}}

    shape, nodes, report = _import(tmp_path, _user("u1", None), hook, news, snap, _said("a1", "n", "A"), snap)

    assert shape == {"u1": ROOT, "a1": "u1"}
    assert nodes[-1].source is not None
    assert nodes[-1].source.extra["lines"] == [hook, news, snap]
    assert report.waiting_lines == 1


def test_lines_that_are_no_turns_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going back to an attachment of long ago is going back to the turn it stood behind, also in a later import."""
    monkeypatch.setattr(window, "units_open_max", 1)
    hook = {
        "type": "attachment",
        "uuid": "h",
        "parentUuid": "u1",
        "sessionId": "s",
        "attachment": {"type": "hook"},
    }
    lines = [_user("u1", None), hook, _said("a1", "h", "A"), _user("u2", "a1"), _said("b1", "u2", "B")]

    _import(tmp_path, *lines)
    shape, _, _ = _import(tmp_path, *lines, _user("back", "h"))

    assert shape == {"u1": ROOT, "a1": "u1", "u2": "a1", "b1": "u2", "back": "u1"}


def test_a_queued_prompt_is_a_turn_in_its_place(tmp_path: Path) -> None:
    """A prompt typed while the agent was busy has no place in the tree: it goes where it stands in the file."""
    queued = {
        "type": "attachment",
        "attachment": {"type": "queued_command", "prompt": "hurry"},
        "sessionId": "s",
    }
    lines = (
        _user("u1", None),
        _tool("a1", "u1", "A", "t1"),
        queued,
        _result("r1", "a1", "t1"),
        _said("b1", "r1", "B"),
    )

    shape, nodes, _ = _import(tmp_path, *lines)

    assert shape == {"u1": ROOT, "a1": "u1", "hurry": "a1", "r1": "hurry", "b1": "r1"}
    assert next(node.bucket["role"] for node in nodes if _words(node) == "hurry") == "user"


@pytest.mark.parametrize("parent", [None, "of a line that is gone"])
def test_a_cut_tree_goes_on_in_file_order(tmp_path: Path, parent: str | None) -> None:
    """After a compaction, or when lines are missing, a turn follows the one before it in the file, not the root."""
    shape, nodes, _ = _import(
        tmp_path, _user("u1", None), _said("a1", "u1", "A"), _user("u2", parent, isCompactSummary=True)
    )

    assert shape == {"u1": ROOT, "a1": "u1", "u2": "a1"}
    assert nodes[-1].source is not None
    assert nodes[-1].source.extra["isCompactSummary"] is True


def test_the_same_words_in_two_sessions_are_two_turns(tmp_path: Path) -> None:
    """A root "hi" of two sessions must not be one node: who may read the one could read what follows the other."""
    (tmp_path / "logs").mkdir()
    with LocalStore.open(tmp_path / "tapes.db") as store:
        for session in ("s1", "s2"):
            line = _user(f"u-{session}", None, "hi") | {"sessionId": session}
            (tmp_path / "logs" / f"{session}.jsonl").write_bytes(encode(line) + b"\n")
        report = import_claude(store, [tmp_path / "logs"])

    assert (report.conversations, report.nodes_new) == (2, 4)


def test_subagents_hang_below_their_session(tmp_path: Path) -> None:
    """A subagent's turns belong to the conversation of its session, whichever file is imported first."""
    sub = tmp_path / "logs" / "s" / "subagents" / "workflows" / "w1" / "agent-x9.jsonl"
    sub.parent.mkdir(parents=True)
    sub.write_bytes(encode(_user("q1", None, isSidechain=True, agentId="x9")) + b"\n")
    with LocalStore.open(tmp_path / "tapes.db") as store:
        import_claude(store, [tmp_path / "logs"])
        (tmp_path / "logs" / "s.jsonl").write_bytes(encode(_user("u1", None)) + b"\n")
        report = import_claude(store, [tmp_path / "logs"])
        conversations = {row.conversation for row in store.facts()}
        words = [_words(node) for row in store.facts() if (node := store.get(row.facts.hash))]

    assert (len(conversations), report.conversations) == (1, 1)
    assert words == [ROOT, "claude subagent x9", "q1", "u1"]


def test_sidechains_inside_a_session_are_kept_apart(tmp_path: Path) -> None:
    """Old versions wrote subagents between a session's own lines, without an id: each hangs below the session's root."""
    side = [
        _user("q1", None, isSidechain=True),
        _said("q2", "q1", "Q", isSidechain=True),
        _user("p1", None, isSidechain=True),
    ]

    shape, _, report = _import(tmp_path, _user("u1", None), *side, _said("a1", "u1", "A"))

    assert shape["u1"] == ROOT
    assert (shape["q2"], shape["a1"]) == ("q1", "u1")
    assert shape["q1"] != shape["p1"]
    assert {shape[shape["q1"]], shape[shape["p1"]]} == {ROOT}
    assert report.conversations == 1


def test_calls_without_an_id_are_turns_of_their_own(tmp_path: Path) -> None:
    """Without message.id nothing ties lines together; each is a turn, counted by its own uuid."""
    lines = [_said("a1", "u1", "A"), _said("a2", "a1", "A")]
    for line in lines:
        del line["message"]["id"]

    shape, nodes, _ = _import(tmp_path, _user("u1", None), *lines)

    assert shape == {"u1": ROOT, "a1": "u1", "a2": "a1"}
    assert [node.source.usage_id for node in nodes if node.source and node.usage] == ["uuid:a1", "uuid:a2"]


def test_a_proxys_short_ids_do_not_join_calls(tmp_path: Path) -> None:
    """A proxy that calls every answer "1" means something else each time: session and request belong to the key."""
    lines = [_said("a1", "u1", "A", requestId="r1"), _said("a2", "a1", "A", requestId="r2")]
    for line in lines:
        line["message"]["id"] = "1"

    _, nodes, _ = _import(tmp_path, _user("u1", None), *lines)

    assert [node.source.usage_id for node in nodes if node.source and node.usage] == ["1@s/r1", "1@s/r2"]


def test_what_a_turn_knows_besides_is_kept(tmp_path: Path) -> None:
    """Project and time are normalised; cwd, branch, version, request and unknown fields stand in `extra` verbatim."""
    line = _said(
        "a1", None, "A", cwd="/home/kim/src/demo", gitBranch="main", version="2", requestId="req_1",
        timestamp="2026-02-14T10:30:00.5+01:00", novelty={"x": 1},
    )  # fmt: skip
    line["message"] |= {"stop_sequence": "END", "container": None}

    _, (root, node), _ = _import(tmp_path, line)

    assert (node.project, node.created_at) == ("demo", "2026-02-14T09:30:00.500000Z")
    assert (root.project, root.created_at) == (node.project, node.created_at)
    assert node.source is not None
    assert node.source.extra["cwd"] == "/home/kim/src/demo"
    assert node.source.extra["novelty"] == {"x": 1}
    assert node.source.extra["message"] == {"stop_sequence": "END"}
    assert {"gitBranch", "version", "requestId", "uuid"} <= node.source.extra.keys()


def test_lines_without_turns_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless lines between two turns cannot grow a node without end: beyond the bound they are counted and named."""
    monkeypatch.setattr(window, "side_bytes_max", 500)
    noise = {"type": "progress", "sessionId": "s", "data": "x" * 100}

    _, nodes, report = _import(tmp_path, _user("u1", None), *[noise] * 10, _said("a1", "u1", "A"))

    assert nodes[-1].source is not None
    kept = len(nodes[-1].source.extra["lines"])
    assert 0 < kept < 10
    assert report.skipped_lines == 10 - kept


def test_a_call_logged_again_under_new_ids_is_not_told_twice(tmp_path: Path) -> None:
    """A replay that gives its lines new uuids is still the same call by its message.id: only what is new is added."""
    told = {"type": "text", "text": "told"}
    more = {"type": "text", "text": "more"}
    with LocalStore.open(tmp_path / "tapes.db") as store:
        reports = []
        for number, content in enumerate(([told], [told], [told, more])):
            line = _said(f"a{number}", None, "A")
            line["message"] |= {"content": content}
            file = tmp_path / f"{number}.jsonl"
            file.write_bytes(encode(line) + b"\n")
            reports.append(import_claude(store, [file]))
        contents = [node.bucket["content"] for row in store.facts() if (node := store.get(row.facts.hash))]

    assert [(report.nodes_new, report.nodes_known) for report in reports] == [(2, 0), (0, 1), (1, 0)]
    assert contents[1:] == [[{"type": "text", "text": "told"}], [{"type": "text", "text": "more"}]]


def test_a_file_of_many_sessions_is_many_conversations(tmp_path: Path) -> None:
    """Logs written one after the other into one file are told apart by their lines, however many there are."""
    lines = [
        _user(f"u{number}", None, "hi") | {"sessionId": f"s{number}"}
        for number in range(window.lanes_max + 50)
    ]

    shape, nodes, report = _import(tmp_path, *lines)

    assert report.conversations == len(lines)
    assert len(nodes) == 2 * len(lines)
    assert shape["hi"].startswith("claude session")
