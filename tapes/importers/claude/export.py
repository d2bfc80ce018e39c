"""A web ("Teleport") export of Claude Code: one JSON document whose entries are the lines of a transcript."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from store.limits import MIB
from tapes.importers.lines import MARGIN, BadLine, Line, decode

export_bytes_max = 512 * MIB  # one JSON document, so it must fit in memory whole


def read_export(file: BinaryIO) -> Iterator[Line] | None:
    """The lines of a web ("Teleport") export `{"loglines": [...]}`, offsets counting entries; None when it is none.

    Raises BadLine when the file is too large to be read whole.
    """
    raw = file.read(export_bytes_max + 1)
    if len(raw) > export_bytes_max:
        raise BadLine(f"larger than {export_bytes_max // MIB} MiB")
    try:
        lines = decode(raw.strip(MARGIN)).get("loglines")
    except BadLine:
        return None
    return _entries(lines) if isinstance(lines, list) else None


def _entries(lines: list[Any]) -> Iterator[Line]:
    for index, entry in enumerate(lines):
        known = isinstance(entry, dict)
        yield Line(index + 1, index, index + 1, entry if known else None, "" if known else "not an object")
