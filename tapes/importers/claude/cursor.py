"""Where the import of a file stopped, and what it must remember to go on as if it had never stopped.

The offset is the start of the oldest open unit (or of a kept side line): from there the file is read again, and the open units
are formed again, larger if their message has grown. Kept in the local store in the same transaction as the nodes.
"""

import os
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from store.limits import KIB

ROOT = ""  # as a parent: the synthetic root of the unit's lane
_VERSION = 1
_anchor_bytes = 4 * KIB


@dataclass(frozen=True, slots=True)
class LaneTail:
    """The last closed turn of a lane, and its project."""

    hash: str
    project: str | None


@dataclass(frozen=True, slots=True)
class OpenUnit:
    """A unit that was stored before it could be complete. `parent` is a hash, ROOT, or `@` and the key of an open unit."""

    key: str
    parent: str
    hash: str  # "" when it was not stored yet


@dataclass(frozen=True, slots=True)
class Cursor:
    """The resume state of one file. `done` are starts of lines after the offset that are finished with."""

    size_bytes: int = 0
    mtime_ns: int = 0
    offset: int = 0
    line: int = 1
    read_bytes: int = (
        0  # how far the file was read; digests of its first bytes, and of the last ones read, tell a
    )
    head: str = ""  # file that was appended to from one that was cut or rewritten
    anchor: str = ""
    lanes: dict[str, LaneTail] = field(default_factory=dict)
    open: tuple[OpenUnit, ...] = ()
    done: frozenset[int] = frozenset()
    nodes_closed: int = 0
    nodes: int = 0
    waiting: int = 0
    conversations: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the local store keeps it."""
        fields = {**asdict(self), "open": [asdict(unit) for unit in self.open], "done": sorted(self.done)}
        return {"version": _VERSION, **fields, "conversations": list(self.conversations)}

    def unchanged(self, size_bytes: int, mtime_ns: int) -> bool:
        """Whether the file has not been touched since."""
        return bool(self.head) and (self.size_bytes, self.mtime_ns) == (size_bytes, mtime_ns)

    def resume(self, file: int, size_bytes: int) -> "Cursor":
        """The cursor to go on from: this one, or the beginning of a file that was truncated, rewritten or replaced.

        Starting over is safe, since every line that was taken is known by its key. The units left unfinished are not
        formed again then: a cut file would form less than is stored. `file` is a descriptor.
        """
        if self.read_bytes <= size_bytes and (self.head, self.anchor) == digests(file, self.read_bytes):
            return self
        return Cursor()


def cursor_from(state: dict[str, Any] | None) -> Cursor:
    """Read a kept cursor; anything that is none (another version's) starts at the beginning."""
    if not state or state.get("version") != _VERSION:
        return Cursor()
    try:
        fields = {name: value for name, value in state.items() if name != "version"}
        fields["lanes"] = {lane: LaneTail(**tail) for lane, tail in fields["lanes"].items()}
        fields["open"] = tuple(OpenUnit(**unit) for unit in fields["open"])
        fields["done"] = frozenset(fields["done"])
        fields["conversations"] = tuple(fields["conversations"])
        return Cursor(**fields)
    except (KeyError, TypeError, AttributeError):
        return Cursor()


def digests(file: int, read_bytes: int) -> tuple[str, str]:
    """Digests of the first and the last of the `read_bytes` bytes of a file (by descriptor, its position untouched)."""
    length = min(_anchor_bytes, read_bytes)
    head = os.pread(file, length, 0)
    anchor = os.pread(file, length, read_bytes - length)
    return sha256(head).hexdigest(), sha256(anchor).hexdigest()
