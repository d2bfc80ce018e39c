"""Keeping the word index up with the local store and the log: only what is new, in small steps, in any number of processes."""

from collections.abc import Callable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from crypto.identities import derive_seed
from query.engine import Engine
from query.index import IndexBroken, WordIndex, remove_index
from query.source import Source
from query.texts import Texts
from query.words import turn_of
from store.local_rows import LocalFacts
from sync.identity import Identity

nodes_per_step: Final = 10_000  # of one transaction: a second searcher waits for no more than that: a second
chars_per_step: Final = 32 * 1024 * 1024  # a turn may be very long
_INDEX_KEY_LABEL: Final = b"tapes/v0/word-index"
_PENDING: Final = (
    "SELECT pending.seq, hash FROM stored JOIN pending USING (origin) JOIN rows USING (hash)"
    " ORDER BY pending.seq, id"
)

Say = Callable[[str], None]
Tell = Callable[[str, int, int], None]  # what is done, how much, of how much


def index_key(identity: Identity) -> bytes:
    """The key of this device's index: 32 bytes from its secret, of no other use."""
    return derive_seed(identity.device.box_seed, _INDEX_KEY_LABEL)


def open_current(path: Path, key: bytes, texts: Texts, say: Say, tell: Tell) -> WordIndex:
    """The index, brought up to date. A broken or outdated file is said to be so, and made anew."""
    try:
        return _opened(path, key, texts, tell)
    except IndexBroken as broken:
        say(f"{broken.message}; it is made anew")
    remove_index(path)
    return _opened(path, key, texts, tell)


def _opened(path: Path, key: bytes, texts: Texts, tell: Tell) -> WordIndex:
    index = WordIndex.open(path, key)
    try:
        update(index, texts, tell)
    except BaseException:
        index.close()
        raise
    return index


def update(index: WordIndex, texts: Texts, tell: Tell) -> None:
    """Take in what is new. May be killed and called again at any time.

    IndexBroken when the index does not fit what there is: then only a new one is right.
    """
    _take_local(index, texts.source, texts, tell)
    _take_commits(index, texts, tell)


def _take_local(index: WordIndex, source: Source, texts: Texts, tell: Tell) -> None:
    if source.local is None:
        return
    row, node_hash = index.local_mark()
    if row and next((one.facts.hash for one in source.local.facts(row - 1)), None) != node_hash:
        raise IndexBroken("the local store is another one than the word index was made of")
    facts, total = source.local.facts(row), source.local.count()
    for done, step in enumerate(_steps(facts)):
        _take_local_step(index, texts, step)
        tell("indexing own turns", min(total, (done + 1) * nodes_per_step), total)


def _take_local_step(index: WordIndex, texts: Texts, step: list[LocalFacts]) -> None:
    # Superseded turns are listed nowhere; one that some commit has all the same comes in with that commit.
    hashes = [bytes.fromhex(one.facts.hash) for one in step if not one.superseded]
    _add(index, texts.of_local(hashes))
    with index.transaction():  # a kill before: the step is read again, and what is in already stays in once
        index.mark_local(step[-1].rowid, step[-1].facts.hash)


def _take_commits(index: WordIndex, texts: Texts, tell: Tell) -> None:
    origins = {one.seq: number for number, one in enumerate(texts.source.origins) if one.seq is not None}
    seen = index.units()
    pending = [seq for seq in sorted(origins) if not seen.get(seq)]
    if any(seq not in seen for seq in pending if seen and seq < max(seen)):
        # It may hold the first commit of nodes that fit no hash era, whose text is in the index from a later one.
        raise IndexBroken("an earlier commit became readable")
    nodes = _brought(texts.source.engine, {seq: origins[seq] for seq in pending})
    for done, seq in enumerate(pending):
        _take_commit(index, texts, (seq, origins[seq]), nodes.get(seq, set()))
        tell("indexing commits", done + 1, len(pending))


def _brought(engine: Engine, origins: dict[int, int]) -> dict[int, set[bytes]]:
    """By commit: the nodes whose bytes are read from it.

    Not by the commit that named them first: that one may have carried metadata only.
    """
    columns = {"seq": pa.array(origins.keys(), pa.int64()), "origin": pa.array(origins.values(), pa.int32())}
    with engine.table("pending", pa.table(columns)):
        rows = engine.all(_PENDING) if origins else []
    return {seq: {node_hash for _, node_hash in group} for seq, group in groupby(rows, key=itemgetter(0))}


def _take_commit(index: WordIndex, texts: Texts, commit: tuple[int, int], nodes: set[bytes]) -> None:
    """One commit's nodes, as far as they can be read; what cannot is tried again next time. `commit`: its slot and origin."""
    seq, origin = commit
    lacking = {node_hash for node_hash in nodes if index.lacks(node_hash)}
    taken = _add(index, texts.of_local(lacking))
    left = {node_hash for node_hash in lacking if index.lacks(node_hash)}
    taken += _add(index, texts.of_bucket(left, origin))
    with index.transaction():
        index.mark_unit(seq, done=taken == len(lacking))


def _add(index: WordIndex, texts: Iterator[tuple[bytes, str]]) -> int:
    """Take texts in, a few at a time, and count them. They are read before the transaction: nobody waits for the reading."""
    taken = 0
    for run in _runs(texts):
        turns = [(node_hash, turn_of(text)) for node_hash, text in run]
        with index.transaction():
            for node_hash, turn in turns:
                index.add(node_hash, turn)
        taken += len(turns)
    return taken


def _runs(texts: Iterator[tuple[bytes, str]]) -> Iterator[list[tuple[bytes, str]]]:
    run: list[tuple[bytes, str]] = []
    held = 0
    for node_hash, text in texts:
        run.append((node_hash, text))
        held += len(text)
        if len(run) == nodes_per_step or held >= chars_per_step:
            yield run
            run, held = [], 0
    if run:
        yield run


def _steps(items: Iterator[Any]) -> Iterator[list[Any]]:
    while step := list(islice(items, nodes_per_step)):
        yield step
