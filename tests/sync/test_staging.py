"""What an import under cloud keeps in memory after each of its commits, and what it then finds in the bucket."""

from pathlib import Path

import pytest

from sync.pull import applied_manifests
from sync.verify import verify
from tests.laptops import conversation, turn
from tests.sync.keeping_nothing import Ana, hashes


@pytest.fixture
def ana(tmp_path: Path) -> Ana:
    """Ana, alone in a new team."""
    return Ana(tmp_path)


def test_what_was_let_go_is_still_joined_to(ana: Ana) -> None:
    """Of a commit only last turns and lines' names stay: forks, replayed lines and supersession find the rest in the bucket."""
    nodes = conversation("hello", 30)
    fork, better = turn("a fork", nodes[3]), turn("grown", nodes[4])
    with ana.cloud(batch_bytes=2_000).intake() as intake:
        store = intake.store
        for number, node in enumerate(nodes):
            with store.transaction():
                store.add([node])
                store.remember_lines("test", {f"line-\udcff-{number}": node.hash})
        kept = store.count()
        assert kept == len(list(store.facts()))
        assert {"line-\udcff-3": nodes[3].hash} == store.line_nodes("test", ["line-\udcff-3", "none"])
        store.remember_lines("test", {"line-\udcff-3": nodes[0].hash})
        store.add([fork, better])
        store.supersede(nodes[5].hash, better.hash)
        store.remember_lines("test", {"line-\udcff-3": nodes[0].hash, "line-\udcff-5": better.hash})
        lines = store.line_nodes("test", ["line-\udcff-3", "line-\udcff-5"])
        assert [nodes[3].hash, better.hash] == [lines["line-\udcff-3"], lines["line-\udcff-5"]]
        assert nodes[0].hash == store.conversation_of(fork.hash) == store.conversation_of(nodes[9].hash)
        assert {nodes[0].hash} == store.has([nodes[0].hash])
        assert nodes[0] == store.get(nodes[0].hash)

    assert kept < 10
    assert hashes([*nodes, fork, better]) == ana.rows("team")
    assert 1 == len({str(at) for at in _conversations(ana)})
    assert verify(ana.client()).ok


def _conversations(ana: Ana) -> set[bytes]:
    client = ana.client()
    found = {c for _, m in applied_manifests(client) for c in m.table.column("conversation").to_pylist()}
    client.close()
    return found


def test_a_change_with_an_old_number_is_pushed(ana: Ana) -> None:
    """Numbers of changes are given again after a commit: nothing is taken for pushed by the number of what was there before."""
    first = turn("hello", None)
    grows, grown = (turn("grows", first, output=output) for output in (1, 3))
    child, alone = turn("goes on", grown), turn("alone", None)
    with ana.cloud(batch_bytes=1).intake() as intake:
        with intake.store.transaction():
            intake.store.add([first, grows, child])
            intake.store.add([grown])
        intake.store.add([alone])

    assert 2 == intake.commits
    assert hashes([first, grown, child, alone]) == ana.rows("team")
