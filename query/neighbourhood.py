"""The rows that one session can depend on, so that to read one costs no more memory and time than it has rows.

That is whatever bears the name asked for, and then, as often as it adds anything: all rows of the same conversations, of the
nodes above and of the nodes below, whoever says so. Which row of a node is shown, which leaves are heads and what a name means is
decided inside one such neighbourhood: its rows alone give the same answer as all rows do (tests/query/test_neighbourhood.py).
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from store.storable import storable_text

COLUMNS: Final = ("hash", "parent", "conversation", "harness_session")
rounds_max: Final = 64  # hostile rows grow by one node a round: then everything is the neighbourhood, as if nobody had narrowed
_key_bytes: Final = 8  # of a hash: where two agree in them, a few rows more come along
_LINKS: Final = ("hash", "parent", "conversation")


class Neighbourhood:
    """Of one name: show it every row (`look`), then `find`, then ask which rows it has."""

    def __init__(self, name: str) -> None:
        self._name = storable_text(name)
        self._links: list[pa.Table] = []
        self._named: list[pa.Array] = []
        self._nodes: pa.Array | None = None  # their keys; None: all
        self._conversations: set[int] = set()
        self._touched: list[bool] = []  # by look

    def look(self, table: pa.Table) -> None:
        """Note how these rows hang together; `table` has at least COLUMNS."""
        keys = {name: _keys(table.column(name)) for name in _LINKS}
        alias = pc.starts_with(table.column("harness_session"), self._name).combine_chunks()
        named = pc.or_(self._starts(keys["hash"]), self._starts(keys["conversation"]))
        self._links.append(pa.table(keys))
        self._named.append(pc.or_(pc.fill_null(alias, fill_value=False), named))

    def find(self) -> None:
        """Settle what belongs to it."""
        lengths = [len(named) for named in self._named]
        self._touched = [True] * len(lengths)
        if not lengths:
            return
        links, inside = pa.concat_tables(self._links), pa.chunked_array(self._named, pa.bool_())
        self._links, self._named = [], []
        for _ in range(rounds_max):
            grown = _grown(links, inside)
            if pc.sum(grown).as_py() == pc.sum(inside).as_py():
                known = links.filter(inside)
                self._nodes = pc.unique(known.column("hash"))
                self._conversations = set(pc.unique(known.column("conversation")).to_pylist())
                ends = np.cumsum(lengths)
                self._touched = [
                    bool(pc.any(inside.slice(end - length, length), min_count=0).as_py())
                    for end, length in zip(ends, lengths, strict=True)
                ]
                return
            inside = grown

    def touches(self, look: int) -> bool:
        """Whether any row of the look of that number, from 0, belongs to it."""
        return self._touched[look]

    def has_conversation(self, conversation: str) -> bool:
        """Whether rows of a conversation (64 hex digits) belong to it: then all of them do."""
        return self._nodes is None or int(conversation[: 2 * _key_bytes], 16) in self._conversations

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


def _grown(links: pa.Table, inside: pa.ChunkedArray) -> pa.ChunkedArray:
    """The rows inside and those next to them."""
    known = links.filter(inside)
    nodes, parents, conversations = (pc.unique(known.column(name)) for name in _LINKS)
    nearer = [
        _in(links.column("conversation"), conversations),
        _in(links.column("hash"), nodes),
        _in(links.column("hash"), parents),
        _in(links.column("parent"), nodes),
    ]
    for near in nearer:
        inside = pc.or_(inside, near)
    return inside


def _in(values: pa.ChunkedArray, among: pa.Array) -> pa.ChunkedArray:
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
