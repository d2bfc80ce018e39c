"""Where words are looked up: the port that the index and the scan share. Both give the same answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from query.grammar import Alternative, Phrase, Query
from query.tokenize import normal
from store.texts import told_and_tools


class Words(Protocol):
    """Finds nodes by what was said. Hashes are 32 bytes; some may be of nodes that are not shown (any more).

    `in_tools`: only what tools were told and answered is looked at.
    """

    def find(self, query: Query, *, in_tools: bool = False) -> Iterator[bytes]:
        """The nodes that match a query, each once."""
        ...

    def ranked(self, query: Query, *, in_tools: bool = False) -> list[tuple[bytes, float]]:
        """(hash, score) of matches; the higher, the better (BM25). An index looks at the newest ones only."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """The words of one node: what was said, and what tools were told and answered. No phrase goes from one into the other."""

    told: str
    tools: str


def turn_of(text: str) -> Turn:
    """What of a node's searchable text is searched."""
    told, tools = told_and_tools(text)
    return Turn(normal(told), normal(tools))


def matches(turn: Turn, query: Query, *, in_tools: bool = False) -> bool:
    """Whether a turn's words are what a query asks for."""
    padded = [f" {words} " for words in ([turn.tools] if in_tools else [turn.told, turn.tools])]
    return any(_fits(padded, one) for one in query.alternatives)


def _fits(padded: list[str], one: Alternative) -> bool:
    return all(_has(padded, phrase) for phrase in one.present) and not any(
        _has(padded, phrase) for phrase in one.absent
    )


def _has(padded: list[str], phrase: Phrase) -> bool:
    sought = f" {phrase.words}" + ("" if phrase.prefix else " ")
    return any(sought in words for words in padded)
