"""Importing whole folders: exact totals on adversarial logs, in any order, in any number of steps."""

import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from crypto.errors import UsageError
from store.local import LocalStore
from tapes.importers.claude import file_import, window
from tapes.importers.claude.run import import_claude
from tapes.importers.report import Progress
from tests.claude_logs import Log, World, encode, stored, stored_tokens, write_world

State = set[tuple[object, ...]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty local store."""
    with LocalStore.open(tmp_path / "tapes.db") as opened:
        yield opened


def _state(store: LocalStore) -> State:
    return {
        (f.hash, f.parent_hash, f.usage_id, f.output, f.stop_reason, f.cost_usd_micro, f.project)
        for f in stored(store)
    }


def _one_log(seed: int, turns: int) -> tuple[Log, World]:
    world = World(random.Random(seed), request_ids=0.5)
    log = Log(world, world.uuid(), "/home/kim/p")
    log.turns(turns)
    return log, world


@pytest.mark.parametrize("seed", range(8))
def test_totals_are_exact(store: LocalStore, tmp_path: Path, seed: int) -> None:
    """Duplicates, interleaving, subagents, forks, torn tails and broken lines change no count of anything."""
    truth = write_world(tmp_path / "projects", seed)

    report = import_claude(store, [tmp_path / "projects"])

    assert truth.tokens == stored_tokens(store)
    assert truth.nodes == report.nodes_new == len(list(stored(store)))
    assert (truth.conversations, truth.bad_lines) == (report.conversations, report.skipped_lines)
    assert truth.bad_lines == len(report.errors)


def test_a_second_import_finds_nothing_new(store: LocalStore, tmp_path: Path) -> None:
    """Importing twice stores nothing twice, reports the same conversations and no error again."""
    write_world(tmp_path / "projects", 3)
    first = import_claude(store, [tmp_path / "projects"])
    before = _state(store)

    again = import_claude(store, [tmp_path / "projects"])

    assert (again.nodes_new, again.skipped_lines, again.errors) == (0, 0, ())
    assert again.nodes_known == first.nodes_new + first.nodes_known
    assert (again.conversations, again.files) == (first.conversations, first.files)
    assert _state(store) == before


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_files_does_not_matter_to_totals(store: LocalStore, tmp_path: Path, seed: int) -> None:
    """One file at a time in a random order, forks before their parents too: the same turns and tokens."""
    truth = write_world(tmp_path / "projects", seed, request_ids=0.4)
    files = sorted((tmp_path / "projects").rglob("*.jsonl"))
    random.Random(seed).shuffle(files)

    for file in files:
        import_claude(store, [file])

    assert truth.tokens == stored_tokens(store)
    assert truth.calls == sum(facts.role == "assistant" for facts in stored(store))
    assert truth.prompts == sum(facts.role == "user" for facts in stored(store))


def test_a_moved_folder_brings_nothing_new(store: LocalStore, tmp_path: Path) -> None:
    """Lines are known by their ids, not by where their file lies."""
    write_world(tmp_path / "projects", 5)
    import_claude(store, [tmp_path / "projects"])
    before = _state(store)
    shutil.move(tmp_path / "projects", tmp_path / "elsewhere")

    report = import_claude(store, [tmp_path / "elsewhere"])

    assert report.nodes_new == 0
    assert _state(store) == before


def test_every_byte_prefix_ends_in_the_same_nodes(store: LocalStore, tmp_path: Path) -> None:
    """Whatever byte a read stops at, and however many reads there are, the end is what one read gives."""
    log, world = _one_log(10, turns=1)
    data, file = log.data(), tmp_path / "logs" / "s.jsonl"
    file.parent.mkdir()
    with LocalStore.open(tmp_path / "once.db") as once:
        file.write_bytes(data)
        import_claude(once, [file])
        expected = _state(once)
    skipped = 0

    for end in range(len(data) + 1):
        file.write_bytes(data[:end])
        skipped += import_claude(store, [file.parent]).skipped_lines

    assert expected == _state(store)
    assert world.truth.tokens == stored_tokens(store)
    assert world.truth.bad_lines == skipped


@pytest.mark.parametrize("units", [2, 4, 16])
@pytest.mark.parametrize("seed", [1, 2])
def test_steps_do_not_matter_when_calls_close(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, units: int
) -> None:
    """With a window so small that calls close half written, and batches of a few lines, steps still change nothing."""
    monkeypatch.setattr(window, "units_open_max", units)
    monkeypatch.setattr(file_import, "batch_lines_max", 5)
    log, world = _one_log(seed, turns=8)
    data, file = log.data(), tmp_path / "s.jsonl"
    with LocalStore.open(tmp_path / "once.db") as once:
        file.write_bytes(data)
        import_claude(once, [file])
        expected = _state(once)
    skipped = 0

    for end in [*sorted(random.Random(seed).sample(range(len(data)), 60)), len(data)]:
        file.write_bytes(data[:end])
        skipped += import_claude(store, [file]).skipped_lines

    assert expected == _state(store)
    assert world.truth.tokens == stored_tokens(store)
    assert world.truth.bad_lines == skipped > 0


def test_totals_are_exact_at_any_moment(store: LocalStore, tmp_path: Path) -> None:
    """A call that is still being written counts as far as it is written, and once."""
    world = World(random.Random(1))
    log = Log(world, world.uuid(), "/home/kim/p")
    log.prompt()
    call = log.new_call(tools=2)
    file = tmp_path / "s.jsonl"
    outputs = []

    for index in range(len(call.blocks)):
        log.write(call, index)
        file.write_bytes(log.data())
        import_claude(store, [file])
        line = log.lines[-1]
        assert isinstance(line, dict)
        outputs.append(line["message"]["usage"]["output_tokens"])
        assert stored_tokens(store)[call.message["model"]]["output"] == max(outputs)

    assert len(list(stored(store))) == 3  # root, prompt, call
    assert len(list(store.leaves())) == 1


def test_a_crash_costs_one_batch_and_no_count(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes and cursor are one transaction: after a crash at any batch, importing again gives the exact totals."""
    monkeypatch.setattr(file_import, "batch_lines_max", 4)
    log, world = _one_log(6, turns=6)
    file = tmp_path / "s.jsonl"
    file.write_bytes(log.data())
    whole = LocalStore.set_cursor
    for crash_at in (1, 2, 5):
        calls = iter(range(crash_at))

        def dying(
            self: LocalStore, source: str, state: dict[str, object], calls: Iterator[int] = calls
        ) -> None:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            whole(self, source, state)

        monkeypatch.setattr(LocalStore, "set_cursor", dying)
        with pytest.raises(KeyboardInterrupt):
            import_claude(store, [file])
    monkeypatch.setattr(LocalStore, "set_cursor", whole)

    report = import_claude(store, [file])

    assert world.truth.tokens == stored_tokens(store)
    assert world.truth.nodes + 1 == len(list(stored(store))) == report.nodes_new + report.nodes_known


def test_another_import_of_the_same_file_wins_cleanly(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two imports race for one growing file: the slower one starts over from the faster one's cursor, no turn doubles."""
    world = World(random.Random(2))
    log, file = Log(world, world.uuid(), "/home/kim/p"), tmp_path / "s.jsonl"
    log.prompt()
    call = log.new_call(tools=2)
    log.write(call, 0)
    file.write_bytes(log.data())
    others, look_up = iter([LocalStore.open(tmp_path / "tapes.db")]), LocalStore.line_nodes

    def overtaken(self: LocalStore, harness: str, keys: Iterable[str]) -> dict[str, str]:
        seen = look_up(self, harness, keys)
        other = next(others, None)
        if other is not None:  # we have read the file, and now it grows and somebody else imports it
            for index in range(1, len(call.blocks)):
                log.write(call, index)
            file.write_bytes(log.data())
            with other:
                import_claude(other, [file])
        return seen

    monkeypatch.setattr(LocalStore, "line_nodes", overtaken)
    import_claude(store, [file])

    assert next(others, None) is None
    assert world.truth.tokens == stored_tokens(store)
    assert len(list(stored(store))) == 3
    assert len(list(store.leaves())) == 1


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.95])
def test_a_cut_or_replaced_file_is_read_again(store: LocalStore, tmp_path: Path, keep: float) -> None:
    """A file that lost its end, and then got another one, loses nothing that was imported and doubles nothing."""
    log, world = _one_log(8, turns=4)
    file = tmp_path / "s.jsonl"
    data = log.data()
    file.write_bytes(data)
    import_claude(store, [file])
    before = _state(store)
    file.write_bytes(data[: int(len(data) * keep)])

    cut = import_claude(store, [file])
    log.lines = [line for line in log.lines if isinstance(line, dict)]
    log.turns(1)
    file.write_bytes(b"\n" + log.data())
    import_claude(store, [file])

    assert cut.nodes_new == 0
    assert before <= _state(store)
    assert world.truth.tokens == stored_tokens(store)


def test_a_deleted_log_takes_nothing_away(store: LocalStore, tmp_path: Path) -> None:
    """Claude Code deletes its logs after 30 days: absence is never a tombstone."""
    write_world(tmp_path / "projects", 2)
    import_claude(store, [tmp_path / "projects"])
    before = _state(store)
    shutil.rmtree(tmp_path / "projects")
    (tmp_path / "projects").mkdir()

    report = import_claude(store, [tmp_path / "projects"])

    assert (report.files, report.conversations) == (0, 0)
    assert _state(store) == before


def test_a_dry_run_counts_and_leaves_nothing(store: LocalStore, tmp_path: Path) -> None:
    """A dry run reports what an import would do, and the import after it does exactly that."""
    write_world(tmp_path / "projects", 4)

    dry = import_claude(store, [tmp_path / "projects"], dry_run=True)

    assert store.count() == 0
    assert dry == import_claude(store, [tmp_path / "projects"])


def test_progress_reaches_the_end(store: LocalStore, tmp_path: Path) -> None:
    """A progress bar is told every file and ends at all files and all bytes."""
    write_world(tmp_path / "projects", 1)
    told: list[Progress] = []

    import_claude(store, [tmp_path / "projects"], progress=told.append)

    assert [p.bytes_done for p in told] == sorted(p.bytes_done for p in told)
    assert (told[-1].files_done, told[-1].bytes_done) == (told[-1].files_total, told[-1].bytes_total)


def test_a_fork_hangs_its_subagents_under_its_parents_conversation(store: LocalStore, tmp_path: Path) -> None:
    """A fork has no root of its own, so that one conversation, with one visibility, holds all of it."""
    log, world = _one_log(12, turns=2)
    fork = log.forked(world.uuid())
    fork.turns(1)
    sub = Log(world, fork.session, fork.cwd, "a1")
    sub.prompt()
    folder = tmp_path / "-home-kim-p"
    (folder / fork.session / "subagents").mkdir(parents=True)
    (folder / f"{log.session}.jsonl").write_bytes(log.data())
    (folder / f"{fork.session}.jsonl").write_bytes(fork.data())
    (folder / fork.session / "subagents" / "agent-a1.jsonl").write_bytes(sub.data())

    report = import_claude(store, [tmp_path])

    assert report.conversations == 1
    assert sum(facts.parent_hash is None for facts in stored(store)) == 1


def test_a_replay_completes_a_torn_original(store: LocalStore, tmp_path: Path) -> None:
    """The parent's log lost the end of a call that a fork replays: the larger output counts, once."""
    world = World(random.Random(9))
    log = Log(world, world.uuid(), "/home/kim/p")
    log.prompt()
    call = log.new_call(tools=1)
    log.write(call, 0)
    partial = [dict(line) for line in log.lines if isinstance(line, dict)]
    full = [{**line, "sessionId": "fork"} for line in partial]
    full[-1]["message"] = {**full[-1]["message"], "usage": call.usage}
    (tmp_path / "a.jsonl").write_bytes(b"".join(encode(line) + b"\n" for line in partial))
    (tmp_path / "b.jsonl").write_bytes(b"".join(encode(line) + b"\n" for line in full))

    import_claude(store, [tmp_path / "a.jsonl"])
    import_claude(store, [tmp_path / "b.jsonl"])

    assert stored_tokens(store)[call.message["model"]]["output"] == call.usage["output_tokens"]
    assert len(list(stored(store))) == 3


def test_what_a_replay_holds_more_of_a_call_is_added(store: LocalStore, tmp_path: Path) -> None:
    """A fork made in the middle of a call writes its later blocks: they are kept, and the call is counted once."""
    world = World(random.Random(9))
    log = Log(world, world.uuid(), "/home/kim/p")
    log.prompt()
    call = log.new_call(tools=2)
    log.write(call, 0)
    torn = log.data()
    for index in range(1, len(call.blocks)):
        log.write(call, index)
    (tmp_path / "a.jsonl").write_bytes(torn)
    fork = [{**line, "sessionId": "fork"} for line in log.lines if isinstance(line, dict)]
    (tmp_path / "b.jsonl").write_bytes(b"".join(encode(line) + b"\n" for line in fork))

    import_claude(store, [tmp_path / "a.jsonl"])
    import_claude(store, [tmp_path / "b.jsonl"])
    nodes = [node for facts in stored(store) if (node := store.get(facts.hash))]
    kinds = [block["type"] for node in nodes for block in node.bucket["content"] if node.usage]

    assert kinds == [block["type"] for block in call.blocks]
    assert world.truth.tokens == stored_tokens(store)
    assert len(list(store.leaves())) == 1


def test_a_path_that_is_not_there_is_a_usage_error(store: LocalStore, tmp_path: Path) -> None:
    """A mistyped path says so and what would be right, before anything is imported."""
    with pytest.raises(UsageError, match="nothing at") as caught:
        import_claude(store, [tmp_path / "no such folder"])

    assert "projects folder" in caught.value.hint
