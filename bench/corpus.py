"""A seeded corpus of realistic turns: prose with Zipf words, code, JSON tool calls, results that repeat earlier text."""

import random
from collections.abc import Iterator

from store.eras import make_node
from store.nodes import Node, Source, Usage

_CODE = "def {a}({b}):\n    if {b} is None:\n        return {a}_default\n    return [{c} for {c} in {b} if {c}.ready]\n"


class Corpus:
    """Sessions of turns; the same seed gives the same nodes."""

    def __init__(self, seed: int = 7, vocabulary: int = 20_000) -> None:
        self._random = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = [
            "".join(self._random.choices(letters, k=self._random.randint(2, 11))) for _ in range(vocabulary)
        ]
        weights = [1 / rank for rank in range(1, vocabulary + 1)]
        total = 0.0
        self._cumulative = [total := total + weight for weight in weights]

    def sessions(self, nodes: int, turns: int = 40, mean_bytes: int = 8_000) -> Iterator[list[Node]]:
        """Sessions of `turns` nodes each until there are `nodes`; about `mean_bytes` of stored JSON a node."""
        made = 0
        while made < nodes:
            count = min(turns, nodes - made)
            yield self._session(made, count, mean_bytes)
            made += count

    def _session(self, number: int, turns: int, mean_bytes: int) -> list[Node]:
        path: list[Node] = []
        for turn in range(turns):
            parent = path[-1].hash if path else None
            path.append(
                self._turn(f"{number}-{turn}", parent, assistant=turn % 2 == 1, mean_bytes=mean_bytes)
            )
        return path

    def _turn(self, name: str, parent: str | None, *, assistant: bool, mean_bytes: int) -> Node:
        size = int(self._random.lognormvariate(0, 1) * mean_bytes / 1.65)
        content = [{"type": "text", "text": f"{name} {self._prose(size // 2)}"}]
        if assistant:
            code = self._code(size // 2)
            content.append(
                {
                    "type": "tool_use",
                    "tool_use_id": f"t{name}",
                    "tool_name": "Edit",
                    "tool_input": {"new": code},
                }
            )
        else:
            content.append(
                {"type": "tool_result", "tool_result_id": f"t{name}", "tool_output": self._code(size // 2)}
            )
        bucket = {
            "type": "message", "role": "assistant" if assistant else "user", "content": content,
            "model": "claude-sonnet-4-5" if assistant else "", "provider": "anthropic", "agent_name": "claude",
        }  # fmt: skip
        usage = (
            Usage(input_uncached=9, cache_read=9_000, cache_write=90, output=size // 4) if assistant else None
        )
        source = Source(
            "bench", session=name.split("-", maxsplit=1)[0], usage_id=f"msg_{name}" if assistant else None
        )
        return make_node(
            bucket,
            parent,
            usage=usage,
            project="bench",
            created_at="2026-02-14T09:30:00.000000Z",
            source=source,
        )

    def _prose(self, size: int) -> str:
        return " ".join(self._random.choices(self._words, cum_weights=self._cumulative, k=max(1, size // 6)))

    def _code(self, size: int) -> str:
        names = self._random.choices(self._words[:500], k=3 * max(1, size // 110))
        triples = zip(names[::3], names[1::3], names[2::3], strict=True)
        return "".join(_CODE.format(a=a, b=b, c=c) for a, b, c in triples)
