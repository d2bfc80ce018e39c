"""Where words are looked up: the port that the index and the scan share. Both give the same answers."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from query.forest import Numbers
from query.grammar import Alternative, Phrase, Query
from query.tokenize import normal
from store.texts import told_and_tools


@dataclass(frozen=True, slots=True)
class Ranked:
    """Matches, and how well each does: the higher, the better."""

    rows: Numbers
    scores: NDArray[np.float64]
    more: bool  # there may be more matches than were looked at


class Words(Protocol):
    """Finds nodes by what was said: ids of a source's rows, each once, in no order.

    `in_tools`: only what tools were told and answered is looked at.
    """

    def find(self, query: Query, *, in_tools: bool = False) -> Numbers:
        """The nodes that match a query."""
        ...

    def ranked(self, query: Query, *, in_tools: bool = False) -> Ranked:
        """Matches and how well they do (BM25). An index looks at the newest ones only."""
        ...


@dataclass(frozen=True, slots=True)
class Newest:
    """Matches: every one of the `wanted` newest sessions that have any. All there are, unless there are `more` than `enough`."""

    rows: Numbers
    more: bool


@runtime_checkable
class HastyWords(Words, Protocol):
    """Words that need not find every match for an answer by date."""

    def newest(
        self, query: Query, owners: Numbers, wanted: int, enough: int, *, in_tools: bool = False
    ) -> Newest:
        """The matches that count; see Newest. `owners` as query/facts.owners_of gives them."""
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
