"""Importing Gemini CLI's chats: exact totals over a log that edits itself, read once or in any number of steps."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.local import LocalStore
from store.node_parse import node_from_bytes
from tapes.importers.gemini import chat_log
from tapes.importers.gemini.run import import_gemini
from tests.claude_logs import stored, stored_tokens
from tests.gemini_logs import Chat, live_chat, write_world

State = set[tuple[object, ...]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty local store."""
    with LocalStore.open(tmp_path / "tapes.db") as opened:
        yield opened


def _state(store: LocalStore) -> State:
    return {(f.hash, f.parent_hash, f.usage_id, f.output, f.cost_usd_micro, f.project) for f in stored(store)}


@pytest.mark.parametrize("seed", range(8))
def test_totals_are_exact(store: LocalStore, tmp_path: Path, seed: int) -> None:
    """Replaced messages, rewinds, checkpoints, subagents, junk and a torn tail change no count."""
    truth, _ = write_world(tmp_path / ".gemini", seed)

    report = import_gemini(store, [tmp_path / ".gemini"])

    assert truth.tokens == {model: +counts for model, counts in stored_tokens(store).items()}
    assert truth.nodes == report.nodes_new == store.count()
    assert (2, 3, truth.bad_lines) == (report.conversations, report.files, report.skipped_lines)
    assert {"heron", "old"} == {facts.project for facts in stored(store)}


def test_a_second_import_finds_nothing_new(store: LocalStore, tmp_path: Path) -> None:
    """Importing twice stores nothing twice and reports the same conversations and no error again."""
    write_world(tmp_path / ".gemini", 3)
    first = import_gemini(store, [tmp_path / ".gemini"])
    before = _state(store)

    again = import_gemini(store, [tmp_path / ".gemini"])

    assert (0, 0, ()) == (again.nodes_new, again.skipped_lines, again.errors)
    assert (first.conversations, first.files) == (again.conversations, again.files)
    assert first.nodes_new + first.nodes_known == again.nodes_known
    assert before == _state(store)


@pytest.mark.parametrize("seed", range(6))
def test_a_growing_chat_ends_as_if_read_once(tmp_path: Path, seed: int) -> None:
    """Cut at any byte and imported after each piece: messages that change meanwhile leave nothing behind that counts."""
    chat = live_chat(random.Random(seed))
    data = chat.data()
    file = tmp_path / "chat.jsonl"
    file.write_bytes(data)
    with LocalStore.open(tmp_path / "whole.db") as store:
        whole_report = import_gemini(store, [file])
        whole = _state(store)
    skipped = 0
    with LocalStore.open(tmp_path / "grown.db") as store:
        for cut in [*sorted(random.Random(seed).sample(range(1, len(data)), 20)), len(data)]:
            file.write_bytes(data[:cut])
            skipped += import_gemini(store, [file]).skipped_lines

        assert whole == _state(store)
        assert whole_report.skipped_lines == skipped


def test_a_rewind_leaves_a_branch(store: LocalStore, tmp_path: Path) -> None:
    """What was taken back stays readable as its own path; what is said instead goes on from before it."""
    chat = Chat(random.Random(1))
    chat.user()
    chat.gemini(tool=False)
    chat.lines.append({"$rewindTo": chat.messages[1]["id"]})
    chat.gemini(tool=False)
    file = tmp_path / "chat.jsonl"
    file.write_bytes(chat.data())

    import_gemini(store, [file])

    first, second = (store.ancestry(leaf) for leaf in store.leaves())
    assert 3 == len(first) == len(second)
    assert first[1:] == second[1:]


def test_the_legacy_object_and_the_log_are_one_chat(store: LocalStore, tmp_path: Path) -> None:
    """A chat that was kept as one object and is a log by now is imported once."""
    chat = Chat(random.Random(2))
    chat.turn()
    (tmp_path / "chats").mkdir()
    (tmp_path / "chats" / "session-a.json").write_bytes(chat.legacy())
    first = import_gemini(store, [tmp_path])
    (tmp_path / "chats" / "session-b.jsonl").write_bytes(chat.data())

    report = import_gemini(store, [tmp_path])

    assert (chat.truth.nodes, 0, 1) == (first.nodes_new, report.nodes_new, report.conversations)


def test_an_unknown_rewind_clears_all(store: LocalStore, tmp_path: Path) -> None:
    """As in the CLI: what follows a rewind to nowhere starts anew below the session's root."""
    chat = Chat(random.Random(3))
    chat.user()
    chat.lines.append({"$rewindTo": "nobody"})
    chat.user()
    file = tmp_path / "chat.jsonl"
    file.write_bytes(chat.data())

    import_gemini(store, [file])

    assert [2, 2] == [len(store.ancestry(leaf)) for leaf in store.leaves()]


def test_blocks_say_what_the_message_said(store: LocalStore, tmp_path: Path) -> None:
    """Thoughts, text, images, calls, results and errors each have their block; what is unknown stays as JSON."""
    parts = [
        {"text": "look"},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
        {"fileData": {"fileUri": "f"}},
    ]
    failed = {"id": "c1", "name": "rm", "args": {"p": 1}, "status": "error", "result": [
        {"functionResponse": {"id": "c1", "name": "rm", "response": {"error": "denied"}}}]}  # fmt: skip
    chat = Chat(random.Random(4))
    chat.lines += [
        {"id": "u", "type": "user", "content": parts},
        {"id": "g", "type": "gemini", "content": "ok", "thoughts": [{"subject": "S", "description": "D"}],
         "toolCalls": [failed, {"id": "c2", "name": "ls", "status": "executing"}]},
    ]  # fmt: skip
    file = tmp_path / "chat.jsonl"
    file.write_bytes(chat.data())
    import_gemini(store, [file])
    (head,) = store.leaves()

    results, said, asked, _ = (node.bucket["content"] for node in store.ancestry(head))

    assert [
        {"type": "tool_result", "tool_result_id": "c1", "tool_output": "denied", "is_error": True}
    ] == results
    assert {"type": "thinking", "text": "S\nD"} == said[0]
    assert [{"p": 1}, {}] == [block["tool_input"] for block in said[2:]]
    assert {"type": "image", "image_base64": "aGk=", "media_type": "image/png"} == asked[1]
    assert {"type": "fileData", "text": '{"fileData":{"fileUri":"f"}}'} == asked[2]


def test_hostile_chats_are_counted_not_raised(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong types anywhere, a file that is no chat, one that is too large: rows of the report."""
    (tmp_path / "chats").mkdir()
    lines = [
        {"sessionId": ["no"], "startTime": 7, "directories": "x"},
        {"id": "a", "type": {}, "content": {"deep": [1]}, "timestamp": "never"},
        {"id": "b", "type": "gemini", "toolCalls": 3, "thoughts": [4], "tokens": {"input": -1}, "model": []},
        {"$set": 4},
        {"$set": {"messages": [5, {"id": "c", "type": "user", "content": None}]}},
    ]
    (tmp_path / "chats" / "a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    (tmp_path / "chats" / "b.json").write_text("[" * 4_000)
    (tmp_path / "chats" / "c.json").write_text(" " * 50_000)
    monkeypatch.setattr(chat_log, "chat_bytes_max", 20_000)

    report = import_gemini(store, [tmp_path])

    assert (4, 3) == (report.nodes_new, report.skipped_lines)
    assert {"tokens.input is not a count", "larger than 0 MiB"} <= {error.problem for error in report.errors}


def test_every_node_hashes_to_its_name(store: LocalStore, tmp_path: Path) -> None:
    """What was stored reads back as the same turn: nothing in the mapping lies outside what era E3 hashes."""
    write_world(tmp_path / ".gemini", 7)
    import_gemini(store, [tmp_path / ".gemini"])

    data = [(facts.hash, store.get_bytes(facts.hash)) for facts in stored(store)]

    assert all(found and node_from_bytes(found, name).hash_version == "E3" for name, found in data)
