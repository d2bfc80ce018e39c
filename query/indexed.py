"""Words out of the index: its docs as the rows of a source, and no more of them than an answer by date needs.

Docs count in order of their arrival, so those at the end are mostly of the newest sessions. An answer by date walks from there
in growing steps, over docs of chosen sessions only, and stops when nothing that it has not seen could change it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.answers import ranked_max
from query.catalog import Catalog
from query.forest import Numbers, nowhere
from query.grammar import Query
from query.index import WordIndex, hash_bytes, match_of
from query.words import Newest, Ranked

_first_step_docs: Final = 16_384
_runs_max: Final = (
    64  # of docs that are asked for apart; each costs about as much as reading over a few thousand
)
_ROWS: Final = "SELECT doc, id::INTEGER AS id FROM docs JOIN rows USING (hash)"


@dataclass(frozen=True, slots=True)
class Indexed:
    """The words of an index for one source; it is a `HastyWords`. What the index takes in later is not seen."""

    index: WordIndex
    rows: Numbers  # by doc: its row id, or nowhere (superseded, withdrawn, another space's); doc 0 is none
    segments: Numbers  # by doc: its segment in the catalog's forest, or nowhere

    @classmethod
    def of(cls, index: WordIndex, catalog: Catalog) -> "Indexed":
        """Every doc's row, looked up."""
        hashes = b"".join(index.hashes(0))
        count = len(hashes) // hash_bytes
        rows = np.full(count + 1, nowhere, np.int32)
        ends = np.arange(0, len(hashes) + 1, hash_bytes, dtype=np.int32)
        column = pa.Array.from_buffers(pa.binary(), count, [None, *map(pa.py_buffer, (ends, hashes))])
        table = pa.table({"hash": column, "doc": np.arange(1, count + 1, dtype=np.int32)})
        engine = catalog.source.engine
        with engine.table("docs", table):
            found = engine.arrow(_ROWS)
        rows[found.column("doc").to_numpy()] = found.column("id").to_numpy()
        return cls(index, rows, np.append(catalog.segment, np.int32(nowhere))[rows])

    def find(self, query: Query, *, in_tools: bool = False) -> Numbers:
        """The nodes that match a query."""
        rows = self.rows[self.index.docs(match_of(query, in_tools=in_tools), 1, len(self.rows) - 1)]
        known: Numbers = rows[rows != nowhere]
        return known

    def ranked(self, query: Query, *, in_tools: bool = False) -> Ranked:
        """The newest `ranked_max` matches and how well they do."""
        found = self.index.ranked(match_of(query, in_tools=in_tools))
        docs = np.array([doc for doc, _ in found], np.int32)
        scores = np.array([score for _, score in found], np.float64)
        seen = docs < len(self.rows)
        rows, scores = self.rows[docs[seen]], scores[seen]
        return Ranked(rows[rows != nowhere], scores[rows != nowhere], len(found) == ranked_max)

    def newest(
        self, query: Query, owners: Numbers, wanted: int, enough: int, *, in_tools: bool = False
    ) -> Newest:
        """The matches that count for an answer by date (query/words.py)."""
        match = match_of(query, in_tools=in_tools)
        by_doc = owners[self.segments]
        waiting = np.flatnonzero(by_doc != nowhere)
        met, step, more = np.empty(0, np.int32), _first_step_docs, False
        while len(waiting):
            for low, high in _runs(waiting, step):
                found = self.index.docs(match, low, high)
                met = np.concatenate((met, found[by_doc[found] != nowhere]))
                if not more and len(met) > enough:
                    more = True
                    break
            waiting = waiting[: np.searchsorted(waiting, low)]
            step *= 2
            if more:
                waiting = waiting[by_doc[waiting] <= _worst(by_doc[met], wanted)]
        return Newest(self.rows[met], more)


def _worst(places: Numbers, wanted: int) -> int:
    """The last place that an answer of so many sessions shows; any, as long as there are fewer."""
    met = np.unique(places)
    return int(met[wanted - 1]) if len(met) >= wanted else 2**31 - 1


def _runs(docs: NDArray[np.int64], step: int) -> Iterator[tuple[int, int]]:
    """Ranges (both ends included) over the last `step` docs, newest first; the shorter gaps are read over."""
    last = docs[-step:]
    gaps = np.diff(last)
    wide = np.flatnonzero(gaps > 1)
    if len(wide) >= _runs_max:
        wide = np.sort(wide[np.argpartition(-gaps[wide], _runs_max - 2)[: _runs_max - 1]])
    starts = last[np.concatenate(([0], wide + 1))]
    ends = last[np.concatenate((wide, [len(last) - 1]))]
    yield from zip(starts[::-1].tolist(), ends[::-1].tolist(), strict=True)
