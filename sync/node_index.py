"""Where each pushed node lies: the manifests taken in, as one table in this process's memory. Rows are members' words.

Of several rows of a node the one counts that is shown everywhere (DESIGN §4 "Metadata"): of the member who committed the node
first the largest output, then the later commit; a row without bytes never stands before one that has them,
and bytes of another member count only where the hash proves them.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from store.database import open_in_memory
from store.manifest_schema import PLACE_COLUMNS
from store.manifests import Manifest
from store.packs import FramePlace
from sync.replica import PendingManifest

_SCHEMA: Final = """
CREATE TABLE nodes (
    hash BLOB PRIMARY KEY, parent BLOB, conversation BLOB NOT NULL, verified INTEGER NOT NULL,
    first_member BLOB NOT NULL, by_first INTEGER NOT NULL, output INTEGER NOT NULL, frame INTEGER, place INTEGER
) STRICT, WITHOUT ROWID
"""
_INSERT: Final = """
INSERT INTO nodes VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET
    parent = excluded.parent, conversation = excluded.conversation, verified = excluded.verified,
    by_first = excluded.first_member = first_member, output = excluded.output,
    frame = excluded.frame, place = excluded.place
WHERE excluded.frame IS NOT NULL AND (excluded.first_member = first_member OR excluded.verified) AND (
    frame IS NULL OR (excluded.first_member = first_member, excluded.output) >= (by_first, output)
)
"""
_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch
_COLUMNS: Final = ("hash", "parent", "conversation", "project", "verified", "output", *PLACE_COLUMNS)


@dataclass(frozen=True, slots=True)
class FrameOf:
    """A frame, the manifest that speaks of it, and its pack's SHA-256 in hex."""

    manifest: PendingManifest
    pack: str
    place: FramePlace


@dataclass(frozen=True, slots=True)
class NodeAt:
    """What a row says of a node; hashes are hex. No frame: only metadata was pushed."""

    hash: str
    parent: str | None
    conversation: str
    verified: bool
    frame: FrameOf | None
    index: int


class NodeIndex:
    """Give it manifests in log order."""

    def __init__(self) -> None:
        self._db = open_in_memory()
        self._db.execute(_SCHEMA)
        self._frames: list[FrameOf] = []
        self._projects: dict[bytes, str] = {}  # by conversation

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def take(self, pending: PendingManifest, member: bytes, manifest: Manifest) -> None:
        """Take a manifest in; `member` is the author of its commit."""
        columns = [manifest.table.column(name).to_pylist() for name in _COLUMNS]
        frames: dict[tuple[bytes, int], int] = {}  # a frame's number, by pack and offset
        rows = []
        for node, parent, conversation, project, verified, output, *place in zip(*columns, strict=True):
            frame = self._frame(pending, frames, place)
            known_output = -1 if output is None else output
            rows.append((node, parent, conversation, verified, member, known_output, frame, place[-1]))
            if project is not None:
                self._projects.setdefault(conversation, project)
        self._db.execute("BEGIN")
        self._db.executemany(_INSERT, rows)
        self._db.execute("COMMIT")

    def find(self, node_hash: str) -> NodeAt | None:
        """The row that counts, or None."""
        query = "SELECT parent, conversation, verified, frame, place FROM nodes WHERE hash = ?"
        row = self._db.execute(query, (digest_of(node_hash),)).fetchone()
        if row is None:
            return None
        parent, conversation, verified, frame, index = row
        return NodeAt(
            node_hash,
            parent and parent.hex(),
            conversation.hex(),
            bool(verified),
            self._frames[frame] if frame is not None else None,
            index or 0,
        )

    def project_of(self, conversation: str) -> str | None:
        """The project of a conversation: of its first row that names one."""
        return self._projects.get(digest_of(conversation))

    def leaves(self) -> list[str]:
        """Hashes of nodes that no other node builds on, in order."""
        self._db.execute("CREATE INDEX IF NOT EXISTS nodes_parent ON nodes (parent)")
        query = """
            SELECT hash FROM nodes WHERE NOT EXISTS (SELECT 1 FROM nodes AS child WHERE child.parent = nodes.hash)
            ORDER BY hash
        """
        return [node_hash.hex() for (node_hash,) in self._db.execute(query)]

    def _frame(
        self, pending: PendingManifest, numbers: dict[tuple[bytes, int], int], place: list[Any]
    ) -> int | None:
        pack, offset, length, digest, _ = place
        if pack is None:
            return None
        if (pack, offset) not in numbers:
            numbers[pack, offset] = len(self._frames)
            self._frames.append(FrameOf(pending, pack.hex(), FramePlace(offset, length, digest)))
        return numbers[pack, offset]


def digest_of(node_hash: str) -> bytes:
    """The 32 bytes of a hash; none of what is not 64 lower-case hex digits: `bytes.fromhex` would take blanks and capitals."""
    return bytes.fromhex(node_hash) if _is_hash(node_hash) else b""
