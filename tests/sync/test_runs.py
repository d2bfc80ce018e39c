"""A push splits before any limit of the format, whatever the nodes are like; what follows from the limits is computed here."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from secrets import token_bytes
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.sealing import SealKey
from store import commits, manifests, packs
from store.blobs import object_bytes_max
from store.canonical import canonical
from store.commits import Leaf, ObjectRef
from store.directory import DirectoryStore
from store.eras import make_node
from store.facts import NodeFacts, facts_of
from store.fields import int_json_max
from store.frames import cut_frames, raw_length
from store.limits import (
    MIB,
    commit_bytes_max,
    commit_leaves_max,
    commit_objects_max,
    frame_raw_bytes_min,
    label_bytes_max,
    manifest_rows_max,
    node_bytes_max,
    pack_bytes_target,
)
from store.local import LocalFacts
from store.manifest_schema import MANIFEST_SCHEMA, NodePlace, Row, rows_table
from store.manifests import LeafOpening, manifest_stored_bytes_max, open_manifest, seal_manifest
from store.nodes import Node
from store.packs import FramePlace
from sync import runs
from sync.outbox import Outgoing
from sync.runs import LABELS, Run, RunCutter, label_bytes, run_label_bytes_max, run_raw_bytes_max
from sync.verify import verify
from tests.actors import founded
from tests.laptops import Laptop, conversation, turn

KEY = SealKey(token_bytes(32), token_bytes(16), 7, token_bytes(32))
FACTS = facts_of(turn("hello", None))
packs_max = 64  # of one run, as computed below
_overhead_bytes_per_node = 64 + 300  # its footer record; and a frame's seal, should it be alone in one


def cut(pairs: Iterator[tuple[Outgoing, LocalFacts]]) -> list[Run]:
    """As a push does."""
    cutter, found = RunCutter(), list[Run]()
    for outgoing, node in pairs:
        if (full := cutter.take(outgoing, node)) is not None:
            found.append(full)
    return [*found, cutter.cut()] if cutter.run else found


def with_values(values: dict[str, Any], facts: NodeFacts = FACTS) -> NodeFacts:
    """Facts with some of them others."""
    return facts._replace(**values)


def labelled(size_bytes: int) -> NodeFacts:
    """Facts whose labels are so long together."""
    each, rest = divmod(size_bytes, len(LABELS))
    return with_values({name: "x" * (each + (n < rest)) for n, name in enumerate(LABELS)})


nodes = st.tuples(
    st.one_of(st.integers(1, 20_000), st.integers(1, node_bytes_max)),  # stored bytes
    st.one_of(st.integers(0, 300), st.integers(0, 20_000)),  # label bytes
)
talks = st.lists(
    st.tuples(st.sampled_from(["full", "metadata"]), st.lists(nodes, min_size=1, max_size=5)),
    min_size=1,
    max_size=12,
)


@given(talks=talks, rows=st.integers(1, 20), leaves=st.integers(1, 5), labels=st.integers(7_168, 50_000))
@settings(max_examples=200, deadline=None)
def test_every_run_is_within_the_limits_and_no_smaller_than_it_must_be(
    talks: list[tuple[Any, list[tuple[int, int]]]], rows: int, leaves: int, labels: int
) -> None:
    """Any nodes, any limits: all come once and in order, no run is over any limit, and each is cut only by one it would break."""
    pairs = [
        (outgoing, LocalFacts(0, labelled(words), outgoing.conversation, False, size))
        for number, (content, some) in enumerate(talks)
        for outgoing in [Outgoing(f"{number:064x}", None, "team", content)]
        for size, words in some
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "manifest_rows_max", rows)
        patch.setattr(runs, "commit_leaves_max", leaves)
        patch.setattr(runs, "run_label_bytes_max", labels)
        found = cut(iter(pairs))

    def held(run: list[tuple[Outgoing, LocalFacts]]) -> bool:
        raw = sum(node.stored_bytes for outgoing, node in run if outgoing.content == "full")
        within = raw <= run_raw_bytes_max and sum(label_bytes(node.facts) for _, node in run) <= labels
        return within and len(run) <= rows and len({outgoing.conversation for outgoing, _ in run}) <= leaves

    flat = [[(outgoing, node) for outgoing, some in run for node in some] for run in found]
    assert pairs == [pair for run in flat for pair in run]
    assert all(map(held, flat))
    assert not any(held([*run, after[0]]) for run, after in pairwise(flat))


def test_labels_are_counted_as_the_manifest_spells_them() -> None:
    """Every text column counts, in bytes of UTF-8, and never for more than a row can hold."""
    texts = {field.name for field in MANIFEST_SCHEMA if str(field.type) == "string"}
    bare = with_values(dict.fromkeys(LABELS))

    assert texts == set(LABELS)
    assert [0, 3, 8, 3] == [
        label_bytes(bare._replace(project=text)) for text in (None, "abc", "äöü€"[:3] + "ß", "\ud800")
    ]
    assert len(LABELS) * label_bytes_max == label_bytes(labelled(1_000_000))


def test_a_runs_packs_are_far_fewer_than_a_commit_may_name() -> None:
    """A pack ends at its target, or because the next frame would make it too large: two neighbours exceed the target."""
    grown = run_raw_bytes_max + run_raw_bytes_max // 256  # zstd's worst
    frames = commit_leaves_max + run_raw_bytes_max // frame_raw_bytes_min
    stored = grown + (manifest_rows_max + frames) * _overhead_bytes_per_node
    assert 2 * (stored // pack_bytes_target + 1) + 1 <= packs_max < commit_objects_max


@pytest.mark.parametrize("node_bytes", [1, 300_000, 16 * MIB, 33 * MIB, node_bytes_max])
def test_the_packs_of_a_full_run(node_bytes: int) -> None:
    """The same by the writer's own decision, for nodes of one size that no compressor makes smaller."""
    count = min(manifest_rows_max, run_raw_bytes_max // node_bytes)
    sizes, closed, size, footer = [node_bytes] * count, 0, 0, 0
    data = bytes(node_bytes)
    for frame in cut_frames(("", data) for _ in sizes):
        writer = packs.PackWriter(KEY)
        writer._end, writer._footer_bytes = size + writer._end, footer + writer._footer_bytes
        writer._frames = [None] if size else []  # type: ignore[list-item]
        if not writer.takes(raw_length([stored for _, stored in frame]), len(frame)):
            closed, size, footer = closed + 1, 0, 0
        size += sum(len(stored) for _, stored in frame) + _overhead_bytes_per_node
        footer += 80 + 64 * len(frame)
    assert closed + 1 <= packs_max


def test_the_largest_commit_of_a_push_is_within_its_limit() -> None:
    """Every leaf and every pack that a run can have, each number as long as it may be: the signed bytes are a commit."""
    leaf = Leaf(kind=5, tag="f" * 32, c="f" * 64).model_dump()
    ref = ObjectRef(kind="manifest", base=int_json_max, sha256="f" * 64, bytes=int_json_max).model_dump()
    unsigned = {
        "format": 0,
        "team": "f" * 64,
        "seq": int_json_max,
        "prev": "f" * 64,
        "id": "f" * 32,
        "device": "f" * 64,
        "at": int_json_max,
        "space": "f" * 32,
        "epoch": int_json_max,
        "seen_checkpoint": {"size": int_json_max, "root": "f" * 64},
        "events": [{"type": "push"}],
        "objects": [ref] * (packs_max + 1),
        "leaves": [leaf] * commit_leaves_max,
        "sealed": None,
    }
    data = commits.encode(unsigned, bytes(32))

    assert len(data) < commit_bytes_max
    assert commits.parse(data, "log/1").leaves == [Leaf.model_validate(leaf)] * commit_leaves_max


def test_the_largest_manifest_of_a_push_is_within_its_limit() -> None:
    """As much noise in labels as a run takes, and all rows and leaves it can have: the manifest fits, and opens again."""
    chance = Random(7)
    long_rows = run_label_bytes_max // (len(LABELS) * label_bytes_max)
    place = FramePlace(int(1e7), int(1e6), bytes(32))

    def row(number: int) -> Row:
        facts = FACTS._replace(hash=chance.randbytes(32).hex(), created_us=chance.randrange(10**15))
        if number < long_rows:
            facts = with_values(
                {name: chance.randbytes(label_bytes_max // 2).hex() for name in LABELS}, facts
            )
        counts = {name: chance.randrange(2**53) for name in ("input_uncached", "cache_read", "output")}
        where = NodePlace(chance.randbytes(32), place, 0, chance.randbytes(32))
        talk = (number % commit_leaves_max).to_bytes(32)
        return Row(with_values({"parent_hash": chance.randbytes(32).hex(), **counts}, facts), talk, 1, where)

    table = rows_table(map(row, range(manifest_rows_max)), token_bytes(32), token_bytes(32))
    each, more = divmod(manifest_rows_max, commit_leaves_max)
    openings = [
        LeafOpening(
            conversation=number.to_bytes(32),
            tag=token_bytes(16),
            j=int_json_max,
            r=token_bytes(32),
            k_tag=token_bytes(32),
            prev_c=token_bytes(32),
            batch_root=token_bytes(32),
            nodes=each + (number < more),
        )
        for number in range(commit_leaves_max)
    ]
    stored = seal_manifest(KEY, table, openings)

    assert long_rows * len(LABELS) * label_bytes_max // 2 < len(stored)  # hex is half noise
    assert 2 * len(stored) < 2 * manifest_stored_bytes_max <= 2 * object_bytes_max
    assert len(canonical([manifests._leaf_fields(leaf) for leaf in openings])) < manifests.about_bytes_max
    assert open_manifest(KEY, stored, "manifest").table.num_rows == manifest_rows_max


def test_thousands_of_tiny_conversations_are_two_commits(tmp_path: Path) -> None:
    """One conversation more than a commit has leaves for: both commits are valid, and everything is there."""
    ana = Laptop(founded(DirectoryStore(tmp_path / "bucket"), tmp_path / "ana"), tmp_path / "ana")
    tiny = [turn(f"talk {number}", None) for number in range(commit_leaves_max + 1)]
    ana.provider.put(tiny)
    report = ana.provider.sync()

    assert (len(tiny), 2) == (report.pushed_nodes, report.pushed_commits)
    assert sorted(node.hash for node in tiny) == ana.pulled()
    assert ana.provider.sync().pushed_nodes == 0


def test_one_long_conversation_of_large_nodes_is_several_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit ends with the content it may hold, not with the conversation; a conversation of it all verifies."""
    monkeypatch.setattr(runs, "run_raw_bytes_max", 2_000)
    ana = Laptop(founded(DirectoryStore(tmp_path / "bucket"), tmp_path / "ana"), tmp_path / "ana")
    path = conversation("long", 30)
    ana.provider.put(path)
    report = ana.provider.sync()

    assert report.pushed_commits >= 5
    assert sorted(node.hash for node in path) == ana.pulled()
    assert verify(ana.client).ok


@pytest.mark.long
def test_more_content_than_one_commit_may_hold(tmp_path: Path) -> None:
    """294 MiB in seven nodes of one conversation: two commits, and everything is there."""
    ana = Laptop(founded(DirectoryStore(tmp_path / "bucket"), tmp_path / "ana"), tmp_path / "ana")
    chance, path = Random(7), list[Node]()
    for _ in range(7):
        block = {"type": "text", "text": chance.randbytes(21 * MIB).hex()}
        bucket = {"type": "message", "role": "user", "content": [block]}
        path.append(make_node(bucket, path[-1].hash if path else None))
        ana.provider.put([path[-1]])
    report = ana.provider.sync()

    assert (7, 2) == (report.pushed_nodes, report.pushed_commits)
    assert sorted(node.hash for node in path) == ana.pulled()
