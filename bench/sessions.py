"""How long the session list takes, against a bare DuckDB count over the same rows, and how much memory.

python -m bench.sessions [ROWS …]          default 20000 200000; each size in a process of its own, so that peaks are its own
"""

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256

import pyarrow as pa

from query.engine import Engine
from query.sessions import list_sessions
from query.source import Batch, Origin, Source, fill
from store.facts import NodeFacts
from store.manifest_schema import Row, rows_table

rows_per_manifest = 500
turns_per_session = 60
fork_chance = 0.05
mib = 1 << 20


def facts(node_hash: bytes, parent: bytes | None, number: int) -> NodeFacts:
    """One turn's facts; every second one is a model call, one call in fifty is logged twice."""
    call = number % 2 == 1
    return NodeFacts(
        hash=node_hash.hex(),
        hash_version="E3",
        parent_hash=parent.hex() if parent else None,
        harness="claude",
        harness_session=f"session-{number // turns_per_session}",
        usage_id=f"msg-{number - number % 50 // 49 * 2}" if call else None,
        project=f"project-{number // 5000}",
        agent="claude",
        provider="anthropic",
        model=f"model-{number % 3}",
        role="assistant" if call else "user",
        kind="message",
        stop_reason="end_turn" if call else None,
        created_us=1_760_000_000_000_000 + number * 7_000_000,
        input_uncached=number % 1000 if call else None,
        cache_read=5000 if call else None,
        cache_write=300 if call else None,
        cache_write_1h=0 if call else None,
        output=number % 700 if call else None,
        cost_usd_micro=number % 9000 if call else None,
        cost_source="computed" if call else None,
        cost_table="prices",
        tool_calls=number % 2,
        tool_errors=0,
        git_activity=False,
    )


def team(count: int) -> Iterator[Batch]:
    """Manifests of a team of three: sessions of some sixty turns, here and there a fork."""
    seeded = random.Random(count)
    path: list[bytes] = []
    waiting: list[Row] = []
    for number in range(count):
        if number % turns_per_session == 0:
            path = []
        if path and seeded.random() < fork_chance:
            path = path[: seeded.randrange(len(path)) + 1]
        node_hash = sha256(number.to_bytes(8)).digest()
        waiting.append(
            Row(facts(node_hash, path[-1] if path else None, number), (path or [node_hash])[0], 900)
        )
        path.append(node_hash)
        if len(waiting) == rows_per_manifest or number == count - 1:
            author = sha256(bytes([number // rows_per_manifest % 3])).digest()
            yield (
                Origin(author, author, number // rows_per_manifest, team=True),
                rows_table(waiting, author, author),
            )
            waiting = []


def seconds(work: Callable[[], object]) -> float:
    """The best of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_mib() -> float:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / mib


def measure(count: int) -> None:
    """One size: fill a source, list, count bare."""
    batches = list(team(count))
    whole = pa.concat_tables(table for _, table in batches)
    before = peak_mib()
    start = time.perf_counter()
    source = Source(Engine())
    fill(source, batches, ())
    filled = time.perf_counter() - start
    listed = seconds(lambda: list_sessions(source))
    peak = peak_mib() - before
    bare = Engine()
    with bare.table("t", whole):
        bare.run("CREATE TABLE bare AS SELECT hash, output FROM t")
    counted = seconds(lambda: bare.all("SELECT count(DISTINCT hash), sum(output) FROM bare"))
    sessions = len(list_sessions(source).sessions)
    print(
        f"{count} rows, {len(batches)} manifests, {sessions} sessions: rows made in {filled:.2f} s,"
        f" list {listed * 1e3:.0f} ms, bare count(DISTINCT) {counted * 1e3:.1f} ms, ratio {listed / counted:.0f},"
        f" peak +{peak:.0f} MiB"
    )
    source.close()
    bare.close()


def main() -> None:
    """Each size in its own process."""
    sizes = sys.argv[1:] or ["20000", "200000"]
    if len(sizes) == 1:
        measure(int(sizes[0]))
        return
    for size in sizes:
        subprocess.run([sys.executable, "-m", "bench.sessions", size], check=True)


if __name__ == "__main__":
    main()
