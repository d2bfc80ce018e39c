"""What a home keeps of a source that was opened: its rows, judged, and what they fold into. Sealed; deletable at any time.

One file of sealed sections (query/sealed_sections.py):

    rows        Parquet  the table `rows`, in order of id, a component's number beside each
    losers      Parquet  the raw rows that are not shown, and
    elsewhere   Parquet  the places of nodes that are not their shown row's; both with the component of their node
    paths       Parquet  PATHS (query/path_table.py) and each path's component
    usage       Parquet  the table `usage_slots` (query/rollup.py)
    parents, segment, position, component   int32 by row id    } as query/forest.py and query/components.py have them
    above, leaf, end, last                  int32 by segment   }
    said        uint8 by row id: the row is a message
    keys        uint64 by row id: the first bytes of its hash, the first byte the highest
    dangling    (uint64, int64) parents that no row has, by their first bytes, and the component that waits for each

The directory says what all that was made of (query/basis.py).
"""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crypto.sealing import SealKey
from query.basis import Basis, form_of
from query.forest import Forest
from query.sealed_sections import Sections, SectionsBroken

group_rows: Final = 16_384  # a few rows are read without the rest: a screenful of hits lies in as many groups
NODES: Final = ("parents", "segment", "position", "component")
SEGMENTS: Final = ("above", "leaf", "end", "last")
_KEY_BYTES: Final = 8
_KEY: Final = np.dtype(">u8")


def key_of(hashes: pa.ChunkedArray | pa.Array) -> NDArray[np.uint64]:
    """The first bytes of each hash of 32, none null, as numbers."""
    if isinstance(hashes, pa.ChunkedArray):
        hashes = hashes.combine_chunks()
    spread = np.frombuffer(hashes.cast(pa.binary(32)).buffers()[1], np.uint8).reshape(-1, 32)
    starts = np.ascontiguousarray(spread[hashes.offset : hashes.offset + len(hashes), :_KEY_BYTES])
    return starts.view(_KEY).ravel().astype(np.uint64)


class Kept:
    """An open file. Close it when the source that reads it is closed."""

    def __init__(self, path: Path, key: SealKey) -> None:
        """FileNotFoundError when there is none, SectionsBroken when it is of no use."""
        self.sections = Sections(path, key)
        self._file: pq.ParquetFile | None = None
        told = self.sections.about
        if told.get("form") != form_of():
            self.close()
            raise SectionsBroken("the kept catalog was made by another version")
        self.id: str = told["id"]
        self.rows: int = told["rows"]
        self.own_next: int = told["own_next"]  # the arrival of the next own row
        self.basis = Basis(told["form"], told["origins"], told["own"], told["costs"])

    def close(self) -> None:
        """Close the file."""
        self.sections.close()

    def dataset(self) -> Any:
        """The rows as what DuckDB scans, a column and a group of rows at a time."""
        import pyarrow.dataset as ds  # noqa: PLC0415 - slow to import, and an answer from paths alone does without

        form = ds.ParquetFileFormat()
        fragment = form.make_fragment(pa.PythonFile(self.sections.file("rows"), mode="r"))
        return ds.FileSystemDataset([fragment], fragment.physical_schema, form)

    def take(self, ids: NDArray[Any], columns: Sequence[str]) -> pa.Table:
        """Some rows, in the order of their ids, which rise."""
        if self._file is None:
            self._file = pq.ParquetFile(pa.PythonFile(self.sections.file("rows"), mode="r"))
        groups = np.unique(ids // group_rows)
        found = self._file.read_row_groups(groups.tolist(), columns=list(columns), use_threads=False)
        starts = np.searchsorted(groups, ids // group_rows) * group_rows
        return found.take(pa.array(starts + ids % group_rows))

    def table(self, name: str) -> pa.Table:
        """A small section, whole."""
        return pq.read_table(pa.BufferReader(self.sections.read(name)), use_threads=False)

    def numbers(self, name: str, kind: Any = np.int32) -> NDArray[Any]:
        """A section of numbers."""
        return np.frombuffer(self.sections.read(name), kind)

    def forest(self) -> Forest:
        """The shape of all rows."""
        return Forest(*(_array(self.numbers(name)) for name in (*NODES[1:3], *SEGMENTS)))


def _array(numbers: NDArray[np.int32]) -> "array[int]":
    column = array("i")
    column.frombytes(numbers.tobytes())
    return column
