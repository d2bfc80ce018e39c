"""Writing a bundle: one session in memory at a time, equal bytes for equal sessions."""

import gzip
import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO, Final

from crypto.errors import UsageError
from query.answers import Session
from query.bundle import FORMAT, VERSION, bundle_nodes_max, line_bytes_max
from query.records import About, session_record
from store.nodes import Json, Node, node_to_bytes

_gzip_level: Final = 6

SessionNodes = tuple[Session, list[Node]]


def write_bundle(sessions: Iterable[SessionNodes], about: About, out: BinaryIO) -> int:
    """Write sessions, in order of their id, each with its path root first; the number of nodes.

    UsageError for what no reader would take: over `bundle_nodes_max` nodes, or a node over store/limits.node_bytes_max.
    """
    # No name and no time in the gzip header: the same sessions give the same file.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_gzip_level, fileobj=out, mtime=0) as packed:
        writer = _Writer(packed)
        packed.write(_start(about))
        writer.body(b'"filter":' + _compact(about.filter) + b',\n"sessions":[\n')
        writer.sessions(sessions)
        tables = _compact(sorted(writer.price_tables))
        writer.body(b'],\n"price_tables":' + tables + b',\n"proofs":[],\n')
        packed.write(f'"checksum":"sha256:{writer.digest.hexdigest()}"}}\n'.encode())
    return len(writer.written)


class _Writer:
    """The body under way."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed
        self.digest = sha256()
        self.written: set[bytes] = set()
        self.price_tables: set[str] = set()

    def body(self, data: bytes) -> None:
        self.digest.update(data)
        self._packed.write(data)

    def sessions(self, sessions: Iterable[SessionNodes]) -> None:
        last_id = ""
        for session, nodes in sessions:
            if session.id <= last_id:
                raise ValueError("sessions of a bundle are written once each, in order of their id")
            if last_id:
                self.body(b",\n")
            last_id = session.id
            self.body(_compact(session_record(session))[:-1] + b',"nodes":[\n')
            for number, line in enumerate(self._lines(nodes)):
                self.body(b",\n" + line if number else line)
            self.body(b"\n]}" if self.fresh else b"]}")
        if last_id:
            self.body(b"\n")

    def _lines(self, nodes: list[Node]) -> Iterator[bytes]:
        self.fresh = False
        for node in nodes:
            digest = bytes.fromhex(node.hash)
            if digest in self.written:
                continue
            self.written.add(digest)
            self.fresh = True
            if node.cost is not None and node.cost.table is not None:
                self.price_tables.add(node.cost.table)
            yield self._line(node)

    def _line(self, node: Node) -> bytes:
        line = node_to_bytes(node)
        if len(line) + 2 > line_bytes_max:
            raise UsageError(
                f"node {node.hash} has {len(line)} bytes; a bundle takes none so large",
                hint="export other sessions",
            )
        if len(self.written) > bundle_nodes_max:
            raise UsageError(
                f"a bundle takes at most {bundle_nodes_max} nodes", hint="export in parts, or as parquet"
            )
        return line


def _start(about: About) -> bytes:
    start = {
        "version": VERSION,
        "format": FORMAT,
        "exported_at": about.exported_at,
        "exported_by": about.exported_by,
        "tool": about.tool,
    }
    return _compact(start)[:-1] + b",\n"


def _compact(value: Json) -> bytes:
    """One line of ASCII: a label's line separator or lone surrogate stays an escape."""
    return json.dumps(value, separators=(",", ":")).encode()
