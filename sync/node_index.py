"""Where each pushed node lies: the manifests taken in, as one table in this process's memory. Rows are members' words.

Of several rows of a node the one counts that is shown everywhere (DESIGN §4 "Metadata"): of the member who committed the node
first the largest output, then the later commit; a row without bytes never stands before one that has them,
and bytes of another member count only where the hash proves them. Where the bytes are not what that row says, the next one's are.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from store.database import open_in_memory
from store.manifest_schema import PLACE_COLUMNS
from store.manifests import Manifest
from store.packs import FramePlace
from sync.replica import PendingManifest

# A million nodes take about 110 MB: conversations and members stand as numbers, and the index is over eight bytes of a hash.
_SCHEMA: Final = """
CREATE TABLE nodes (
    arrival INTEGER PRIMARY KEY, key INTEGER NOT NULL, hash BLOB NOT NULL, parent BLOB, conversation INTEGER NOT NULL,
    verified INTEGER NOT NULL, member INTEGER NOT NULL, output INTEGER NOT NULL, frame INTEGER, place INTEGER
) STRICT;
CREATE INDEX nodes_key ON nodes (key);
"""
_INSERT: Final = """
INSERT INTO nodes (key, hash, parent, conversation, verified, member, output, frame, place) VALUES (?,?,?,?,?,?,?,?,?)
"""
_OF_HASH: Final = "WHERE key = ? AND hash = ?"
_RANKED: Final = """
WITH named AS (
    SELECT *, member = first_value(member) OVER (PARTITION BY hash ORDER BY arrival) AS by_first FROM nodes {which}
), ranked AS (
    SELECT *, frame IS NOT NULL AND (by_first OR verified) AS has_bytes, row_number() OVER (
        PARTITION BY hash
        ORDER BY frame IS NOT NULL AND (by_first OR verified) DESC, by_first DESC, output DESC, arrival DESC
    ) AS rank FROM named
)
"""
_rows_at_once: Final = 4096  # of a manifest, as Python objects
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
    """What a row says of a node; hashes are hex. No frame: only metadata was pushed. `mine`: by whose word."""

    hash: str
    parent: str | None
    conversation: str
    verified: bool
    frame: FrameOf | None
    index: int
    mine: bool = False


class NodeIndex:
    """Give it manifests in log order. `me`: who reads; what conversation a node is of, and whose, is never others' word alone."""

    def __init__(self, me: bytes) -> None:
        self._me = me
        self._db = open_in_memory()
        self._db.executescript(_SCHEMA)
        self._frames: list[FrameOf] = []
        self._conversations = _Numbers()
        self._members = _Numbers()
        self._projects: dict[int, str] = {}  # by conversation

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def take(self, pending: PendingManifest, member: bytes, manifest: Manifest) -> None:
        """Take a manifest in; `member` is the author of its commit."""
        frames: dict[tuple[bytes, int], int] = {}  # a frame's number, by pack and offset
        by, table = self._members.of(member), manifest.table.select(_COLUMNS)
        self._db.execute("BEGIN")
        for part in table.to_batches(max_chunksize=_rows_at_once):
            rows = []
            for node, parent, conversation, project, verified, output, *place in zip(
                *(column.to_pylist() for column in part.columns), strict=True
            ):
                frame = self._frame(pending, frames, place)
                known_output = -1 if output is None else output
                of = self._conversations.of(conversation)
                rows.append((_key(node), node, parent, of, verified, by, known_output, frame, place[-1]))
                if project is not None and member == self._me:
                    self._projects.setdefault(of, project)
            self._db.executemany(_INSERT, rows)
        self._db.execute("COMMIT")

    def find(self, node_hash: str) -> NodeAt | None:
        """The row that counts, or None."""
        return next(iter(self.rows(node_hash)), None)

    def rows(self, node_hash: str) -> list[NodeAt]:
        """The row that counts, and after it those whose bytes may be asked for where its own are not the node's."""
        query = f"""{_RANKED.format(which=_OF_HASH)}
            SELECT parent, conversation, verified, frame, place, member FROM ranked
            WHERE rank = 1 OR has_bytes ORDER BY rank
        """  # noqa: S608 - constants
        me = self._members.known(self._me)
        return [
            NodeAt(
                node_hash,
                parent and parent.hex(),
                self._conversations.at(conversation).hex(),
                bool(verified),
                self._frames[frame] if frame is not None else None,
                index or 0,
                mine=member == me,
            )
            for parent, conversation, verified, frame, index, member in self._of(query, node_hash)
        ]

    def conversation_of(self, node_hash: str) -> str | None:
        """The conversation of a node: as this member committed it, else as the first who did says.

        Unless that is one of which this member decides who reads it: nobody else puts turns, and what follows them, in there.
        """
        query = f"SELECT conversation, member FROM nodes {_OF_HASH} ORDER BY arrival"  # noqa: S608 - a constant
        rows, me = self._of(query, node_hash), self._members.known(self._me)
        found = next((of for of, member in rows if member == me), None)
        if found is None and rows and rows[0][0] not in self._projects:
            found = rows[0][0]
        return self._conversations.at(found).hex() if found is not None else None

    def project_of(self, conversation: str) -> str | None:
        """The project that this member gave a conversation: of its first row that names one.

        Others' rows do not count: sessions of two members may begin with the same words, and be meant for different readers.
        """
        of = self._conversations.known(digest_of(conversation))
        return self._projects.get(of) if of is not None else None

    def leaves(self) -> list[str]:
        """Hashes of nodes that no other node builds on, in order."""
        query = f"""{_RANKED.format(which="")}, chosen AS MATERIALIZED (SELECT hash, parent FROM ranked WHERE rank = 1)
            SELECT hash FROM chosen WHERE hash NOT IN (SELECT parent FROM chosen WHERE parent IS NOT NULL) ORDER BY hash
        """  # noqa: S608 - a constant
        return [node_hash.hex() for (node_hash,) in self._db.execute(query)]

    def _of(self, query: str, node_hash: str) -> list[tuple[Any, ...]]:
        digest = digest_of(node_hash)
        return self._db.execute(query, (_key(digest), digest)).fetchall()

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


class _Numbers:
    """What is named by 32 bytes again and again, by a small number."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._names: list[bytes] = []

    def of(self, name: bytes) -> int:
        """Its number, given now if it has none."""
        number = self._numbers.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
        return number

    def known(self, name: bytes) -> int | None:
        """Its number, or None."""
        return self._numbers.get(name)

    def at(self, number: int) -> bytes:
        """The name."""
        return self._names[number]


def _key(digest: bytes) -> int:
    return int.from_bytes(digest[:8], signed=True)


def digest_of(node_hash: str) -> bytes:
    """The 32 bytes of a hash; none of what is not 64 lower-case hex digits: `bytes.fromhex` would take blanks and capitals."""
    return bytes.fromhex(node_hash) if _is_hash(node_hash) else b""
