"""Re-hashing nodes against a bare `json.loads` of the same bytes: MB/s of both and their ratio, in one run.

    .venv/bin/python bench/canonical.py

Canonicalisation is the hot spot of push, pull and verify. The corpus is seeded and shaped like an agent's session: short
prompts, tool calls, tool results of some KiB, long answers, a tenth of them with text beyond ASCII.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # run as a script, from anywhere

from store.canonical import canonical_go
from store.eras import hash_bucket, make_node
from store.node_parse import node_from_bytes
from store.nodes import Json, Node, node_to_bytes

corpus_nodes = 4000
rounds = 5
_WORDS = [
    *("the", "quick", "session", "file", "error", "return", "import", "value", "<tag>", "&", "test:", "42"),
    *("\\n", "function()", "{", "}", '"quoted"', "path/to/x"),
]
_WIDE = ["Überprüfung", "检查", "データ", "😀"]


def _text(rng: random.Random, words: int) -> str:
    pool = _WORDS + _WIDE if rng.random() < 0.1 else _WORDS
    return " ".join(rng.choices(pool, k=words))


def _block(rng: random.Random, kind: int) -> dict[str, Json]:
    if kind == 0:
        return {"type": "text", "text": _text(rng, rng.randint(10, 400))}
    if kind == 1:
        command = {"command": _text(rng, 12), "timeout": 120000, "description": _text(rng, 6)}
        return {
            "type": "tool_use",
            "tool_use_id": f"toolu_{rng.random()}",
            "tool_name": "Bash",
            "tool_input": command,
        }
    return {
        "type": "tool_result",
        "tool_result_id": "toolu_1",
        "tool_output": _text(rng, rng.randint(50, 1500)),
    }


def _corpus() -> list[Node]:
    rng, nodes, parent = random.Random(7), [], None
    for number in range(corpus_nodes):
        content = [_block(rng, rng.randrange(3)) for _ in range(rng.randint(1, 2))]
        bucket = {
            "type": "message",
            "role": "assistant",
            "content": content,
            "model": "m",
            "provider": "anthropic",
        }
        node = make_node(bucket, parent, created_at=f"2026-02-14T09:30:00.{number:06d}Z", project="bench")
        nodes.append(node)
        parent = node.hash
    return nodes


def _rate(name: str, total_bytes: int, work: Callable[[], object], base: float | None = None) -> float:
    """Print and give the best MB/s of a few rounds: the least disturbed one."""
    best = 0.0
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        best = max(best, total_bytes / 1e6 / (time.perf_counter() - started))
    ratio = f"   {best / base:5.2f} x json.loads" if base else ""
    print(f"{name:<34}{best:8.1f} MB/s{ratio}")
    return best


def main() -> None:
    """Measure each step over the same corpus."""
    nodes = _corpus()
    datas = [node_to_bytes(node) for node in nodes]
    total = sum(map(len, datas))
    print(f"{len(nodes)} nodes, {total / 1e6:.1f} MB")
    base = _rate("json.loads", total, lambda: [json.loads(data) for data in datas])
    _rate("canonical_go", total, lambda: [canonical_go(node.bucket) for node in nodes], base)
    _rate("hash_bucket E3", total, lambda: [hash_bucket(n.bucket, n.parent_hash) for n in nodes], base)
    _rate("hash_bucket E6", total, lambda: [hash_bucket(n.bucket, n.parent_hash, "E6") for n in nodes], base)
    _rate(
        "node_from_bytes, not verified",
        total,
        lambda: [node_from_bytes(d, "x", verify=False) for d in datas],
        base,
    )
    _rate("node_from_bytes, re-hashed", total, lambda: [node_from_bytes(d, "x") for d in datas], base)


if __name__ == "__main__":
    main()
