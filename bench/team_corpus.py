"""A team's turns by number: rows and texts made when asked for, so that millions need neither memory nor an import.

Turn `n` is always the same: forty turns a session, here and there a fork, fifty sessions at a time, twenty members, two hundred
projects. Words are Zipf's out of a pool that is cut anew for every turn; each turn has one word of its own.
"""

import random
from array import array
from bisect import bisect
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256

from query.source import Batch, Origin
from store.facts import NodeFacts
from store.manifest_schema import Row, rows_table

turns_per_session = 40
sessions_at_once = 50
members = 20
projects = 200
vocabulary = 120_000
rows_per_manifest = 10_000
text_bytes = 1_000
_pool_words = 3_000_000
_start_us = 1_735_689_600_000_000  # 2025-01-01
_span_us = 2 * 365 * 86_400_000_000
_mixed = 0x9E3779B97F4A7C15  # Knuth's multiplicative hashing: neighbours get unlike numbers
_models = ("claude-opus-4-5", "claude-sonnet-4-5", "gpt-5", "gemini-2.5-pro")


class TeamCorpus:
    """`count` turns."""

    def __init__(self, count: int, seed: int = 7) -> None:
        self.count = count
        self._seed = seed

    @cached_property
    def words(self) -> list[str]:
        """The vocabulary, the most frequent first."""
        chosen = random.Random(self._seed)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        return ["".join(chosen.choices(letters, k=chosen.randint(2, 11))) for _ in range(vocabulary)]

    @cached_property
    def _pool(self) -> "array[int]":
        chosen = random.Random(self._seed + 1)
        total, cumulative = 0.0, []
        for rank in range(1, vocabulary + 1):
            total += 1 / (rank + 2)
            cumulative.append(total)
        return array("i", (bisect(cumulative, chosen.random() * total) for _ in range(_pool_words)))

    def hash_of(self, number: int) -> bytes:
        """The turn's name; its first eight bytes are the number."""
        return number.to_bytes(8) + sha256(number.to_bytes(8)).digest()[:24]

    def text_of(self, node_hash: bytes) -> str:
        """What was said, about `text_bytes`."""
        number = int.from_bytes(node_hash[:8])
        mixed = (number + 1) * _mixed & (1 << 64) - 1
        start, length = mixed % (_pool_words - 1000), 40 + (mixed >> 40) % 230
        words = self.words
        said = " ".join([words[rank] for rank in self._pool[start : start + length]])
        return f"u{number:x} {said}" + ("\nBash\n" if number % 4 == 1 else "")

    def batches(self) -> Iterator[Batch]:
        """Manifests in log order."""
        waiting: list[Row] = []
        for number in range(self.count):
            waiting.append(self._row(number))
            if len(waiting) == rows_per_manifest or number == self.count - 1:
                seq = number // rows_per_manifest
                author = sha256(bytes([seq % members])).digest()
                yield Origin(author, author, seq, team=seq % 10 != 0), rows_table(waiting, author, author)
                waiting = []

    def _row(self, number: int) -> Row:
        session, turn = self._place(number)
        root = self.hash_of(session * turns_per_session)
        return Row(self._facts(number, session, turn), root, text_bytes + 200)

    def _place(self, number: int) -> tuple[int, int]:
        """Session and turn; sessions lie end to end, and are spread over time by `_when`."""
        return divmod(number, turns_per_session)

    def _parent(self, number: int, turn: int) -> int | None:
        """The turn before; one in thirty goes back a few, which makes a fork."""
        if turn == 0:
            return None
        back = 2 + (number * _mixed >> 20) % 4 if (number * _mixed >> 7) % 30 == 0 else 1
        return number - min(back, turn)

    def _when(self, session: int, turn: int) -> int:
        sessions = max(1, self.count // turns_per_session)
        began = _start_us + session // sessions_at_once * sessions_at_once * _span_us // sessions
        return began + turn * 40_000_000 + session % sessions_at_once * 1_000_000

    def _facts(self, number: int, session: int, turn: int) -> NodeFacts:
        call, parent = turn % 2 == 1, self._parent(number, turn)
        mixed = number * _mixed >> 16 & 0xFFFF
        return NodeFacts(
            hash=self.hash_of(number).hex(),
            hash_version="E3",
            parent_hash=None if parent is None else self.hash_of(parent).hex(),
            harness="claude",
            harness_session=f"session-{session}",
            usage_id=f"msg-{number}" if call else None,
            project=f"project-{session % projects}",
            agent="claude",
            provider="anthropic",
            model=_models[session % 7 % 4] if call else None,
            role="assistant" if call else "user",
            kind="message",
            stop_reason="end_turn" if call else None,
            created_us=self._when(session, turn),
            input_uncached=mixed % 1000 if call else None,
            cache_read=5000 if call else None,
            cache_write=300 if call else None,
            cache_write_1h=0 if call else None,
            output=mixed % 700 if call else None,
            cost_usd_micro=mixed % 9000 if call else None,
            cost_source="computed" if call else None,
            cost_table="prices",
            tool_calls=int(number % 4 == 1),
            tool_errors=int(number % 400 == 1),
            git_activity=number % 1000 == 1,
            tools="Bash" if number % 4 == 1 else None,
        )
