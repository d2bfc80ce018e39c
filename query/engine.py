"""The one way to a DuckDB: in memory, locked down, nothing on disk, nothing downloaded."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import pyarrow as pa

from crypto.errors import TapesError

threads = 2  # a session list must not take over somebody's laptop
memory_max_mib = 4096  # a million nodes take a quarter of it
_fetch_rows = 10_000
_SETTINGS: Final = {
    # An extension would be code from the network; file access would turn a hostile label into a path.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "enable_external_access": "false",
    # Otherwise an unknown table name in SQL would read whatever Python variable bears it.
    "python_enable_replacements": "false",
    "threads": str(threads),
    # A spill file would be the team's metadata in plain on disk.
    "temp_directory": "",
    "lock_configuration": "true",
}


class Engine:
    """A private in-memory database. One thread; close it (DuckDB 2 complains on stderr at exit otherwise)."""

    def __init__(self, memory_mib: int = memory_max_mib) -> None:
        self._db = duckdb.connect(":memory:", config={**_SETTINGS, "memory_limit": f"{memory_mib}MiB"})
        # What turned out to be wrong with what is read meanwhile: that is raised, not DuckDB's word for it.
        self.damage: Callable[[], TapesError | None] = lambda: None

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def interrupt(self) -> None:
        """End the statement that runs, from another thread; whoever waits for it gets an exception."""
        self._db.interrupt()

    def run(self, sql: str, values: Sequence[object] = ()) -> None:
        """Execute a statement; TapesError when it does not fit into memory."""
        with self._errors_told():
            self._db.execute(sql, values)

    def all(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Every row of a small answer."""
        return list(self.stream(sql, values))

    def stream(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of an answer, a batch at a time. No other statement may run before the last row is taken."""
        with self._errors_told():
            self._db.execute(sql, values)
            while batch := self._db.fetchmany(_fetch_rows):
                yield from batch

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """As `stream`, as Arrow batches."""
        with self._errors_told():
            yield from self._db.sql(sql).to_arrow_reader(_fetch_rows)

    def integers(self, sql: str, values: Sequence[object] = ()) -> "array[int]":
        """The answer's one column of numbers that fit 32 bits, none null."""
        column = self.arrow(sql, values).column(0).to_numpy()
        narrow = column.astype("i4")  # by numpy: Arrow loads all its functions for a cast
        if (narrow != column).any():
            raise OverflowError("a number does not fit 32 bits")
        return array("i", narrow.tobytes())

    def arrow(self, sql: str, values: Sequence[object] = ()) -> pa.Table:
        """The whole answer, by columns."""
        with self._errors_told():
            return self._db.sql(sql, params=list(values)).to_arrow_table()

    def attach(self, name: str, arrow: Any) -> None:
        """An Arrow table, or a dataset that is read as it is asked for, under a name for good; not copied."""
        self._db.register(name, arrow)

    @contextmanager
    def table(self, name: str, arrow: pa.Table) -> Iterator[None]:
        """An Arrow table under a name, as long as the block lasts; not copied."""
        self._db.register(name, arrow)
        try:
            yield
        finally:
            self._db.unregister(name)

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise TapesError(
                "the answer does not fit into the memory set aside for it", hint="ask for less at once"
            ) from error
        except duckdb.Error as error:
            damage = self.damage()
            if damage is None:
                raise
            raise damage from error
