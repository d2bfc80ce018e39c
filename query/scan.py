"""Looking words up by reading every text: slower than the index, and its measure."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from query.forest import Numbers
from query.grammar import Phrase, Query
from query.texts import Texts
from query.words import Ranked, Turn, matches, turn_of

# BM25 as FTS5 counts it, so that an answer does not depend on whether there is an index.
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75
_idf_min: Final = 1e-6  # a word of most turns says little, never less than nothing


@dataclass(frozen=True, slots=True)
class Scan:
    """Words without an index."""

    texts: Texts

    def find(self, query: Query, *, in_tools: bool = False) -> Numbers:
        """The nodes that match a query."""
        found = [row for row, turn in self._turns() if matches(turn, query, in_tools=in_tools)]
        return np.array(found, np.int32)

    def ranked(self, query: Query, *, in_tools: bool = False) -> Ranked:
        """All matches and how well they do."""
        counters = [_counter(phrase) for one in query.alternatives for phrase in (*one.present, *one.absent)]
        turns = words = 0
        having = [0] * len(counters)
        found: list[tuple[int, int, list[int]]] = []
        for row, turn in self._turns():
            sought = [f" {turn.tools} "] if in_tools else [f" {turn.told} ", f" {turn.tools} "]
            times = [sum(len(counter.findall(part)) for part in sought) for counter in counters]
            length = len(turn.told.split()) + len(turn.tools.split())
            turns, words = turns + (length > 0), words + length
            having = [before + (count > 0) for before, count in zip(having, times, strict=True)]
            if matches(turn, query, in_tools=in_tools):
                found.append((row, length, times))
        weights = [max(_idf_min, math.log((turns - n + 0.5) / (n + 0.5))) for n in having]
        mean = words / max(1, turns)
        scores = [_score(times, weights, length / mean) for _, length, times in found]
        return Ranked(
            np.array([row for row, *_ in found], np.int32), np.array(scores, np.float64), more=False
        )

    def _turns(self) -> Iterator[tuple[int, Turn]]:
        rows: dict[bytes, int] = dict(self.texts.source.engine.all("SELECT hash, id FROM rows"))
        for node_hash, text in self.texts.every(set(rows)):
            yield rows[node_hash], turn_of(text)


def _counter(phrase: Phrase) -> re.Pattern[str]:
    """Every place of a phrase, also where two share their space."""
    return re.compile(f" {re.escape(phrase.words)}" + ("" if phrase.prefix else "(?= )"))


def _score(times: list[int], weights: list[float], length: float) -> float:
    damping = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length)
    return sum(
        weight * count * (_SATURATION + 1) / (count + damping)
        for count, weight in zip(times, weights, strict=True)
    )
