"""Importing one file from where the last import stopped, in batches of bounded size."""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from store.limits import MIB
from store.local import LocalStore
from tapes.importers.claude.cursor import Cursor, cursor_from
from tapes.importers.claude.export import read_export
from tapes.importers.claude.files import LogFile
from tapes.importers.claude.nodes import HARNESS
from tapes.importers.claude.reading import Raced, Reading
from tapes.importers.lines import Line, read_lines
from tapes.importers.report import Tally

batch_lines_max = 1_000
batch_bytes_max = 16 * MIB
read_bytes = 1 * MIB  # a line has kilobytes: with Python's own buffer each is a read or two of its own
attempts_max = (
    3  # imports of one file at the same time: who commits second starts over from what the first has left
)


class FileImport:
    """The import of one transcript into `store`. `tell` is told the byte offset reached; `atomic`: commit each batch."""

    def __init__(
        self, store: LocalStore, log: LogFile, tally: Tally, tell: Callable[[int], None], *, atomic: bool
    ) -> None:
        self._store = store
        self._log = log
        self._tally = tally
        self._tell = tell
        self._atomic = atomic
        self._source = f"{HARNESS}:{os.fsencode(log.path.resolve()).decode(errors='backslashreplace')}"

    def run(self) -> None:
        """Import what is new; problems go into the tally."""
        for _ in range(attempts_max):
            try:
                with self._log.path.open("rb", buffering=read_bytes) as file:
                    return self._import(file)
            except OSError as problem:
                return self._tally.note(
                    self._log.name, 0, f"cannot be read: {problem.strerror}", skipped=False
                )
            except Raced:
                continue
        return self._tally.note(
            self._log.name, 0, "another import of it is running; import again", skipped=False
        )

    def _import(self, file: BinaryIO) -> None:
        stat = os.fstat(file.fileno())
        state = self._store.cursor(self._source)
        cursor = cursor_from(state)
        if cursor.unchanged(stat.st_size, stat.st_mtime_ns):
            self._tally.take(_unchanged(cursor))
            return
        resumed = Cursor() if self._log.export else cursor.resume(file.fileno(), stat.st_size)
        reading = Reading(self._store, self._log, resumed, self._source, state, atomic=self._atomic)
        for batch in _batches(self._lines(file, resumed)):
            # Most files are one batch, and that one goes into the transaction of `finish`: a commit costs a disk flush.
            if reading.started:
                self._tally.take(reading.flush(file.fileno()))
            reading.take(batch)
            self._tell(batch[-1].end)
        self._tally.take(reading.finish(file.fileno(), stat.st_size, stat.st_mtime_ns))

    def _lines(self, file: BinaryIO, cursor: Cursor) -> Iterator[Line]:
        if self._log.export:
            return read_export(file) or iter(())
        return read_lines(file, cursor.offset, cursor.line)


def _unchanged(cursor: Cursor) -> Tally:
    """What an untouched file adds to the report, as counted when it was read."""
    return Tally(set(cursor.conversations), nodes_known=cursor.nodes, waiting_lines=cursor.waiting, files=1)


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) >= batch_lines_max or line.end - batch[0].start >= batch_bytes_max:
            yield batch
            batch = []
    if batch:
        yield batch
