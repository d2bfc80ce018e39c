"""The local store's content: what is added stays as it was, and every question about it gets the same answer again."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.errors import FormatBroken, UsageError
from store import local
from store.facts import NodeFacts, facts_of
from store.local import Added, LinkColumn, LocalStore
from store.nodes import Cost, Node, Source, Usage, node_to_bytes
from tests.node_strategies import nodes, turn


def _chain(*texts: str) -> list[Node]:
    made: list[Node] = []
    for text in texts:
        made.append(turn(text, made[-1].hash if made else None))
    return made


def _call(output: int, usage_id: str | None = "msg_1", **more: Any) -> Node:
    source = Source("claude", "session-1", usage_id)
    cost = Cost(output * 10, "computed", "table")
    return replace(turn("answer"), usage=Usage(output=output), cost=cost, source=source, **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty store."""
    with LocalStore.open(tmp_path / "tapes.db") as opened:
        yield opened


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(nodes(), max_size=5, unique_by=lambda node: node.hash))
def test_what_was_added_comes_back(tmp_path_factory: pytest.TempPathFactory, several: list[Node]) -> None:
    """Nodes, their bytes as written and their facts are the ones that went in."""
    with LocalStore.open(tmp_path_factory.mktemp("s") / "tapes.db") as store:
        added = store.add(several)

        assert added == Added(len(several), 0, 0)
        assert [store.get(node.hash) for node in several] == several
        assert [store.get_bytes(node.hash) for node in several] == [node_to_bytes(node) for node in several]
        assert [facts.facts for facts in store.facts()] == [facts_of(node) for node in several]


def test_the_columns_are_the_facts() -> None:
    """Every fact has its column in the schema; a new fact needs a migration."""
    script = (resources.files("store") / "migrations" / "0001_nodes.sql").read_text()
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(script)
        columns = {row[1] for row in db.execute("PRAGMA table_info(nodes)")}

    own = {"id", "conversation", "superseded_by", "change", "stored_bytes"}
    assert columns == {*NodeFacts._fields} | own


def test_adding_again_changes_nothing(store: LocalStore) -> None:
    """A known hash is counted as known and its first metadata stays."""
    first = replace(turn("a"), project="one")

    assert store.add([first, turn("b")]) == Added(2, 0, 0)
    assert store.add([replace(first, project="two"), turn("b")]) == Added(0, 2, 0)
    assert store.get(first.hash) == first
    assert store.last_change() == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(several=st.lists(nodes(), min_size=1, max_size=8, unique_by=lambda node: node.hash), data=st.data())
def test_batches_make_no_difference(
    tmp_path_factory: pytest.TempPathFactory, several: list[Node], data: st.DataObject
) -> None:
    """Nodes given twice, better or worse, in one call or many, in batches of one or all: the same rows in the same order."""
    again = [replace(node, usage=Usage(output=data.draw(st.integers(0, 9)))) for node in several]
    order = data.draw(st.permutations([*several, *again]))
    dumps = []
    for batch_nodes, calls in ((1, [order]), (500, [order]), (3, [[node] for node in order])):
        with (
            pytest.MonkeyPatch.context() as patch,
            LocalStore.open(tmp_path_factory.mktemp("store") / "tapes.db") as store,
        ):
            patch.setattr(local, "batch_nodes_max", batch_nodes)
            added = [store.add(call) for call in calls]
            facts = [row._replace(stored_bytes=0) for row in store.facts()]
            stored = [store.get_bytes(row.facts.hash) for row in store.facts()]
            dumps.append((sum(a.new for a in added), sum(a.known for a in added), facts, stored))

    assert dumps[0] == dumps[1] == dumps[2]


def test_gathered_transactions_are_committed_together_each_whole(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others see none of them before their time is up; one that failed is taken back alone, whatever else ends the work."""
    monkeypatch.setattr(local, "gather_seconds_max", 3_600.0)
    with LocalStore.open(store.path) as other:
        with suppress(FormatBroken), store.unhurried():
            store.add([turn("first")])
            assert (store.count(), other.count()) == (1, 0)
            store.add([turn("second"), replace(turn("third"), hash="A" * 64)])
        assert other.has([turn("first").hash, turn("second").hash]) == {turn("first").hash}
        with store.unhurried():
            store.add([turn("waits")])
            store.cursor("a file")
            assert not other.has([turn("waits").hash])
            store._gathers_until = 0.0
            store.cursor("an untouched file")
            assert other.has([turn("waits").hash])
        monkeypatch.setattr(local, "gather_seconds_max", 0.0)
        with store.unhurried():
            store.add([turn("fourth")])
            assert other.has([turn("fourth").hash])
            other.add([turn("fifth")])


def test_unhurried_writes_are_whole_and_last(store: LocalStore) -> None:
    """What is written without waiting for the disk is there like anything else, and afterwards the store waits again."""
    node = turn("unhurried")
    settings = ("synchronous", "cache_size", "wal_autocheckpoint")
    before = [store._run(f"PRAGMA {name}") for name in settings]
    with store.unhurried(), store.transaction():
        store.add([node])
        assert all(store._run(f"PRAGMA {name}") != was for name, was in zip(settings, before, strict=True))
    with pytest.raises(RuntimeError), store.unhurried():
        raise RuntimeError

    assert store.has([node.hash])
    with LocalStore.open(store.path) as other:
        assert node == other.get(node.hash)
    assert [(2,)] == before[0]
    assert before == [store._run(f"PRAGMA {name}") for name in settings]


def test_unverified_nodes_are_kept_and_counted(store: LocalStore) -> None:
    """A node that fits no era is stored like any other, marked."""
    strange = replace(turn("a"), hash="0" * 64, hash_version=None)

    assert store.add([strange]) == Added(1, 0, 1)
    assert store.get(strange.hash) == strange


def test_a_larger_output_of_the_same_call_replaces_usage_cost_and_stop_reason(store: LocalStore) -> None:
    """A turn read while growing gets its final numbers; project and time stay those of the first."""
    store.add([_call(5, project="p", stop_reason=None)])
    change = store.last_change()

    assert store.add([_call(50, project="q", stop_reason="end_turn")]) == Added(0, 1, 0)
    stored = store.get(turn("answer").hash)
    assert stored == _call(50, project="p", stop_reason="end_turn")
    (facts,) = store.facts()
    assert facts.facts == facts_of(stored)
    assert facts.stored_bytes == len(store.get_bytes(stored.hash) or b"")
    assert store.last_change() > change


@pytest.mark.parametrize(
    "later",
    [_call(5), _call(4), replace(_call(9), usage=None), _call(9, "msg_2")],
    ids=["equal", "less", "none", "other"],
)
def test_nothing_else_replaces_usage(store: LocalStore, later: Node) -> None:
    """Not an equal or smaller count, not a missing one, and not another call that happened to give the same turn."""
    store.add([_call(5)])
    store.add([later])

    assert store.get(later.hash) == _call(5)


def test_a_conversation_is_that_of_the_parent_and_never_changes(store: LocalStore) -> None:
    """Children join their parent's conversation; one that came before its parent keeps its own for ever."""
    root, middle, leaf = _chain("root", "middle", "leaf")
    store.add([middle, leaf])
    store.add([root])

    assert store.conversation_of(leaf.hash) == middle.hash
    assert store.conversation_of(middle.hash) == middle.hash
    assert store.conversation_of(root.hash) == root.hash
    assert store.conversation_of("0" * 64) is None


def test_ancestry_ends_at_the_root_a_gap_or_a_cycle(store: LocalStore) -> None:
    """Node first, root last; a missing parent ends the list, and two nodes that name each other do not hang it."""
    chain = _chain("a", "b", "c")
    store.add(chain)
    orphan = turn("orphan", "1" * 64)
    first = replace(turn("x"), hash="2" * 64, hash_version=None, parent_hash="3" * 64)
    second = replace(turn("y"), hash="3" * 64, hash_version=None, parent_hash="2" * 64)
    store.add([orphan, first, second])

    assert store.ancestry(chain[2].hash) == chain[::-1]
    assert store.ancestry(orphan.hash) == [orphan]
    assert store.ancestry(first.hash) == [first, second]
    assert store.ancestry("4" * 64) == []


def test_leaves_has_resolve_and_count(store: LocalStore) -> None:
    """Leaves are nodes without children; prefixes find hashes in order; foreign text finds nothing."""
    chain = _chain("a", "b")
    fork = turn("c", chain[0].hash)
    store.add([*chain, fork])
    every = sorted([chain[0].hash, chain[1].hash, fork.hash])

    assert list(store.leaves()) == sorted([chain[1].hash, fork.hash])
    assert store.has([*every, "0" * 64, "\ud800"]) == set(every)
    assert store.resolve("", 10) == every
    assert store.resolve("", 2) == every[:2]
    assert store.resolve(fork.hash[:9], 10) == [fork.hash]
    assert store.resolve(fork.hash[:9].upper() + "%", 10) == []
    assert store.count() == 3


def test_a_superseded_node_is_marked_and_no_leaf(store: LocalStore) -> None:
    """The provisional turn stays stored, is told apart in the facts, and no session ends in it."""
    parent = turn("question")
    growing, whole = turn("ans", parent.hash), turn("answer", parent.hash)
    store.add([parent, growing, whole])
    store.supersede(growing.hash, whole.hash)

    assert list(store.leaves()) == [whole.hash]
    assert [facts.superseded for facts in store.facts()] == [False, True, False]
    assert store.get(growing.hash) == growing


def test_superseding_in_a_circle_or_nothing_is_refused(store: LocalStore) -> None:
    """A node cannot replace itself, directly or round about, and an unknown one cannot be replaced."""
    a, b, c = turn("a"), turn("b"), turn("c")
    store.add([a, b, c])
    store.supersede(a.hash, b.hash)
    store.supersede(b.hash, c.hash)

    for old, new in [(a.hash, a.hash), (c.hash, a.hash), ("0" * 64, a.hash)]:
        with pytest.raises(UsageError):
            store.supersede(old, new)


def test_lines_keep_their_first_node_until_it_is_superseded(store: LocalStore) -> None:
    """The first writer wins; once its node was replaced, readers get the successor and a new one may be remembered."""
    a, b = turn("a"), turn("b")
    store.add([a, b])
    store.remember_lines("claude", {"uuid:1": a.hash, "uuid:\udcff": a.hash})
    store.remember_lines("claude", {"uuid:1": b.hash})
    assert store.line_nodes("claude", ["uuid:1", "uuid:\udcff", "uuid:2"]) == {
        "uuid:1": a.hash,
        "uuid:\udcff": a.hash,
    }
    assert store.line_nodes("codex", ["uuid:1"]) == {}

    store.supersede(a.hash, b.hash)
    assert store.line_nodes("claude", ["uuid:1"]) == {"uuid:1": b.hash}
    store.remember_lines("claude", {"uuid:1": b.hash})
    assert store.line_nodes("claude", ["uuid:1"]) == {"uuid:1": b.hash}


def test_cursors_are_kept_per_source_whatever_its_name(store: LocalStore) -> None:
    """State comes back as it was, also for a file whose name is no UTF-8."""
    assert store.cursor("/a.jsonl") is None
    store.set_cursor("/a.jsonl", {"offset": 1})
    store.set_cursor("/a.jsonl", {"offset": 2, "tail": "\ud800"})
    store.set_cursor("/\udcff.jsonl", {"offset": 3})

    assert store.cursor("/a.jsonl") == {"offset": 2, "tail": "\ud800"}
    assert store.cursor("/\udcff.jsonl") == {"offset": 3}


def test_facts_are_paged_in_order_and_from_anywhere(store: LocalStore) -> None:
    """More rows than a page come once each, in order of insertion, also while rows are added meanwhile."""
    store.add(turn(str(number)) for number in range(2500))
    reading = store.facts(after_rowid=10)
    first = next(reading)
    store.add([turn("late")])
    rows = [first.rowid, *(facts.rowid for facts in reading)]

    assert rows == list(range(11, 2502))


def test_changes_name_the_conversations_to_look_at(store: LocalStore) -> None:
    """After a mark, only conversations with a new, bettered or superseded node are listed, with their project."""
    root, child = _chain("root", "child")
    store.add([replace(root, project=None), replace(child, project="p"), _call(5)])
    mark = store.last_change()
    assert list(store.changed_conversations(0)) == [(root.hash, "p"), (turn("answer").hash, None)]
    assert list(store.changed_conversations(mark)) == []

    store.add([_call(6)])
    assert list(store.changed_conversations(mark)) == [(turn("answer").hash, None)]
    store.supersede(child.hash, root.hash)
    assert len(list(store.changed_conversations(mark))) == 2
    assert [facts.facts.hash for facts in store.conversation_facts(root.hash)] == [root.hash, child.hash]
    assert store.projects() == {"p"}
    assert store.nodes_over(10**6) == []
    assert {node_hash for node_hash, _ in store.nodes_over(0)} == {root.hash, turn("answer").hash}


@pytest.mark.parametrize("session", ["run%", "run_", "rün", "run\U0010ffff\U0010ffff", "run\x00", "ru"])
def test_a_session_name_begins_with_what_it_begins_with(store: LocalStore, session: str) -> None:
    """Wildcards are no wildcards, the last characters of Unicode and none come after, capitals are others."""
    named = replace(turn(session), source=Source("claude", session))
    store.add([named, replace(turn("stranger"), source=Source("claude", "Run"))])

    for cut in range(2, len(session) + 1):
        assert {named.hash} == store.conversations_named(session[:cut])
    assert set() == store.conversations_named(session + "\U0010ffff")


def test_what_hangs_together_is_found_by_indexes(store: LocalStore) -> None:
    """No question about one session looks at every node: the author of a million reads one of theirs as quickly as of ten."""
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    node = turn("one")
    store.add([node])
    asked.clear()
    store.conversations_named(node.hash[:8])
    for column in get_args(LinkColumn):
        store.conversations_where(column, [node.hash[:16]])
    assert [(node.hash, None)] == list(store.links_of(node.hash))
    store._db.set_trace_callback(None)

    plans = [row[3] for query in asked for row in store._run(f"EXPLAIN QUERY PLAN {query}")]
    assert len(plans) >= len(asked) >= 6
    assert not [plan for plan in plans if "SCAN nodes" in plan]


def test_a_failed_transaction_leaves_nothing(store: LocalStore) -> None:
    """Nodes, cursor and lines of one transaction come together or not at all; a failed part can be left out alone."""
    with pytest.raises(FormatBroken), store.transaction():  # noqa: PT012 - what came before the error is the point
        store.add([turn("a")])
        store.set_cursor("f", {"offset": 1})
        store.add([replace(turn("b"), hash="broken")])
    assert (store.count(), store.cursor("f")) == (0, None)

    with store.transaction():
        store.add([turn("a")])
        with pytest.raises(FormatBroken):
            store.add([turn("b"), replace(turn("c"), hash="broken")])
        store.set_cursor("f", {"offset": 2})
    assert (store.has([turn("a").hash, turn("b").hash]), store.cursor("f")) == (
        {turn("a").hash},
        {"offset": 2},
    )


@pytest.mark.parametrize(
    "broken",
    [
        replace(turn("a"), hash="A" * 64),
        replace(turn("a"), usage=Usage(output=2**63)),
        replace(turn("a"), usage=Usage(output=-1)),
        replace(turn("a"), usage=Usage(raw=[])),  # type: ignore[arg-type]  # as a broken importer might
        replace(turn("a"), usage=Usage(output=True)),
        replace(turn("a"), cost=Cost(False, "computed")),
        replace(turn("a"), cost=Cost(2**63, "computed")),
        replace(turn("a"), cost=Cost(1, 5)),  # type: ignore[arg-type]
        replace(turn("a"), project=5),  # type: ignore[arg-type]
        replace(turn("a"), source=Source(None)),  # type: ignore[arg-type]
        replace(turn("a"), source=Source("claude", extra=[])),  # type: ignore[arg-type]
        replace(turn("a"), source=Source("claude", extra={"at": datetime(2026, 1, 1, tzinfo=UTC)})),
        replace(turn("a"), source=Source("claude", extra={"x": [{"y": float("nan")}]})),
        replace(turn("a"), bucket={"x": float("inf")}),
        replace(turn("a"), bucket={"x": object()}),
        replace(turn("a"), parent_hash="x"),
    ],
)
def test_what_could_not_be_read_back_is_not_taken(store: LocalStore, broken: Node) -> None:
    """A node that node_from_bytes would refuse later is refused now, with nothing written."""
    with pytest.raises(FormatBroken):
        store.add([turn("good"), broken])
    assert store.count() == 0


def test_texts_that_sqlite_refuses_are_cleaned_in_columns_only(store: LocalStore) -> None:
    """A project with a lone surrogate and a NUL is listed readably, and kept exactly in the node."""
    node = replace(turn("a"), project="x\ud800\x00y")
    store.add([node])

    assert store.get(node.hash) == node
    assert next(store.facts()).facts.project == "x\ufffd\x00y"
