"""Bootstrap of a long log from segments, everything verified, against as many bare Ed25519 verifications in the same run.

    python -m bench.bootstrap [--commits 100000] [--profile]

The log: one founder, one push per commit (a pack, a manifest, two leaves), real signatures and chain. The store is in
memory, so that the ratio is of our own work; the replica is a file, and every segment ends with its fsync. No manifests.
"""

import argparse
import cProfile
import pstats
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from crypto import labels, signing
from store.commits import commit_hash, encode
from store.names import SEGMENTS, slot_name
from store.segments import segment_commits_max
from sync.client import Client
from sync.segment_writer import segment_tail_commits, write_due
from tests.actors import Person, client, founded
from tests.fakes.strict_store import StrictStore

SEED = 20261120


def _commit(owner: Client, seq: int, prev: bytes, dice: random.Random) -> bytes:
    """A push as a client would write it, of objects nobody uploaded: who bootstraps the log does not look at them."""
    roster = owner.roster
    kinds = ("pack", "manifest")
    objects = [
        {"kind": kind, "base": seq - 1, "sha256": dice.randbytes(32).hex(), "bytes": 70_000} for kind in kinds
    ]
    leaves = [{"kind": 1, "tag": dice.randbytes(16).hex(), "c": dice.randbytes(32).hex()} for _ in range(2)]
    unsigned: dict[str, Any] = {
        "format": 0, "team": roster.team.hex(), "seq": seq, "prev": prev.hex(), "id": dice.randbytes(16).hex(),
        "device": owner.identity.device_id.hex(), "at": 1_790_000_000_000 + seq, "space": roster.team_space.hex(),
        "epoch": 1, "seen_checkpoint": None, "events": [{"type": "push"}], "objects": objects, "leaves": leaves,
        "sealed": None,
    }  # fmt: skip
    return encode(unsigned, owner.identity.device.sign_seed)


def _grow(owner: Client, store: StrictStore, commits: int) -> None:
    """Append commits to the log, and let the owner take them in and write the segments that are due."""
    dice, prev = random.Random(SEED), owner.log.point.prev
    assert prev is not None  # noqa: S101 - the genesis
    while (first := owner.log.next_seq) < commits:
        run = []
        for seq in range(first, min(commits, first + segment_commits_max)):
            run.append(_commit(owner, seq, prev, dice))
            prev = commit_hash(run[-1])
            store._objects[slot_name(seq)] = run[-1]  # noqa: SLF001 - a hundred thousand PUTs are not what is measured
        owner.log.take_run(first, run)
        write_due(owner)


def _bare_verifications(datas: list[bytes], public: bytes, seed: bytes) -> float:
    """Seconds for one Ed25519 verification over each commit's bytes."""
    signed = [(data, signing.sign(seed, labels.COMMIT, data)) for data in datas]
    start = time.perf_counter()
    for data, signature in signed:
        assert signing.verifies(public, labels.COMMIT, data, signature)  # noqa: S101 - must hold
    return time.perf_counter() - start


def _run(commits: int, work: Path, *, profile: bool) -> None:
    store = StrictStore()
    owner = founded(store, work / "ana")
    _grow(owner, store, commits)
    fresh = client(Person(None, owner.identity), store, work / "fresh")  # type: ignore[arg-type]
    store.history.clear()
    profiler = cProfile.Profile() if profile else None
    if profiler:
        profiler.enable()
    start = time.perf_counter()
    fresh.log.refresh()
    seconds = time.perf_counter() - start
    if profiler:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(24)
    assert fresh.log.point == owner.log.point, fresh.segments.told()  # noqa: S101 - a bench of something wrong is worthless
    datas = [slot.data for slot in owner.replica.slots()][1:]
    identity = owner.identity.device
    bare = _bare_verifications(datas, identity.public.ed25519, identity.sign_seed)
    asked = {op: sum(each == op for each, _ in store.history) for op in ("get", "list")}
    size = sum(len(data) for name, data in store._objects.items() if name.startswith(SEGMENTS))  # noqa: SLF001
    rate = len(datas) / seconds
    print(
        f"{len(datas)} commits, {size / 1e6:.0f} MB of segments; a tail of at most {segment_tail_commits} slots"
    )
    print(
        f"bootstrap             {seconds:8.2f} s  {rate:9.0f} commits/s  {asked['get']} GET, {asked['list']} LIST"
    )
    print(f"bare verifications    {bare:8.2f} s  {len(datas) / bare:9.0f} /s")
    print(f"ratio                 {seconds / bare:8.2f}    (goal: at most 2)")
    print(
        f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, the bucket in memory included"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _run(options.commits, Path(folder), profile=options.profile)


if __name__ == "__main__":
    main()
