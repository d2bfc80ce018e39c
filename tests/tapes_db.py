"""The Go tool's database, made up as its driver writes it, and the truth about it, told apart from the rows.

Hashes are computed here by the recipe of tapes.md §1.1 with Python's own JSON, for buckets where that is canonical already.
"""

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

Record = dict[str, Any]
DDL = """
CREATE TABLE nodes (hash TEXT PRIMARY KEY, bucket JSON, type TEXT, role TEXT, content JSON, model TEXT, provider TEXT,
    agent_name TEXT, stop_reason TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, total_tokens INTEGER,
    cache_creation_input_tokens INTEGER, cache_read_input_tokens INTEGER, total_duration_ns INTEGER,
    prompt_duration_ns INTEGER, project TEXT, created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    parent_hash TEXT REFERENCES nodes(hash) ON DELETE SET NULL);
CREATE TABLE facets (id TEXT PRIMARY KEY, session_id TEXT UNIQUE, facets JSON, created_at DATETIME);
INSERT INTO facets VALUES ('f', 's', '{}', '2026-02-16');
"""


def bucket_of(role: str, text: str, model: str = "claude-sonnet-4-5", **block: Any) -> Record:
    """A bucket of one text block (and one more block, if fields are given)."""
    content = [{"type": "text", "text": text}] + ([block] if block else [])
    return {"type": "message", "role": role, "content": content, "model": model, "provider": "anthropic"}


def e3_hash(bucket: Record, parent: str | None) -> str:
    """The E3 hash, by hand: keys sorted, `is_error` in every block."""
    content = [{"is_error": False, **block} for block in bucket["content"]]
    preimage = {"parent": parent or "", "content": {**bucket, "content": content}}
    return sha256(
        json.dumps(preimage, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


@dataclass
class GoDatabase:
    """A database in the making."""

    path: Path
    blob: bool = True
    tokens: dict[str, Counter[str]] = field(default_factory=dict)
    nodes: int = 0

    def __post_init__(self) -> None:
        self.db = sqlite3.connect(self.path)
        self.db.executescript(DDL)

    def add(self, bucket: Record, parent: str | None, node_hash: str = "", **columns: Any) -> str:
        """Insert a row as go-sqlite3 does: JSON as BLOB with sorted keys and `<` escaped."""
        node_hash = node_hash or e3_hash(bucket, parent)
        text = json.dumps(bucket, sort_keys=True, separators=(",", ":"), ensure_ascii=False).replace(
            "<", "\\u003c"
        )
        values = {
            "hash": node_hash,
            "bucket": text.encode() if self.blob else text,
            "role": "lies",  # the copies beside the bucket are not read
            "parent_hash": parent,
            "created_at": "2026-02-20 10:30:00.123456789+01:00",
            **columns,
        }
        names = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        self.db.execute(f"INSERT INTO nodes ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608 - names from above
        self.db.commit()
        self.nodes += 1
        return node_hash

    def call(
        self, text: str, parent: str | None, *, uncached: int, read: int = 0, write: int = 0, out: int = 9
    ) -> str:
        """A response with its usage, which includes the cache as it does since #104."""
        into = self.tokens.setdefault("claude-sonnet-4-5-20250929", Counter())
        into.update(input_uncached=uncached, cache_read=read, cache_write=write, output=out)
        return self.add(
            bucket_of("assistant", text, "claude-sonnet-4-5-20250929"),
            parent,
            stop_reason="end_turn",
            prompt_tokens=uncached + read + write,
            completion_tokens=out,
            cache_read_input_tokens=read or None,
            cache_creation_input_tokens=write or None,
        )

    def conversation(self, turns: int, name: str = "hello") -> list[str]:
        """A classic conversation: each request resends the answer before under its own model name, which forks the chain."""
        tip, heads = None, []
        for turn in range(turns):
            tip = self.add(bucket_of("user", f"{name} {turn}"), tip)
            heads.append(self.call(f"answer {turn}", tip, uncached=100 + turn, read=10 * turn, write=turn))
            if turn < turns - 1:
                tip = self.add(bucket_of("assistant", f"answer {turn}"), tip)
        return heads
