"""Search over a million turns, warm in one process, beside peers over the same texts; p50 and p99 of different queries.

python -m bench.query [MESSAGES] [NAME …]       default 1000000, of about 1 KB, and all of: tapes fts5 tantivy ilike postgres

Turns are made by number (bench/team_corpus.py) and go straight into rows and index: no import, no push; snippets are cut from
texts made again, not read from frames.

Peers that are not installed are left out: `pip install tantivy "psycopg[binary]"`, and TAPES_BENCH_PG=<conninfo> for Postgres.
"""

import os
import random
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from bench.team_corpus import TeamCorpus
from query.answers import Asked, Order
from query.catalog import Catalog
from query.engine import Engine
from query.grammar import parse_line
from query.index import WordIndex
from query.indexed import Indexed
from query.moments import Clock
from query.search import search
from query.source import Source, fill
from query.texts import Texts
from query.tokenize import normal
from query.words import turn_of

step = 10_000
rounds = 40
slow_rounds = 3
key = bytes(range(32))
now = Clock(datetime(2026, 12, 31, tzinfo=UTC))
Query = tuple[str, Order]


class Given(Texts):
    """Texts that are made again."""

    corpus: TeamCorpus

    def every(self, wanted: set[bytes]) -> Iterator[tuple[bytes, str]]:
        """By number."""
        yield from ((node, self.corpus.text_of(node)) for node in wanted)


def texts(corpus: TeamCorpus) -> Iterator[list[tuple[bytes, str]]]:
    """All turns, a step at a time."""
    hashes = map(corpus.hash_of, range(corpus.count))
    while batch := list(islice(hashes, step)):
        yield [(node, corpus.text_of(node)) for node in batch]


def built(corpus: TeamCorpus, take: Callable[[list[tuple[bytes, str]]], None]) -> tuple[float, float]:
    """Seconds of the wall and of this process for taking all turns in, without making them."""
    wall = cpu = 0.0
    for batch in texts(corpus):
        began, cpu_began = time.perf_counter(), time.process_time()
        take(batch)
        wall += time.perf_counter() - began
        cpu += time.process_time() - cpu_began
    return wall, cpu


def told(name: str, count: int, seconds: tuple[float, float], stored: int) -> None:
    """One line about a build."""
    wall, cpu = seconds
    print(
        f"build {name:<16} {count / wall:>8.0f}/s wall {count / cpu:>8.0f}/s cpu {stored / count:>6.0f} bytes each",
        flush=True,
    )


def on_disk(folder: Path) -> int:
    """All files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


# ── ours ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def ours(corpus: TeamCorpus, folder: Path) -> Callable[[Query], object]:
    """The index, filled as `tapes` fills it, and the search of a warm process."""
    index = WordIndex.open(folder / "words.db", key)

    def take(batch: list[tuple[bytes, str]]) -> None:
        turns = [(node, turn_of(text)) for node, text in batch]
        with index.transaction():
            for node, turn in turns:
                index.add(node, turn)

    told("tapes", corpus.count, built(corpus, take), on_disk(folder))
    more = [
        (node, corpus.text_of(node)) for node in map(corpus.hash_of, range(corpus.count, corpus.count + 1000))
    ]
    began = time.perf_counter()
    take(more)
    print(f"1000 more into the index: {(time.perf_counter() - began) * 1e3:.0f} ms")
    began = time.perf_counter()
    source = Source(Engine())
    fill(source, corpus.batches(), ())
    catalog = Catalog(source)
    words, made = Indexed.of(index, catalog), Given(source)
    made.corpus = corpus
    print(f"rows, paths and docs known after {time.perf_counter() - began:.0f} s, making the rows included")

    def ask(query: Query) -> object:
        return search(source, Asked(parse_line(query[0]), now, {}, query[1]), words, made, catalog)

    ask(("a project:project-1", "date"))
    print(
        f"resident {resident_mib()} MiB, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB",
        flush=True,
    )
    return ask


def resident_mib() -> int:
    """What this process holds."""
    return (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        >> 20
    )


# ── peers: each answers the newest twenty turns, or the best twenty ─────────────────────────────────────────────────────


def fts5(corpus: TeamCorpus, folder: Path) -> Callable[[Query], object]:
    """SQLite's FTS5 alone, contentless, in plain."""
    db = sqlite3.connect(folder / "bare.db")
    db.executescript("PRAGMA journal_mode=wal; CREATE VIRTUAL TABLE words USING fts5(text, content='')")

    def take(batch: list[tuple[bytes, str]]) -> None:
        with db:
            db.executemany("INSERT INTO words(text) VALUES (?)", [(text,) for _, text in batch])

    told("fts5", corpus.count, built(corpus, take), on_disk(folder))

    def ask(query: Query) -> object:
        order = "bm25(words)" if query[1] == "relevance" else "rowid DESC"
        sql = f"SELECT rowid FROM words WHERE words MATCH ? ORDER BY {order} LIMIT 20"  # noqa: S608 - one of two
        return db.execute(sql, (bare(query),)).fetchall()

    return ask


def tantivy(corpus: TeamCorpus, folder: Path) -> Callable[[Query], object]:
    """tantivy, with the turn's number as a fast field to order by."""
    import tantivy as peer  # noqa: PLC0415 - may be missing

    builder = peer.SchemaBuilder()
    builder.add_text_field("text", stored=False)
    builder.add_integer_field("at", stored=True, fast=True)
    index = peer.Index(builder.build(), str(folder))
    writer = index.writer(200_000_000, 1)

    def take(batch: list[tuple[bytes, str]]) -> None:
        for node, text in batch:
            writer.add_document(peer.Document(text=text, at=int.from_bytes(node[:8])))

    seconds = built(corpus, take)
    writer.commit()
    writer.wait_merging_threads()
    told("tantivy", corpus.count, seconds, on_disk(folder))
    index.reload()
    searcher = index.searcher()

    def ask(query: Query) -> object:
        parsed = index.parse_query(bare(query), ["text"], conjunction_by_default=True)
        by = None if query[1] == "relevance" else "at"
        return searcher.search(parsed, 20, order_by_field=by).hits

    return ask


def ilike(corpus: TeamCorpus, folder: Path) -> Callable[[Query], object]:
    """ILIKE over Parquet in DuckDB."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    path = folder / "texts.parquet"
    schema = pa.schema([("turn", pa.int64()), ("text", pa.string())])
    writer = pq.ParquetWriter(path, schema, compression="zstd")

    def take(batch: list[tuple[bytes, str]]) -> None:
        columns = {
            "turn": [int.from_bytes(node[:8]) for node, _ in batch],
            "text": [text for _, text in batch],
        }
        writer.write_table(pa.table(columns, schema))

    seconds = built(corpus, take)
    writer.close()
    told("ilike", corpus.count, seconds, on_disk(folder))
    db = duckdb.connect()
    db.execute("SET threads = 2")

    def ask(query: Query) -> object:
        text = bare(query)
        parts = [text.strip('"')] if text.startswith('"') else text.split()
        where = " AND ".join("text ILIKE ?" for _ in parts)
        sql = f"SELECT turn FROM read_parquet('{path}') WHERE {where} ORDER BY turn DESC LIMIT 20"  # noqa: S608 - bound
        return db.execute(sql, [f"%{part}%" for part in parts]).fetchall()

    return ask


def postgres(corpus: TeamCorpus, conninfo: str) -> Callable[[Query], object]:
    """Postgres full text: a stored tsvector under GIN."""
    import psycopg  # noqa: PLC0415 - may be missing

    db = psycopg.connect(conninfo, autocommit=True)
    db.execute("DROP TABLE IF EXISTS turns")
    db.execute("CREATE TABLE turns (at bigint PRIMARY KEY, words tsvector)")

    def take(batch: list[tuple[bytes, str]]) -> None:
        rows = [(int.from_bytes(node[:8]), text) for node, text in batch]
        with db.cursor() as cursor:
            cursor.executemany("INSERT INTO turns VALUES (%s, to_tsvector('simple', %s))", rows)

    wall, cpu = built(corpus, take)
    began = time.perf_counter()
    db.execute("CREATE INDEX ON turns USING gin(words)")
    db.execute("VACUUM ANALYZE turns")
    wall += time.perf_counter() - began
    [(stored,)] = db.execute("SELECT pg_total_relation_size('turns')").fetchall()
    told("postgres", corpus.count, (wall, max(cpu, 1e-9)), stored)

    def ask(query: Query) -> object:
        text = bare(query)
        make = "phraseto_tsquery" if text.startswith('"') else "plainto_tsquery"
        order = "ts_rank(words, q) DESC" if query[1] == "relevance" else "at DESC"
        sql = f"SELECT at FROM turns, {make}('simple', %s) q WHERE words @@ q ORDER BY {order} LIMIT 20"  # noqa: S608 - fixed
        return db.execute(sql, (text.strip('"'),)).fetchall()

    return ask


def bare(query: Query) -> str:
    """Without filters, which peers have none of."""
    return " ".join(part for part in query[0].split() if ":" not in part)


# ── queries ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def queries(corpus: TeamCorpus) -> dict[str, list[Query]]:
    """Different ones of each kind."""
    chosen = random.Random(11)
    words = corpus.words
    turns = [chosen.randrange(corpus.count) for _ in range(rounds)]

    def phrase(turn: int) -> str:
        said = normal(corpus.text_of(corpus.hash_of(turn))).split()
        at = chosen.randrange(1, len(said) - 2)
        return f'"{said[at]} {said[at + 1]}"'

    common = [words[chosen.randrange(3, 60)] for _ in turns]
    several = [words[chosen.randrange(200, 3000)] for _ in turns]
    pairs = [f"{words[chosen.randrange(20, 200)]} {words[chosen.randrange(20, 200)]}" for _ in turns]
    phrases = [phrase(turn) for turn in turns]
    filters = [f"project:project-{chosen.randrange(100)} since:365d" for _ in turns]
    kinds: dict[str, Sequence[str]] = {
        "rare": [f"u{turn:x}" for turn in turns],
        "common": common,
        "AND": pairs,
        "phrase": phrases,
        "common filtered": [f"{word} {line}" for word, line in zip(common, filters, strict=True)],
        "some filtered": [f"{word} {line}" for word, line in zip(several, filters, strict=True)],
    }
    by_date: dict[str, list[Query]] = {
        kind: [(line, "date") for line in lines] for kind, lines in kinds.items()
    }
    ranked: dict[str, list[Query]] = {
        f"{kind} ranked": [(line, "relevance") for line in kinds[kind]]
        for kind in ("rare", "common", "AND", "phrase")
    }
    return by_date | ranked


def timed(ask: Callable[[Query], object], asked: Sequence[Query]) -> tuple[float, float, float]:
    """p50 and p99 of the wall, p50 of this process's time; milliseconds."""
    walls, cpus = [], []
    for query in asked:
        began, cpu_began = time.perf_counter(), time.process_time()
        ask(query)
        walls.append((time.perf_counter() - began) * 1e3)
        cpus.append((time.process_time() - cpu_began) * 1e3)
    walls.sort()
    return statistics.median(walls), walls[-1], statistics.median(cpus)


def main() -> None:
    """Build all, then ask all the same."""
    corpus = TeamCorpus(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    corpus.text_of(corpus.hash_of(0))
    with TemporaryDirectory(dir=os.environ.get("TAPES_BENCH_FOLDER")) as folder:
        makers: dict[str, Callable[[TeamCorpus, Path], Callable[[Query], Any]]] = {
            "tapes": ours, "fts5": fts5, "tantivy": tantivy, "ilike": ilike,
        }  # fmt: skip
        if conninfo := os.environ.get("TAPES_BENCH_PG"):
            makers["postgres"] = lambda made, _: postgres(made, conninfo)
        asks = {}
        for name, make in makers.items():
            if sys.argv[2:] and name not in sys.argv[2:]:
                continue
            where = Path(folder, name)
            where.mkdir()
            try:
                asks[name] = make(corpus, where)
            except ImportError as missing:
                print(f"{name}: left out, {missing}")
        for kind, asked in queries(corpus).items():
            for name, ask in asks.items():
                some = asked[:slow_rounds] if name == "ilike" else asked
                p50, p99, cpu = timed(partial(ask), some)
                print(
                    f"{kind:<16} {name:<16} p50 {p50:>8.1f} ms  p99 {p99:>8.1f} ms  cpu p50 {cpu:>8.1f} ms",
                    flush=True,
                )


if __name__ == "__main__":
    main()
