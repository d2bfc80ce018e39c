"""Reading a bundle that a stranger may have made: a line at a time, every limit before the memory, every hash recomputed."""

import gzip
import json
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from crypto.errors import FormatBroken, UsageError, VerificationFailed
from query.bundle import (
    FORMAT,
    VERSION,
    BundledSession,
    BundleStart,
    bundle_nodes_max,
    bundle_raw_bytes_max,
    bundle_sessions_max,
    line_bytes_max,
)
from store.node_parse import node_from_bytes
from store.nodes import Node

_head_bytes_max: Final = 1024 * 1024  # of a line that is no node
_T = TypeVar("_T", BundleStart, BundledSession)
_magic_bytes: Final = 64
_START: Final = re.compile(rb'\{"version":([0-9]{1,9}),"format":"' + FORMAT.encode() + rb'"')
_UNPACK_ERRORS: Final = (OSError, EOFError, zlib.error)  # what gzip throws for damaged data


def read_bundle(path: Path, *, allow_unverified: bool = False) -> Iterator[BundledSession | Node]:
    """Each session and, after it, its nodes. Keep nothing before the end is reached: the checksum stands there.

    UsageError for no such file; FormatBroken for another layout, wrong types, a node twice or after its child; VerificationFailed
    for a node that has not its hash (unless `allow_unverified`: then it comes with `hash_version` None) or a wrong checksum.
    """
    with _unpacked(path) as lines:
        yield from _Reader(lines, allow_unverified=allow_unverified).items()


@contextmanager
def _unpacked(path: Path) -> Iterator["_Lines"]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    with file, gzip.GzipFile(fileobj=file) as packed:
        lines = _Lines(packed, path.name)
        _expect_bundle(lines.head(), path.name)
        packed.seek(0)
        yield lines


def _expect_bundle(head: bytes, name: str) -> None:
    """UsageError for another kind of file, or a version to come: nothing in those is damaged."""
    start = _START.match(head)
    if start is None:
        raise UsageError(
            f"{name} is no .tape bundle",
            hint="`tapes export -o FILE.tape` writes one; agents' logs come in by `tapes import all`",
        )
    if int(start[1]) > VERSION:
        raise UsageError(f"{name} is a bundle of version {int(start[1])}", hint="update tapes")


class _Lines:
    """Lines of the unpacked document, without their end, with the body's digest beside."""

    def __init__(self, packed: gzip.GzipFile, name: str) -> None:
        self._packed = packed
        self._raw_bytes = 0
        self.name = name
        self.digest = sha256()

    def head(self) -> bytes:
        """The first bytes of the document, as many as can be read: what it is shows before anything is believed."""
        try:
            return self._packed.read(_magic_bytes)
        except EOFError:
            raise self.broken("is cut off") from None
        except _UNPACK_ERRORS:
            return b""

    def next(self, bytes_max: int = _head_bytes_max, *, body: bool = True) -> bytes:
        """The next line; FormatBroken where there is none, or one over `bytes_max`."""
        line = self._read(bytes_max)
        if not line.endswith(b"\n"):
            raise self.broken(
                f"has a line over {bytes_max} bytes" if len(line) >= bytes_max else "is cut off"
            )
        if body:
            self.digest.update(line)
        return line[:-1]

    def end(self) -> None:
        """FormatBroken if anything follows."""
        if self._read(1):
            raise self.broken("goes on after its end")

    def broken(self, problem: str) -> FormatBroken:
        return FormatBroken(self.name, problem, hint="copy the file again, or ask for it again")

    def _read(self, bytes_max: int) -> bytes:
        try:
            line = self._packed.readline(bytes_max)
        except EOFError:
            raise self.broken("is cut off") from None
        except _UNPACK_ERRORS as error:
            raise self.broken(f"is damaged ({type(error).__name__})") from None
        self._raw_bytes += len(line)
        if self._raw_bytes > bundle_raw_bytes_max:
            raise self.broken(f"unpacks to more than {bundle_raw_bytes_max} bytes")
        return line


class _Reader:
    """The layout of query/bundle.py, and nothing else."""

    def __init__(self, lines: _Lines, *, allow_unverified: bool) -> None:
        self._lines = lines
        self._allow_unverified = allow_unverified
        self._seen: set[bytes] = set()
        self._awaited: set[bytes] = set()  # parents that no earlier line brought: they may not come later
        self._sessions = 0

    def items(self) -> Iterator[BundledSession | Node]:
        self._start()
        self._value(b'"filter":')
        self._exactly(b'"sessions":[')
        yield from self._all_sessions()
        for name in (b'"price_tables":', b'"proofs":'):
            if not isinstance(self._value(name), list):
                raise self._lines.broken(f"its {name[1:-2].decode()} is no list")
        self._checksum()
        self._lines.end()

    def _start(self) -> None:
        line = self._lines.next(body=False)
        if not line.endswith(b","):
            raise self._lines.broken("is no tape bundle in the layout of version 1")
        self._model(BundleStart, self._json(line[:-1] + b"}"), "its first line")

    def _all_sessions(self) -> Iterator[BundledSession | Node]:
        more = True  # whether the last line promised another session
        while (line := self._lines.next()) != b"],":
            if not more or not line.startswith(b"{"):
                raise self._lines.broken("its sessions do not follow each other")
            session = self._session(line)
            yield session
            more = yield from self._nodes()
            if bytes.fromhex(session.id) not in self._seen:
                raise self._lines.broken(f"session {session.id} lacks its own head")
        if more and self._sessions:
            raise self._lines.broken("ends after a comma")

    def _session(self, line: bytes) -> BundledSession:
        self._sessions += 1
        if self._sessions > bundle_sessions_max:
            raise self._lines.broken(f"has more than {bundle_sessions_max} sessions")
        return self._model(BundledSession, self._json(line + b"]}"), f"session {self._sessions}")

    def _nodes(self) -> Generator[Node, None, bool]:
        """The nodes of one session; returns whether another session is promised."""
        above: Node | None = None
        more = True
        while not (line := self._lines.next(line_bytes_max)).startswith(b"]"):
            if not more:
                raise self._lines.broken("its nodes do not follow each other")
            more = line.endswith(b",")
            above = self._node(line.removesuffix(b","), above)
            yield above
        if line not in {b"]}", b"]},"} or (above is not None and more):
            raise self._lines.broken("a session does not end as it should")
        return line.endswith(b",")

    def _node(self, line: bytes, above: Node | None) -> Node:
        if len(self._seen) >= bundle_nodes_max:
            raise self._lines.broken(f"has more than {bundle_nodes_max} nodes")
        node = node_from_bytes(line, f"{self._lines.name}, node {len(self._seen) + 1}")
        if not node.verified and not self._allow_unverified:
            raise VerificationFailed(
                self._lines.name,
                f"the content of node {node.hash} does not have that hash",
                hint="--allow-unverified takes such nodes in, marked",
            )
        self._place(node, above)
        return node

    def _place(self, node: Node, above: Node | None) -> None:
        """Parents first, each node once: no circle can pass, and importing is one insert after the other."""
        digest = bytes.fromhex(node.hash)
        if digest in self._seen or digest in self._awaited or node.parent_hash == node.hash:
            raise self._lines.broken(f"node {node.hash} stands twice, or after its child")
        if above is not None and node.parent_hash != above.hash:
            raise self._lines.broken(f"node {node.hash} is no child of the one before it")
        self._seen.add(digest)
        if node.parent_hash is not None and (parent := bytes.fromhex(node.parent_hash)) not in self._seen:
            self._awaited.add(parent)

    def _checksum(self) -> None:
        found = f'"checksum":"sha256:{self._lines.digest.hexdigest()}"}}'.encode()
        line = self._lines.next(body=False)
        if not line.startswith(b'"checksum":"sha256:'):
            raise self._lines.broken("has no checksum where it ends")
        if line != found:
            raise VerificationFailed(
                self._lines.name,
                "its checksum does not fit its content",
                hint="copy the file again, or ask for it again",
            )

    def _value(self, name: bytes) -> Any:
        line = self._lines.next()
        if not line.startswith(name) or not line.endswith(b","):
            raise self._lines.broken(f"has no {name.decode()} where it should stand")
        return self._json(line[len(name) : -1])

    def _exactly(self, expected: bytes) -> None:
        if self._lines.next() != expected:
            raise self._lines.broken(f"has no {expected.decode()} where it should stand")

    def _json(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._lines.broken(f"has a line that is no JSON ({type(error).__name__})") from None

    def _model(self, model: type[_T], fields: Any, what: str) -> _T:
        try:
            return model.model_validate(fields)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise self._lines.broken(f"{what}: {where} is missing or of a wrong type") from None
