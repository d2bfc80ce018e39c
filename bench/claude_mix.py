"""The mix of bench/mix.py as Claude Code logs: one file a session, streamed, seeded.

python -m bench.claude_mix FOLDER NODES [SEED]
"""

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.mix import SEED, Mix
from store.nodes import Json, Node

_FIELDS = {"tool_use_id": "id", "tool_name": "name", "tool_input": "input", "tool_result_id": "tool_use_id",
           "tool_output": "content"}  # fmt: skip


def _block(block: Any) -> dict[str, Json]:
    return {_FIELDS.get(name, name): value for name, value in block.items()}


def _lines(number: int, session: list[Node]) -> Iterator[dict[str, Json]]:
    """A line per turn, as Claude Code writes them."""
    session_id, parent = str(uuid.UUID(int=number)), None
    for turn, node in enumerate(session):
        bucket: Any = node.bucket
        message: dict[str, Json] = {"role": bucket["role"], "content": [*map(_block, bucket["content"])]}
        if node.usage is not None:
            usage: dict[str, Json] = {
                "input_tokens": node.usage.input_uncached,
                "cache_read_input_tokens": node.usage.cache_read,
                "cache_creation_input_tokens": node.usage.cache_write,
                "output_tokens": node.usage.output,
            }
            message |= {"id": f"msg_{number:08x}{turn:06x}", "type": "message", "model": bucket["model"],
                        "stop_reason": node.stop_reason, "usage": usage}  # fmt: skip
        line_id = str(uuid.UUID(int=(number + 1 << 64) + turn))
        yield {
            "parentUuid": parent,
            "isSidechain": False,
            "userType": "external",
            "cwd": f"/home/dev/{node.project}",
            "sessionId": session_id,
            "version": "2.1.30",
            "gitBranch": "main",
            "type": bucket["role"],
            "message": message,
            "uuid": line_id,
            "timestamp": node.created_at,
            **({"requestId": f"req_{number:08x}{turn:06x}"} if node.usage is not None else {}),
        }
        parent = line_id


def write_logs(folder: Path, nodes: int, seed: int = SEED) -> int:
    """Sessions until there are `nodes` turns; their bytes. Another seed's are other sessions."""
    size = 0
    for number, session in enumerate(Mix(seed).sessions(nodes), (seed - SEED) << 32):
        project = folder / f"-home-dev-{session[0].project}"
        project.mkdir(parents=True, exist_ok=True)
        lines = (
            json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in _lines(number, session)
        )
        size += (project / f"{uuid.UUID(int=number)}.jsonl").write_bytes("\n".join([*lines, ""]).encode())
    return size


if __name__ == "__main__":
    print(write_logs(Path(sys.argv[1]), *map(int, sys.argv[2:])))
