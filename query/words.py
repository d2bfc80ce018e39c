"""Where words are looked up: the port that the index and the scan share. Both give the same answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from crypto.errors import UsageError
from query.grammar import Alternative, Phrase, Query
from query.tokenize import normal, tool_word, tool_words


class Words(Protocol):
    """Finds nodes by what was said. Hashes are 32 bytes; some may be of nodes that are not shown (any more)."""

    def find(self, query: Query) -> Iterator[bytes]:
        """The nodes that match a query, each once."""
        ...

    def calling(self, tools: Sequence[Phrase]) -> Iterator[bytes]:
        """The nodes with a call of one of these tools, each once."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """The words of one node."""

    words: str
    tools: str


def turn_of(text: str, tool_calls: int) -> Turn:
    """What of a node is searched."""
    return Turn(normal(text), tool_words(text) if tool_calls else "")


def tool_phrase(name: str) -> Phrase:
    """A tool's name as it is looked up; it may end in `*`. UsageError for another pattern."""
    prefix = name.endswith("*")
    word = tool_word(name)
    if not word or "*" in name[:-1] or "?" in name:
        raise UsageError(
            f"{name!r} is no tool's name", hint="a name, or the beginning of one and a *: mcp__docs*"
        )
    return Phrase(word, prefix)


def matches(words: str, query: Query) -> bool:
    """Whether a turn's words are what a query asks for."""
    padded = f" {words} "
    return any(_fits(padded, one) for one in query.alternatives)


def has_phrase(padded: str, phrase: Phrase) -> bool:
    """Whether words with a space at both ends contain a phrase."""
    return f" {phrase.words}" + ("" if phrase.prefix else " ") in padded


def _fits(padded: str, one: Alternative) -> bool:
    return all(has_phrase(padded, phrase) for phrase in one.present) and not any(
        has_phrase(padded, phrase) for phrase in one.absent
    )
