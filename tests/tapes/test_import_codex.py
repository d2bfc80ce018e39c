"""Importing Codex rollouts: exact totals whatever the order of lines, once for every call however often it was replayed."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from crypto.errors import UsageError
from store.local import LocalStore
from store.node_parse import node_from_bytes
from tapes.importers.codex import reading
from tapes.importers.codex.run import import_codex
from tests.claude_logs import stored, stored_tokens
from tests.codex_logs import ORDERS, Record, Rollout, World, encode, write_world

State = set[tuple[object, ...]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty local store."""
    with LocalStore.open(tmp_path / "tapes.db") as opened:
        yield opened


def _state(store: LocalStore) -> State:
    return {
        (f.hash, f.parent_hash, f.usage_id, f.output, f.cost_usd_micro, f.project, f.tool_errors)
        for f in stored(store)
    }


@pytest.mark.parametrize("seed", range(8))
def test_totals_are_exact(store: LocalStore, tmp_path: Path, seed: int) -> None:
    """Repeated counts, missing figures, every order, forks of forks, subagents, compactions and junk change no count."""
    truth = write_world(tmp_path, seed)

    report = import_codex(store, [tmp_path])

    assert truth.tokens == {model: +counts for model, counts in stored_tokens(store).items()}
    assert truth.nodes == report.nodes_new == store.count()
    assert (3, truth.bad_lines) == (report.conversations, report.skipped_lines)


def test_a_second_import_finds_nothing_new(store: LocalStore, tmp_path: Path) -> None:
    """Importing twice stores nothing twice and reports the same conversations and no error again."""
    write_world(tmp_path, 3)
    first = import_codex(store, [tmp_path])
    before = _state(store)

    again = import_codex(store, [tmp_path])

    assert (0, 0, ()) == (again.nodes_new, again.skipped_lines, again.errors)
    assert (first.conversations, first.files) == (again.conversations, again.files)
    assert first.nodes_new + first.nodes_known == again.nodes_known
    assert before == _state(store)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_growing_rollout_ends_as_if_read_once(tmp_path: Path, order: str, seed: int) -> None:
    """Cut at any byte and imported after each piece, the same turns and tokens stand there in the end."""
    rollout = Rollout(World(random.Random(seed)), order=order).begin()
    for _ in range(3):
        rollout.turn(3)
        rollout.compaction()
    data, rng = rollout.data(), random.Random(seed)
    file = rollout.write(tmp_path)
    with LocalStore.open(tmp_path / "whole.db") as store:
        import_codex(store, [file])
        whole = _state(store)
    cuts = sorted(rng.sample(range(1, len(data)), 25))
    with LocalStore.open(tmp_path / "grown.db") as store:
        for cut in [*cuts, len(data)]:
            file.write_bytes(data[:cut])
            import_codex(store, [file])

        assert whole == _state(store)


def test_batches_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few lines one transaction takes, the nodes are the same."""
    write_world(tmp_path, 5)
    with LocalStore.open(tmp_path / "large.db") as store:
        import_codex(store, [tmp_path])
        large = _state(store)
    monkeypatch.setattr(reading, "batch_lines_max", 3)
    with LocalStore.open(tmp_path / "small.db") as store:
        import_codex(store, [tmp_path])

        assert large == _state(store)


@pytest.mark.parametrize("seed", range(3))
def test_a_fork_without_its_parent_keeps_everything(tmp_path: Path, seed: int) -> None:
    """A missing parent's turns are kept; when it turns up later its turns are the very same nodes."""
    world = World(random.Random(seed))
    parent = Rollout(world).begin()
    world.truth.roots += 1
    parent.turn()
    fork = parent.child()
    fork.turn()
    file = fork.write(tmp_path)
    with LocalStore.open(tmp_path / "tapes.db") as store:
        import_codex(store, [file])

        assert world.truth.tokens == {m: +c for m, c in stored_tokens(store).items()}
        assert import_codex(store, [parent.write(tmp_path)]).nodes_new == 0
        assert world.truth.nodes == store.count()


def test_a_subagent_before_its_parent_counts_nothing_twice(store: LocalStore, tmp_path: Path) -> None:
    """A subagent's replay shares the usage ids of the calls it repeats: totals count them once, whichever came first."""
    world = World(random.Random(1))
    parent = Rollout(world).begin()
    parent.turn(3)
    subagent = parent.child(subagent=True)
    subagent.turn()

    import_codex(store, [subagent.write(tmp_path)])
    import_codex(store, [parent.write(tmp_path)])

    assert world.truth.tokens == {m: +c for m, c in stored_tokens(store).items()}


def test_a_subagent_hangs_below_its_session(store: LocalStore, tmp_path: Path) -> None:
    """It is the same conversation, under a root of its own; it does not continue its parent's turns."""
    world = World(random.Random(2))
    parent = Rollout(world).begin()
    parent.turn()
    subagent = parent.child(subagent=True)
    subagent.turn(1)
    for rollout in (parent, subagent):
        rollout.write(tmp_path)

    import_codex(store, [tmp_path])

    (head,) = (
        leaf
        for leaf in store.leaves()
        if (n := store.get(leaf)) and n.source and n.source.session == subagent.id
    )
    path = store.ancestry(head)
    assert [4, "session", "session"] == [len(path), path[-2].bucket["type"], path[-1].bucket["type"]]
    assert f"codex subagent {subagent.id}" == path[-2].bucket["content"][0]["text"]
    assert store.conversation_of(head) == path[-1].hash


def test_a_rollback_branches_off(store: LocalStore, tmp_path: Path) -> None:
    """Turns taken back by the user stay as a branch: they were paid for, and the next turn does not follow them."""
    rollout = Rollout(World(random.Random(3))).begin()
    rollout.turn(1)
    rollout.turn(1)
    rollout.event("thread_rolled_back", num_turns=1)
    rollout.turn(1)

    import_codex(store, [rollout.write(tmp_path)])

    assert [5, 5] == [len(store.ancestry(leaf)) for leaf in store.leaves()]
    assert rollout.world.truth.tokens == {m: +c for m, c in stored_tokens(store).items()}


def test_packing_and_archiving_change_nothing(store: LocalStore, tmp_path: Path) -> None:
    """A rollout that Codex compresses or moves is still the same one; beside a plain file the packed one is ignored."""
    rollout = Rollout(World(random.Random(4))).begin()
    rollout.turn()
    plain = rollout.write(tmp_path)
    import_codex(store, [tmp_path])
    before = _state(store)
    packed = rollout.write(tmp_path, packed=True)
    packed.write_bytes(b"the plain one wins")
    assert (0, 1, ()) == _brief(store, tmp_path)
    plain.unlink()
    (tmp_path / "archived_sessions").mkdir()
    rollout.turn()
    (tmp_path / "archived_sessions" / packed.name).write_bytes(zstandard.compress(rollout.data()))
    packed.unlink()

    report = import_codex(store, [tmp_path])

    assert (4, 1, ()) == (report.nodes_new, report.files, report.errors)
    assert before < _state(store)


def _brief(store: LocalStore, home: Path) -> tuple[int, int, object]:
    report = import_codex(store, [home])
    return report.nodes_new, report.files, report.errors


def test_a_packed_rollout_that_is_cut_is_reported(store: LocalStore, tmp_path: Path) -> None:
    """Bytes that are no whole zstd are a row of the report that names the file, and no traceback."""
    rollout = Rollout(World(random.Random(4))).begin()
    file = rollout.write(tmp_path, packed=True)
    file.write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 50)

    report = import_codex(store, [tmp_path])

    assert ["cannot be read: not whole zstd data (ZstdError)"] == [error.problem for error in report.errors]


def test_blocks_say_what_the_items_said(store: LocalStore, tmp_path: Path) -> None:
    """Arguments are parsed, patches stay text, thoughts are thinking, an exit code is an error, unknown items stay JSON."""
    rollout = Rollout(World(random.Random(5))).begin()
    rollout.item("reasoning", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="gAAA")
    rollout.item("function_call", name="shell", arguments='{"command": ["ls"]}', call_id="c1")
    rollout.item("function_call", name="shell", arguments="not json", call_id="c2")
    rollout.item("custom_tool_call", name="apply_patch", input="*** Begin Patch", call_id="c3")
    rollout.item("telepathy_call", thought="?")
    output = json.dumps({"output": "no", "metadata": {"exit_code": 2}})
    rollout.item("function_call_output", call_id="c1", output=output)
    rollout.item("function_call_output", call_id="c2", output=[{"type": "input_text", "text": "yes"}])
    import_codex(store, [rollout.write(tmp_path)])

    (head,) = store.leaves()
    last, first, call, _ = store.ancestry(head)

    assert {"type": "tool_result", "tool_result_id": "c2", "tool_output": "yes"} == last.bucket["content"][0]
    assert first.bucket["content"][0]["is_error"]
    thinking, ls, raw, patch, unknown = call.bucket["content"]
    assert {"type": "thinking", "text": "hm", "thinking_signature": "gAAA"} == thinking
    assert ({"command": ["ls"]}, {"arguments": "not json"}) == (ls["tool_input"], raw["tool_input"])
    assert {"input": "*** Begin Patch"} == patch["tool_input"]
    assert {"type": "telepathy_call", "text": '{"type":"telepathy_call","thought":"?"}'} == unknown


def test_the_first_versions_files_are_read(store: LocalStore, tmp_path: Path) -> None:
    """Rollouts of 2025 had no envelope around their items."""
    file = tmp_path / "rollout-2025-05-07T17-24-21-5973b6c0-94b8-487b-a530-2aeb6098ae0e.jsonl"
    lines: list[Record] = [
        {
            "id": "5973b6c0-94b8-487b-a530-2aeb6098ae0e",
            "timestamp": "2025-05-07T17:24:21.000Z",
            "instructions": None,
        },
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]},
    ]
    file.write_bytes(b"".join(encode(line) for line in lines))

    report = import_codex(store, [tmp_path])

    assert (3, 0) == (report.nodes_new, report.skipped_lines)


def test_hostile_lines_are_counted_not_raised(store: LocalStore, tmp_path: Path) -> None:
    """Wrong types anywhere are a skipped line or an oddity in the report; the lines around them are imported."""
    rollout = Rollout(World(random.Random(6))).begin(source={"subagent": 7}, id="x" * 900)
    rollout.turn(1)
    for payload in (None, 3, {"type": "message", "role": [], "content": {}}):
        rollout.lines.append({"type": "response_item", "payload": payload})
    rollout.event("token_count", info={"last_token_usage": {"input_tokens": -4, "output_tokens": "many"}})
    rollout.event("thread_rolled_back", num_turns="all")
    rollout.line("event_msg", {"type": {}})
    rollout.line("turn_context", {"turn_id": 9, "cwd": 4, "model": {}})
    rollout.lines.append(b'{"type": ' + b"[" * 5_000 + b"\n")
    rollout.turn(1)

    report = import_codex(store, [rollout.write(tmp_path)])

    assert (5, 4) == (report.nodes_new, report.skipped_lines)
    assert any("is not a count" in error.problem for error in report.errors)


def test_every_node_hashes_to_its_name(store: LocalStore, tmp_path: Path) -> None:
    """What was stored reads back as the same turn: nothing in the mapping lies outside what era E3 hashes."""
    write_world(tmp_path, 7)
    import_codex(store, [tmp_path])

    data = [(facts.hash, store.get_bytes(facts.hash)) for facts in stored(store)]

    assert all(found and node_from_bytes(found, name).hash_version == "E3" for name, found in data)


def test_a_dry_run_keeps_nothing(store: LocalStore, tmp_path: Path) -> None:
    """The report is the real one, and the store is as it was."""
    truth = write_world(tmp_path, 1)

    report = import_codex(store, [tmp_path], dry_run=True)

    assert (truth.nodes, 0) == (report.nodes_new, store.count())


def test_a_path_that_is_not_there_is_the_callers_mistake(store: LocalStore, tmp_path: Path) -> None:
    """A mistyped path is an error with a hint, not an empty import."""
    with pytest.raises(UsageError, match="nothing at"):
        import_codex(store, [tmp_path / "nowhere"])
