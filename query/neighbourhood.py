"""The rows that one session can depend on, so that to read one costs no more memory and time than it has rows.

That is whatever bears the name asked for, and then, as often as it adds anything: all rows of the same conversations, of the
nodes above and of the nodes below, whoever says so. Which row of a node is shown, which leaves are heads and what a name means is
decided inside one such neighbourhood: its rows alone give the same answer as all rows do (tests/query/test_neighbourhood.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.local import LinkColumn, LocalFacts, LocalStore
from store.storable import storable_text

COLUMNS: Final = ("hash", "parent", "conversation", "harness_session")
rounds_max: Final = 64  # hostile rows grow by one node a round: then everything is the neighbourhood, as if nobody had narrowed
_key_bytes: Final = 8  # of a hash: where two agree in them, a few rows more come along
_LINKS: Final = ("hash", "parent", "conversation")
_NO_LINKS: Final = pa.table({name: pa.array([], pa.uint64()) for name in _LINKS})
# A row is next to one that is inside if the column named first has a value of one of those named second.
_NEXT_TO: Final = {"hash": ("hash", "parent"), "parent": ("hash",), "conversation": ("conversation",)}
_LOCAL_COLUMN: Final[Mapping[str, LinkColumn]] = {
    "hash": "hash",
    "parent": "parent_hash",
    "conversation": "conversation",
}


class Neighbourhood:
    """Of one name: show it every pushed row (`look`), then `find` with the local store, then ask which rows it has."""

    def __init__(self, name: str) -> None:
        self._name = storable_text(name)
        self._links: list[pa.Table] = []
        self._named: list[pa.Array] = []
        self._nodes: pa.Array | None = None  # their keys; None: all
        self._touched: list[bool] = []  # by look
        self._own: Iterable[LocalFacts] = ()

    def look(self, table: pa.Table) -> None:
        """Note how these rows hang together; `table` has at least COLUMNS."""
        keys = {name: _keys(table.column(name)) for name in _LINKS}
        alias = pc.starts_with(table.column("harness_session"), self._name).combine_chunks()
        named = pc.or_(self._starts(keys["hash"]), self._starts(keys["conversation"]))
        self._links.append(pa.table(keys))
        self._named.append(pc.or_(pc.fill_null(alias, fill_value=False), named))

    def find(self, local: LocalStore | None) -> None:
        """Settle what belongs to it. The local store's rows are found by its indexes: one that has many costs no more."""
        lengths = [len(named) for named in self._named]
        links = pa.concat_tables([_NO_LINKS, *self._links])
        inside = pa.chunked_array(self._named, pa.bool_())
        self._links, self._named = [], []
        here = _Here(local) if local is not None else None
        found = pa.concat_tables([links.filter(inside), here.named(self._name) if here else _NO_LINKS])
        known = {column: pa.array([], pa.uint64()) for column in _NEXT_TO}
        for _ in range(rounds_max):
            reached = {column: _new(found, names, known[column]) for column, names in _NEXT_TO.items()}
            if not any(map(len, reached.values())):
                self._nodes = known["parent"]
                self._touched = list(_any_of(inside, lengths))
                self._own = here.facts() if here else ()
                return
            known = {column: pa.concat_arrays([known[column], reached[column]]) for column in _NEXT_TO}
            grown = _or_next_to(inside, links, reached)
            fresh = links.filter(pc.and_not(grown, inside))
            inside = grown
            found = pa.concat_tables([fresh, here.next_to(reached) if here else _NO_LINKS])
        self._touched = [True] * len(lengths)
        self._own = local.facts() if local is not None else ()

    def touches(self, look: int) -> bool:
        """Whether any row of the look of that number, from 0, belongs to it."""
        return self._touched[look]

    def own(self) -> Iterable[LocalFacts]:
        """The rows of the local store that belong to it, superseded ones among them; to be read once."""
        return self._own

    def of(self, table: pa.Table) -> pa.Table:
        """Those of the rows that belong to it."""
        return table if self._nodes is None else table.filter(_in(_keys(table.column("hash")), self._nodes))

    def _starts(self, keys: pa.ChunkedArray) -> pa.Array:
        """Whether the hashes may start with the name; none is null."""
        start = self._name.lower()[: 2 * _key_bytes]
        if start.strip("0123456789abcdef"):
            return pa.array(np.zeros(len(keys), bool))
        least, most = (int(start.ljust(2 * _key_bytes, digit), 16) for digit in "0f")
        numbers: NDArray[np.uint64] = keys.to_numpy()
        return pa.array((numbers >= np.uint64(least)) & (numbers <= np.uint64(most)))


class _Here:
    """What belongs to it of the local store: always whole conversations, since with one row all of its conversation does."""

    def __init__(self, local: LocalStore) -> None:
        self._local = local
        self._conversations: set[str] = set()

    def named(self, name: str) -> pa.Table:
        """How the rows of conversations hang together in which any bears the name."""
        return self._links(self._local.conversations_named(name))

    def next_to(self, reached: Mapping[str, pa.Array]) -> pa.Table:
        """The same of conversations in which any row has one of these keys, by the column it is in; each is given once."""
        found: set[str] = set()
        for column, keys in reached.items():
            starts = (f"{key:0{2 * _key_bytes}x}" for key in keys.to_pylist())
            found |= self._local.conversations_where(_LOCAL_COLUMN[column], starts)
        return self._links(found)

    def facts(self) -> Iterator[LocalFacts]:
        """What was found."""
        return chain.from_iterable(map(self._local.conversation_facts, sorted(self._conversations)))

    def _links(self, conversations: set[str]) -> pa.Table:
        fresh = conversations - self._conversations
        self._conversations |= fresh
        return pa.concat_tables([_NO_LINKS, *map(self._links_of, fresh)])

    def _links_of(self, conversation: str) -> pa.Table:
        hashes, parents = zip(*self._local.links_of(conversation), strict=True)
        columns = (hashes, parents, [conversation] * len(hashes))
        keys = ([name and int(name[: 2 * _key_bytes], 16) for name in names] for names in columns)
        return pa.table(dict(zip(_LINKS, (pa.array(column, pa.uint64()) for column in keys), strict=True)))


def _new(found: pa.Table, names: Iterable[str], known: pa.Array) -> pa.Array:
    """The keys in these columns that were not known, each once."""
    chunks = [chunk for name in names for chunk in found.column(name).chunks]
    keys = pc.unique(pa.chunked_array(chunks, pa.uint64())).drop_null()
    return keys.filter(pc.invert(_in(keys, known)))


def _or_next_to(inside: pa.ChunkedArray, links: pa.Table, reached: Mapping[str, pa.Array]) -> pa.ChunkedArray:
    """The rows inside and those next to them."""
    for column, keys in reached.items():
        inside = pc.or_(inside, _in(links.column(column), keys))
    return inside


def _any_of(inside: pa.ChunkedArray, lengths: Iterable[int]) -> Iterator[bool]:
    """By look: whether any of its rows is inside."""
    start = 0
    for length in lengths:
        yield bool(pc.any(inside.slice(start, length), min_count=0).as_py())
        start += length


def _in(values: pa.ChunkedArray | pa.Array, among: pa.Array) -> pa.ChunkedArray | pa.Array:
    return pc.is_in(values, value_set=among, skip_nulls=True)


def _keys(hashes: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first bytes of each hash as a number, the first byte the highest; null stays null."""
    column = hashes.combine_chunks()
    filled = pc.fill_null(column, bytes(column.type.byte_width))
    spread = np.frombuffer(filled.buffers()[1], np.uint8).reshape(-1, column.type.byte_width)
    starts = np.ascontiguousarray(spread[filled.offset : filled.offset + len(filled), :_key_bytes])
    numbers = starts.view(">u8").ravel().astype(np.uint64)
    missing = pc.is_null(column).to_numpy(zero_copy_only=False)
    return pa.chunked_array([pa.array(numbers, pa.uint64(), mask=missing)], pa.uint64())
