"""Metadata-only pushes: nothing that was said leaves the device, and what is sent later counts nothing twice."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from query.sessions import list_sessions
from query.source import open_source
from store.directory import DirectoryStore
from store.eras import make_node
from store.metering import MeteredStore
from store.names import PREFIX_OF_KIND
from store.nodes import Node, Usage
from sync.pull import applied_manifests
from sync.verify import verify
from tests.actors import founded, joined
from tests.laptops import Laptop, conversation, turn

WORDS = ("quokka", "wombat")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A bucket in a folder."""
    return DirectoryStore(tmp_path / "bucket")


class Pair:
    """Ana, whose content stays home until she says otherwise, and Ben, who reads."""

    def __init__(self, store: DirectoryStore, folder: Path) -> None:
        self.withheld = {"alpha"}
        self.store = store
        owner = founded(store, folder / "ana")
        self.ana = Laptop(owner, folder / "ana", withheld=self.withheld)
        self.ben = Laptop(joined(owner, store, folder / "ben"), folder / "ben")

    def objects(self, kind: str) -> list[str]:
        """What lies in the bucket under one kind's prefix."""
        return [info.name for info in self.store.list(PREFIX_OF_KIND[kind])]  # type: ignore[index]


@pytest.fixture
def pair(store: DirectoryStore, tmp_path: Path) -> Pair:
    """Both of them, in sync."""
    return Pair(store, tmp_path)


def talk(turns: int = 5) -> list[Node]:
    """A conversation in which telling words are said, one of them in a shell command."""
    nodes = conversation(WORDS[0], turns)
    return [*nodes, turn(WORDS[1], nodes[-1], output=7)]


def rows(laptop: Laptop) -> list[dict[str, object]]:
    """Every row this laptop took in, with the slot it came in."""
    return [
        {**row, "seq": pending.seq}
        for pending, manifest in applied_manifests(laptop.client)
        for row in manifest.table.to_pylist()
    ]


def test_no_word_and_no_pack_leaves(pair: Pair) -> None:
    """Neither a pack nor a text is put; the opened manifest holds usage and labels, and nothing read out of what was said."""
    nodes = talk()
    pair.ana.provider.put(nodes)
    report = pair.ana.provider.sync()
    pair.ben.provider.sync(full=True)

    assert (6, 0) == (report.pushed_nodes, report.pushed_packs)
    assert ([], 1) == (pair.objects("pack"), len(pair.objects("manifest")))
    seen = rows(pair.ben)
    assert [node.hash for node in nodes] == [row["hash"].hex() for row in seen]  # type: ignore[attr-defined]
    assert [7] == [row["output"] for row in seen if row["usage_id"] == "call-wombat"]
    for row in seen:
        assert (None, None, None) == (row["pack"], row["frame_offset"], row["frame_sha256"])
        said = [
            name for name, value in row.items() if any(w in str(value) for w in WORDS) and name != "usage_id"
        ]
        assert [] == said
        assert row["opening"] is not None


def test_what_a_command_says_is_not_told(pair: Pair) -> None:
    """`git_activity` and the tools' names are read out of the content, so a withheld row never says them."""
    call = {"type": "tool_use", "tool_name": "Bash", "tool_input": {"command": "git commit -m x"}}
    node = turn("commits", None, output=3)
    bucket = {**node.bucket, "content": [call]}
    pair.ana.provider.put([make_node(bucket, None, usage=node.usage, project="alpha")])
    pair.ana.provider.sync()
    pair.ben.provider.sync()
    [bare] = rows(pair.ben)
    pair.withheld.clear()
    pair.ana.provider.sync()
    pair.ben.provider.sync()

    assert (False, None, 1) == (bare["git_activity"], bare["tools"], bare["tool_calls"])
    assert True is rows(pair.ben)[-1]["git_activity"]


def test_a_second_sync_sends_nothing(pair: Pair) -> None:
    """Metadata that is there is not lacking: no commit, no object, no loop."""
    pair.ana.provider.put(talk())
    pair.ana.provider.sync()
    metered = MeteredStore(pair.ana.client.store)
    pair.ana.client.store = metered

    assert 0 == pair.ana.provider.sync().pushed_nodes
    assert 0 == metered.traffic().puts
    assert (0, 6) == (pair.ana.provider.sync_status().pending_push, pair.ana.provider.sync_status().withheld)


def test_switching_to_full_sends_the_rest_and_counts_nothing_twice(pair: Pair) -> None:
    """After the switch Ben reads every byte; sums, sessions and turns are what they were; a further sync is idle."""
    nodes = talk()
    pair.ana.provider.put(nodes)
    pair.ana.provider.sync()
    pair.ben.provider.sync()
    before = list_sessions(open_source(None, pair.ben.client))
    pair.withheld.clear()
    planned = pair.ana.provider.sync(dry_run=True).plan
    pushed = pair.ana.provider.sync()
    pair.ben.provider.sync(full=True)
    after = list_sessions(open_source(None, pair.ben.client))

    assert [(6, "full")] == [(each.nodes, each.content) for each in planned]
    assert (6, 1) == (pushed.pushed_nodes, pushed.pushed_packs)
    assert before.totals == after.totals
    assert [one.id for one in before.sessions] == [one.id for one in after.sessions]
    assert 0 == pair.ana.provider.sync_status().withheld
    assert 0 == pair.ana.provider.sync().pushed_nodes


def test_leaves_chain_across_the_switch_and_verify_agrees(pair: Pair) -> None:
    """One K_tag, j from 0 to 2, each leaf on the one before: withheld, withheld, full; verify recomputes all three roots."""
    nodes = talk()
    for part in (nodes[:3], nodes):
        pair.ana.provider.put(part)
        pair.ana.provider.sync()
    pair.withheld.clear()
    pair.ana.provider.sync()
    pair.ben.provider.sync()
    leaves = [leaf for _, manifest in applied_manifests(pair.ben.client) for leaf in manifest.leaves]
    report = verify(pair.ben.client)

    assert [0, 1, 2] == [leaf.j for leaf in leaves]
    assert 1 == len({leaf.k_tag for leaf in leaves})
    assert [] == report.findings
    assert (3, 6, 6) == (report.checked["leaves"], report.checked["nodes"], report.checked["withheld_nodes"])


def test_more_output_is_told_without_content(pair: Pair) -> None:
    """A turn that grew is pushed again as metadata; switching to full then sends each node once."""
    nodes = talk()
    pair.ana.provider.put(nodes)
    pair.ana.provider.sync()
    pair.ana.provider.put([replace(nodes[-1], usage=Usage(output=70))])
    again = pair.ana.provider.sync()
    pair.withheld.clear()
    full = pair.ana.provider.sync()

    assert (1, 0, 6) == (again.pushed_nodes, again.pushed_packs, full.pushed_nodes)


def test_content_that_went_stays_and_later_turns_are_bare(pair: Pair) -> None:
    """From full to metadata: what is there is not sent again, new turns of the same conversation go without content."""
    pair.withheld.clear()
    nodes = talk()
    pair.ana.provider.put(nodes[:3])
    pair.ana.provider.sync()
    pair.withheld.add("alpha")
    pair.ana.provider.put(nodes)
    report = pair.ana.provider.sync()
    pair.ben.provider.sync()

    assert (3, 0) == (report.pushed_nodes, report.pushed_packs)
    assert [True] * 3 + [False] * 3 == [row["pack"] is not None for row in rows(pair.ben)]
    assert [] == verify(pair.ben.client).findings


def test_one_push_mixes_bare_and_whole_projects(pair: Pair) -> None:
    """A commit may hold both: each conversation's leaf is over its own kind of commitment."""
    pair.ana.provider.put([*talk(), *conversation("open", 4, "beta")])
    report = pair.ana.provider.sync()
    pair.ben.provider.sync(full=True)

    assert (10, 1, 1) == (report.pushed_nodes, report.pushed_packs, report.pushed_commits)
    assert {True: 4, False: 6} == Counter(row["pack"] is not None for row in rows(pair.ben))
    assert [] == verify(pair.ben.client).findings
