"""Reading an agent's log line by line: from a byte offset, in bounded memory, a bad line never more than a reason.

Agents append and are killed at any byte: a last line without newline is normal, and is left for the next import unless it
is a whole object already. Everything here is hostile input: depth bombs, lines without end, numbers no double can hold.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import orjson

from store.limits import MIB

line_bytes_max = 64 * MIB  # longer lines are skipped unread; no node may be that large (node_bytes_max)
depth_max = 128  # brackets inside brackets; hashing and storing recurse, and Python's stack ends at 1,000
_SKIP_BYTES = 1 * MIB
# What a crashed filesystem or another platform leaves around a line: NUL padding, CR, blanks.
MARGIN = b" \t\r\n\0"
_BOM = b"\xef\xbb\xbf"
_integer_end = 2.0**63  # orjson reads integers below as they are
_LONE = re.compile("[\ud800-\udfff]")

Record = dict[str, Any]
Block = dict[str, Any]  # of a message's content, as nodes hash it


class Line(NamedTuple):
    """One line. `start` and `end` are byte offsets, `end` after the newline. Without a record, `problem` says why."""

    number: int  # from 1
    start: int
    end: int
    record: Record | None
    problem: str = ""
    closed: bool = True  # ends with a newline; a whole object may stand at the end of a file without one


class BadLine(ValueError):
    """This line cannot be taken; the message says why and quotes nothing."""


def read_lines(file: BinaryIO, start: int, number: int) -> Iterator[Line]:
    """The lines from byte `start`, which is the beginning of line `number`; blank ones left out, a torn last one too."""
    file.seek(start)
    while raw := file.readline(line_bytes_max):
        end = start + len(raw)
        closed = raw.endswith(b"\n")
        if not closed and len(raw) == line_bytes_max:
            end, closed = _skip_line(file, end)
            found: Line | None = Line(number, start, end, None, f"longer than {line_bytes_max // MIB} MiB")
        else:
            found = _line(raw, number, start, end, closed=closed)
        if found is not None and (closed or found.record is not None):
            yield found
        number, start = number + closed, end


def _skip_line(file: BinaryIO, end: int) -> tuple[int, bool]:
    """Step over the rest of an endless line; whether it does end is the second answer."""
    while part := file.readline(_SKIP_BYTES):
        end += len(part)
        if part.endswith(b"\n"):
            return end, True
    return end, False


def _line(raw: bytes, number: int, start: int, end: int, *, closed: bool) -> Line | None:
    text = raw.strip(MARGIN)
    if not text:
        return None
    try:
        return Line(number, start, end, decode(text), closed=closed)
    except BadLine as bad:
        return Line(number, start, end, None, str(bad))


def _refuse(_: str) -> float:
    raise BadLine("NaN and Infinity are not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):  # the hash of a node is over doubles (RFC 8785)
        raise BadLine("a number is too large for a double")
    return value


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def decode(raw: bytes) -> Record:
    """The JSON object in `raw`; BadLine with a reason when there is none.

    Lone surrogates become U+FFFD, as in the Go tool: they are no text, and neither SQLite nor Parquet can hold them.
    """
    try:
        return _plain(raw) or _any(raw)
    except UnicodeDecodeError as bad:
        raise BadLine(f"not UTF-8 at byte {bad.start}") from None
    except json.JSONDecodeError as bad:
        raise BadLine(f"not JSON: {bad.msg} (column {bad.colno})") from None
    except RecursionError:
        raise BadLine(f"nested deeper than {depth_max}") from None
    except BadLine:
        raise
    except ValueError:  # an integer of more digits than Python converts
        raise BadLine("a number is too large") from None


def _plain(raw: bytes) -> Record | None:
    """The object of a line as orjson reads it, which takes half the time; None for the decoder to look at.

    What orjson takes it reads as the decoder does, but that it rounds an integer of more than 64 bits to a double.
    """
    try:
        record = orjson.loads(raw)
    except ValueError:  # bad JSON, or what only the decoder takes: a lone surrogate, a BOM
        return None
    return record if type(record) is dict and _exact(record) else None


def _exact(record: Record) -> bool:
    """Whether no number inside can be a rounded integer. BadLine for what nests too deep."""
    layer: list[Any] = [record]
    for _ in range(depth_max):
        below = []
        for parent in layer:
            for value in parent.values() if type(parent) is dict else parent:
                kind = type(value)
                if kind is dict or kind is list:
                    below.append(value)
                elif kind is float and not -_integer_end < value < _integer_end:
                    return False
        if not below:
            return True
        layer = below
    raise BadLine(f"nested deeper than {depth_max}")


def _any(raw: bytes) -> Record:
    record = _DECODER.decode(raw.removeprefix(_BOM).decode())
    if not isinstance(record, dict):
        raise BadLine("not an object")
    if raw.count(b"{") + raw.count(b"[") > depth_max and _deeper_than(record, depth_max):
        raise BadLine(f"nested deeper than {depth_max}")
    mended: Record = _mend(record) if b"\\ud" in raw or b"\\uD" in raw else record
    return mended


def compact(value: Any) -> str:
    """A JSON value as one short line, keys in the order they came."""
    return _ENCODER.encode(value)


def _deeper_than(value: Any, levels: int) -> bool:
    """Whether containers nest deeper than `levels`; level by level, since recursion is what is being guarded."""
    layer = [value]
    for _ in range(levels):
        layer = [child for parent in layer for child in _children(parent)]
        if not layer:
            return False
    return True


def _children(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value
    return [child for child in inside if isinstance(child, dict | list)]


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mend(key): _mend(child) for key, child in value.items()}
    return [_mend(child) for child in value] if isinstance(value, list) else value
