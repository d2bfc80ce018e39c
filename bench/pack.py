"""MB of node JSON per second and core through frames and packs, against bare zstd of the same frames in the same run.

    python bench/pack.py [MB]

Process time, one core, best of five rounds that alternate between the contenders. "bare zstd" is the floor: the same
compressor at the same level over the same runs of bytes, and nothing else.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).parent.parent))

from crypto.sealing import SealKey
from store.frames import cut_frames, raw_length, seal_frame
from store.limits import zstd_level_push
from store.packs import Pack, PackWriter, open_pack

rounds = 5
default_mb = 64
KEY = SealKey(team=bytes(32), space=bytes(16), epoch=1, key=bytes(range(32)))
OPENING = bytes(32)
Run = list[tuple[str, bytes]]


def make_nodes(total_bytes: int) -> list[tuple[str, bytes]]:
    """Turns shaped like a coding agent's: prose in a natural word distribution, and files read again after small edits."""
    dice = random.Random(42)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz_", k=dice.randint(2, 11))) for _ in range(6000)]
    common = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))  # Zipf's law

    def line(length: int) -> str:
        return " ".join(dice.choices(words, cum_weights=common, k=length))

    files = [[line(dice.randint(2, 9)) for _ in range(200)] for _ in range(6)]
    nodes, held = [], 0
    while held < total_bytes:
        content: list[dict[str, object]] = [{"type": "text", "text": line(dice.randint(5, 80))}]
        if dice.random() < 0.4:
            file = dice.choice(files)
            file[dice.randrange(len(file))] = line(8)
            content.append({"type": "tool_result", "tool_output": "\n".join(file)})
        node = {"hash": dice.randbytes(32).hex(), "bucket": {"content": content}}
        stored = json.dumps(node, separators=(",", ":")).encode()
        nodes.append((str(node["hash"]), stored))
        held += len(stored)
    return nodes


def pack_all(runs: list[Run]) -> list[Pack]:
    """The path of a push: compress, seal and hash each frame, index and hash each pack."""
    packs, writer = [], PackWriter(KEY)
    for run in runs:
        node_bytes = [stored for _, stored in run]
        if not writer.takes(raw_length(node_bytes), len(run)):
            packs.append(writer.finish())
            writer = PackWriter(KEY)
        sealed = seal_frame(KEY, bytes(32), node_bytes)
        writer.add_frame(
            bytes(32), raw_length(node_bytes), [(node_hash, OPENING) for node_hash, _ in run], sealed
        )
    return [*packs, writer.finish()]


def zstd_all(runs: list[Run]) -> list[bytes]:
    """The floor: one compressor over the same bytes."""
    compressor = zstandard.ZstdCompressor(level=zstd_level_push)
    return [compressor.compress(b"".join(stored for _, stored in run)) for run in runs]


def open_all(packs: list[Pack]) -> int:
    """The way back, everything checked: footer, walk, digests, seals, sizes."""
    return sum(len(frame.nodes) for pack in packs for _, frame in open_pack(KEY, pack.data, "bench"))


def unzstd_all(frames: list[bytes]) -> int:
    """The floor of the way back: decompress only."""
    decompressor = zstandard.ZstdDecompressor()
    return sum(len(decompressor.decompress(frame)) for frame in frames)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    before = time.process_time()
    work()
    return time.process_time() - before


def best(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """The best of each, taken in turns, so that a busy machine hits both."""
    times = [(seconds(first), seconds(second)) for _ in range(rounds)]
    return min(time for time, _ in times), min(time for _, time in times)


def main() -> None:
    """Measure and print."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else default_mb
    nodes = make_nodes(megabytes * 1_000_000)
    runs = list(cut_frames(nodes))
    raw = sum(len(stored) for _, stored in nodes)
    packs, frames = pack_all(runs), zstd_all(runs)
    stored, bare = sum(len(pack.data) for pack in packs), sum(map(len, frames))
    print(f"{len(nodes):,} nodes, {raw / 1e6:.0f} MB, {len(runs)} frames, {len(packs)} packs")
    print(f"stored: packs {raw / stored:.2f}x smaller, bare zstd {raw / bare:.2f}x")
    for label, ours, floor in (
        ("pack", lambda: pack_all(runs), lambda: zstd_all(runs)),
        ("open", lambda: open_all(packs), lambda: unzstd_all(frames)),
    ):
        mine, least = best(ours, floor)
        rates = f"packs {raw / mine / 1e6:.0f} MB/s, bare zstd {raw / least / 1e6:.0f} MB/s"
        print(f"{label}: {rates}, time ratio {mine / least:.2f}")
    hashing = seconds(lambda: [sha256(pack.data).digest() for pack in packs])
    print(f"of which one SHA-256 over all stored bytes: {hashing * 1000:.0f} ms")


if __name__ == "__main__":
    main()
