"""`verify --keyless` over a folder full of packs: MB/s per core, against bare SHA-256 of the same bytes in the same run.

    python -m bench.keyless [--megabytes 1000]

The packs are random bytes under their right names, named by signed commits; read from the page cache: our own work is measured.
"""

import argparse
import random
import resource
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from store import events
from store.commits import Leaf, ObjectRef, name_of
from store.directory import DirectoryStore
from store.limits import MIB
from sync.drafts import Content, DraftContext, draft
from sync.keyless import verify_keyless
from tests.actors import founded

pack_bytes = 16 * MIB
SEED = 20261120


def _fill(store: DirectoryStore, work: Path, megabytes: int) -> list[Path]:
    """One commit per pack, each with a manifest that nobody opens."""
    owner = founded(store, work / "ana")
    dice = random.Random(SEED)
    key = owner.keychain.newest(owner.roster, owner.roster.team_space)
    for _ in range(max(1, megabytes * 10**6 // pack_bytes)):
        refs = []
        for kind, size in (("pack", pack_bytes), ("manifest", 64 * 1024)):
            data = dice.randbytes(size)
            digest = sha256(data).hexdigest()
            refs.append(ObjectRef(kind=kind, base=0, sha256=digest, bytes=size))  # type: ignore[arg-type]
            store.put_if_absent(name_of(refs[-1]), data)
        leaf = Leaf(kind=1, tag=dice.randbytes(16).hex(), c=dice.randbytes(32).hex())
        content = Content([events.Push(type="push")], refs, [leaf])

        def drafter(context: DraftContext, said: Content = content) -> bytes:
            return draft(context, owner.roster.team, key, said)

        owner.commit(drafter)
    return sorted(path for path in (work / "bucket").rglob("*/*/*") if path.is_file())


def _bare(paths: list[Path]) -> tuple[int, float]:
    """Bytes, and CPU seconds to read and hash them."""
    start, size = time.process_time(), 0
    for path in paths:
        data = path.read_bytes()
        sha256(data).hexdigest()
        size += len(data)
    return size, time.process_time() - start


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        store = DirectoryStore(work / "bucket")
        paths = _fill(store, work, options.megabytes)
        size, bare = _bare(paths)
        start, cpu = time.perf_counter(), time.process_time()
        report = verify_keyless(store)
        seconds, spent = time.perf_counter() - start, time.process_time() - cpu
    assert report.ok, report.findings[:3]  # noqa: S101 - a bench of something wrong is worthless
    print(f"{report.checked['objects']} objects, {size / 1e6:.0f} MB, {report.checked['commits']} commits")
    print(
        f"verify --keyless      {seconds:6.2f} s, {spent:6.2f} s CPU: {size / spent / 1e6:6.0f} MB/s per core (goal: 500)"
    )
    print(
        f"read and SHA-256      {bare:6.2f} s CPU: {size / bare / 1e6:6.0f} MB/s per core; ratio {spent / bare:.2f}"
    )
    print(f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
