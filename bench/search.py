"""How fast texts are indexed and found, and how large the index is, beside bare FTS5 and an ILIKE scan over the same texts.

python -m bench.search [MESSAGES]          default 100000 of about 1 KB; everything in one process, warm
"""

import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from bench.corpus import Corpus
from query.engine import Engine
from query.grammar import parse_line
from query.index import WordIndex
from query.moments import Clock
from query.paths import read_paths
from query.search import Asked, Order, search
from query.source import Origin, Source, fill
from query.texts import Texts
from query.words import turn_of
from store.facts import facts_of
from store.manifest_schema import Row, rows_table
from store.nodes import Node
from store.texts import searchable_text

message_bytes = 1_500  # of stored JSON: about a kilobyte of text
nodes_per_batch = 2000
rounds = 40
key = bytes(range(32))
author = sha256(b"author").digest()


def corpus(count: int) -> list[tuple[Node, str]]:
    """Nodes with their texts."""
    return [
        (node, searchable_text(node))
        for path in Corpus().sessions(count, mean_bytes=message_bytes)
        for node in path
    ]


def source_of(nodes: list[tuple[Node, str]]) -> Source:
    """The nodes as one team's rows."""
    source = Source(Engine())
    rows = (Row(facts_of(node), sha256(node.hash[:4].encode()).digest(), 900) for node, _ in nodes)
    fill(source, [(Origin(author, author, 0, team=True), rows_table(rows, author, author))], ())
    return source


class Given(Texts):
    """Texts that are in memory: what a search costs without reading objects."""

    def __init__(self, source: Source, by_hash: dict[bytes, str]) -> None:
        super().__init__(source)
        self._given = by_hash

    def every(self, wanted: set[bytes]) -> Iterator[tuple[bytes, str]]:
        """Looked up."""
        yield from ((node_hash, self._given[node_hash]) for node_hash in wanted)


def build(path: Path, nodes: list[tuple[Node, str]]) -> WordIndex:
    """The index, in steps as `tapes` makes it."""
    index = WordIndex.open(path, key)
    waiting = iter(nodes)
    while batch := list(islice(waiting, nodes_per_batch)):
        turns = [(bytes.fromhex(node.hash), turn_of(text)) for node, text in batch]
        with index.transaction():
            for node_hash, turn in turns:
                index.add(node_hash, turn)
    return index


def build_bare(path: Path, nodes: list[tuple[Node, str]]) -> sqlite3.Connection:
    """FTS5 of the standard library, contentless, in plain."""
    bare = sqlite3.connect(path)
    bare.execute("PRAGMA journal_mode = wal")
    bare.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='')")
    for start in range(0, len(nodes), nodes_per_batch):
        texts = [(text,) for _, text in nodes[start : start + nodes_per_batch]]
        with bare:
            bare.executemany("INSERT INTO words(text) VALUES (?)", texts)
    return bare


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return statistics.median(times), times[-1]


def bytes_on_disk(path: Path) -> int:
    """The file and its log."""
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))


def measure_building(folder: Path, nodes: list[tuple[Node, str]]) -> tuple[WordIndex, sqlite3.Connection]:
    """Both indexes, and what they cost."""
    texts_bytes = sum(len(text.encode()) for _, text in nodes)
    start = time.perf_counter()
    index = build(folder / "ours.db", nodes)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    bare = build_bare(folder / "bare.db", nodes)
    theirs = time.perf_counter() - start
    sizes = [bytes_on_disk(folder / name) / len(nodes) for name in ("ours.db", "bare.db")]
    print(f"{len(nodes)} messages of {texts_bytes / len(nodes):.0f} bytes of text")
    print(
        f"build: {len(nodes) / ours:.0f}/s, bare FTS5 {len(nodes) / theirs:.0f}/s, ratio {ours / theirs:.2f}"
    )
    print(f"index: {sizes[0]:.0f} bytes a message, bare {sizes[1]:.0f}, ratio {sizes[0] / sizes[1]:.2f}")
    return index, bare


def measure_queries(
    nodes: list[tuple[Node, str]], source: Source, index: WordIndex, bare: sqlite3.Connection
) -> None:
    """Each kind of query: the words alone, the whole search, bare FTS5, ILIKE."""
    start = time.perf_counter()
    paths = read_paths(source.engine)
    print(f"paths folded once in {(time.perf_counter() - start) * 1e3:.0f} ms, then kept")
    texts = Given(source, {bytes.fromhex(node.hash): text for node, text in nodes})
    plain = Engine()
    with plain.table("t", pa.table({"text": [text for _, text in nodes]})):
        plain.run("CREATE TABLE texts AS FROM t")
    words = [text.split()[1:] for _, text in nodes[:50]]
    common = Corpus()._words  # noqa: SLF001 - by rank, so that a query's frequency is known
    kinds: dict[str, tuple[str, Order]] = {
        "rare": (nodes[17][1].split()[0], "date"),
        "common": (common[1], "date"),
        "and": (f"{common[60]} {common[80]}", "date"),
        "phrase": (f'"{words[9][0]} {words[9][1]}"', "date"),
        "filtered": (f"{common[60]} project:bench model:claude-*", "date"),
        "ranked": (common[60], "relevance"),
    }
    for kind, (line, order) in kinds.items():
        asked = Asked(parse_line(line), Clock(datetime.now(UTC)), {}, order)
        pattern = line.split(" project:")[0].replace('"', "")
        match = line.split(" project:")[0] if kind != "rare" else f'"{pattern}"'
        found = search(source, asked, index, texts).matches
        whole = timed(partial(search, source, asked, index, texts, paths))
        fts = timed(partial(_all_of, bare, "SELECT rowid FROM words WHERE words MATCH ?", match))
        like = timed(partial(plain.all, "SELECT count(*) FROM texts WHERE text ILIKE ?", [f"%{pattern}%"]))
        print(
            f"{kind:<9} {found:>6} matches: search p50 {whole[0]:.1f} p99 {whole[1]:.1f} ms,"
            f" bare FTS5 {fts[0]:.2f} ms, ILIKE {like[0]:.0f} ms; search/ILIKE {whole[0] / like[0]:.2f}"
        )
    plain.close()


def _all_of(bare: sqlite3.Connection, sql: str, match: str) -> int:
    return len(bare.execute(sql, (match,)).fetchall())


def main() -> None:
    """Build, then ask."""
    nodes = corpus(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    with TemporaryDirectory() as folder:
        index, bare = measure_building(Path(folder), nodes)
        source = source_of(nodes)
        measure_queries(nodes, source, index, bare)
        index.close()
        bare.close()
        source.close()
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, corpus included")


if __name__ == "__main__":
    main()
