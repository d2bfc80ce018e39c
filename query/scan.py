"""Looking words up by reading every text: slower than the index, and its measure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from query.grammar import Phrase, Query
from query.texts import Texts
from query.words import Turn, has_phrase, matches, turn_of


@dataclass(frozen=True, slots=True)
class Scan:
    """Words without an index."""

    texts: Texts

    def find(self, query: Query) -> Iterator[bytes]:
        """The nodes that match a query, each once."""
        return self._where(lambda turn: matches(turn.words, query))

    def calling(self, tools: Sequence[Phrase]) -> Iterator[bytes]:
        """The nodes with a call of one of these tools, each once."""
        return self._where(lambda turn: any(has_phrase(f" {turn.tools} ", tool) for tool in tools))

    def _where(self, holds: Callable[[Turn], bool]) -> Iterator[bytes]:
        engine = self.texts.source.engine
        calls: dict[bytes, int] = dict(engine.all("SELECT hash, tool_calls FROM rows"))
        for node_hash, text in self.texts.every(set(calls)):
            if holds(turn_of(text, calls[node_hash])):
                yield node_hash
