"""All numbers of a dashboard over ten million rows, warm, beside the same over the rows themselves and a walk from each leaf.

python -m bench.dashboard [ROWS …]       default 1000000 10000000; each size in a process of its own, so that peaks are its own

Rows are made in SQL in the shape that query/rules.py gives them: twenty members, 200 projects, two years, forty turns a session.
"""

import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import query.rollup
from query.catalog import Catalog
from query.engine import Engine
from query.moments import Clock
from query.rules import STEPS
from query.source import Source
from query.stats import team_stats
from query.stats_answer import Ask

rounds = 30
walked_leaves = 2000
walk_rows_max = 1_000_000
turns_per_session = 40
_ROWS = f"""
CREATE TABLE rows AS
SELECT i AS id, unhex(md5(i::VARCHAR)) AS hash,
    CASE WHEN i % {turns_per_session} > 0
        THEN unhex(md5((i - if(hash(i) % 30 = 0, least(3, i % {turns_per_session}), 1))::VARCHAR)) END AS parent,
    unhex(md5((i // {turns_per_session} * {turns_per_session})::VARCHAR)) AS conversation, 'claude' AS harness,
    NULL::VARCHAR AS usage_id, 'project-' || (i // {turns_per_session} % 200) AS project, 'claude' AS agent,
    'anthropic' AS provider, CASE WHEN i % 2 = 1 THEN 'model-' || (i // {turns_per_session} % 4) END AS model,
    'message' AS kind, 1000 AS stored_bytes, i // 10000 AS seq, 0 AS origin,
    make_timestamp(1735689600000000 + i // ({turns_per_session} * 50) * (63072000000000 // (? // ({turns_per_session} * 50) + 1))
        + i % {turns_per_session} * 40000000) AS created_us,
    CASE WHEN i % 2 = 1 THEN hash(i) % 1000 END::BIGINT AS input_uncached,
    CASE WHEN i % 2 = 1 THEN 5000 END::BIGINT AS cache_read, CASE WHEN i % 2 = 1 THEN 300 END::BIGINT AS cache_write,
    CASE WHEN i % 2 = 1 THEN hash(i) % 700 END::BIGINT AS output,
    CASE WHEN i % 2 = 1 THEN hash(i) % 9000 END::BIGINT AS cost_usd_micro,
    CASE WHEN i % 2 = 1 THEN 'computed' END AS cost_source, (i % 4 = 1)::INT AS tool_calls, (i % 400 = 1)::INT AS tool_errors,
    false AS withheld, unhex(md5('member' || i // 10000 % 20)) AS member, 'team' AS space, true AS counted
FROM range(?) AS made(i)
"""  # noqa: S608 - constants


def source_of(count: int) -> Source:
    """The rows, and what query/rules.py makes beside them."""
    source = Source(Engine())
    source.engine.run(_ROWS, [count, count])
    [counts] = [step for step in STEPS if "CREATE VIEW counts" in step]
    source.engine.run(counts)
    return source


def timed(work: Callable[[], object], times: int = rounds) -> tuple[float, float, float]:
    """p50 and p99 of the wall, p50 of the processor's time over all threads; milliseconds."""
    walls, cpus = [], []
    for _ in range(times):
        began, cpu_began = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - began) * 1e3)
        cpus.append((time.process_time() - cpu_began) * 1e3)
    return statistics.median(walls), max(walls), statistics.median(cpus)


def walked(source: Source) -> float:
    """Seconds for a walk from every leaf to its root, a look-up a turn, as the Go tool lists sessions; from a sample."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE nodes (hash BLOB PRIMARY KEY, parent BLOB, cost INTEGER) WITHOUT ROWID")
    rows = source.engine.stream("SELECT hash, parent, cost_usd_micro FROM rows")
    db.executemany("INSERT INTO nodes VALUES (?,?,?)", rows)
    leaves = "SELECT hash FROM nodes WHERE hash NOT IN (SELECT parent FROM nodes WHERE parent IS NOT NULL)"
    found = [leaf for (leaf,) in db.execute(leaves)]
    sample = found[:: max(1, len(found) // walked_leaves)]
    began = time.perf_counter()
    for leaf in sample:
        node: bytes | None = leaf
        while node is not None:
            [(node, _)] = db.execute("SELECT parent, cost FROM nodes WHERE hash = ?", (node,))
    return (time.perf_counter() - began) * len(found) / len(sample)


def measure(count: int) -> None:
    """One size."""
    source = source_of(count)
    catalog, clock = Catalog(source), Clock(datetime(2026, 12, 1, 12, tzinfo=UTC), ZoneInfo("Europe/Vienna"))
    began = time.perf_counter()
    found = team_stats(source, Ask(clock), None, catalog)
    print(f"{count} rows, {len(catalog.ends.turns)} sessions, {found.current.use.turns} turns in 30 days")
    print(f"  first dashboard after {time.perf_counter() - began:.1f} s", flush=True)
    for days in (7, 30, 365):
        p50, p99, cpu = timed(
            lambda days=days: team_stats(source, Ask(clock, days, by_member=True), None, catalog)
        )  # type: ignore[misc]
        print(f"  {days:>4} days: p50 {p50:.0f} ms p99 {p99:.0f} ms, cpu p50 {cpu:.0f} ms", flush=True)
    held = (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        >> 20
    )
    print(f"  holds {held} MiB, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    slot, query.rollup._slot = query.rollup._slot, query.rollup._slot * 99_999  # noqa: SLF001 - the peer: rows, not slots
    p50, p99, _ = timed(lambda: team_stats(source, Ask(clock, by_member=True), None, catalog), 3)
    query.rollup._slot = slot  # noqa: SLF001
    print(f"  30 days of the rows themselves: p50 {p50:.0f} ms p99 {p99:.0f} ms", flush=True)
    if count <= walk_rows_max:
        print(f"  a walk from each leaf: {walked(source):.1f} s (from {walked_leaves} leaves)")
    source.close()


def main() -> None:
    """Each size in its own process."""
    sizes = sys.argv[1:] or ["1000000", "10000000"]
    if len(sizes) == 1:
        measure(int(sizes[0]))
        return
    for size in sizes:
        subprocess.run([sys.executable, "-m", "bench.dashboard", size], check=True)


if __name__ == "__main__":
    main()
