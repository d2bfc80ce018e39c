"""The leaves of manifests that this replica took in: what `sync/chains.py` and the next push of a conversation go by.

History, not only the newest: a manifest that comes late is judged at its own place in the log.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sync.guarded import GuardedDatabase

Tag = Callable[[bytes, bytes], bytes]  # (space, hash or K_tag) → as this replica keeps it


@dataclass(frozen=True, slots=True)
class TakenLeaf:
    """One append leaf, opened by manifest `manifest` (its digest) of slot `seq`."""

    space: bytes
    conversation: bytes
    k_tag: bytes
    seq: int
    device: bytes
    manifest: str
    j: int
    c: bytes


class LeafHistory:
    """Two tables of the replica."""

    def __init__(self, database: GuardedDatabase, tag: Tag) -> None:
        self._db = database
        self._tag = tag

    def conversation_manifest(self, space: bytes, conversation: bytes) -> str | None:
        """The newest manifest taken in that opens a leaf of a conversation; None before its first."""
        tag = self._tag(space, conversation)
        row = self._db.execute("SELECT manifest FROM conversations WHERE tag = ?", (tag,)).fetchone()
        return row[0] if row else None

    def newest(self, space: bytes, k_tag: bytes, before: int) -> tuple[int, bytes] | None:
        """(slot, c) of the newest leaf of a run, of slots below `before`."""
        row: tuple[int, bytes] | None = self._db.execute(
            "SELECT seq, c FROM leaves WHERE run = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
            (self._tag(space, k_tag), before),
        ).fetchone()
        return row

    def newest_of(self, space: bytes, k_tag: bytes, device: bytes, before: int) -> tuple[int, int]:
        """(slot, j of the next) of the newest leaf of a run that is by `device`, of slots below `before`; (-1, 0) for none."""
        row = self._db.execute(
            "SELECT seq, j FROM leaves WHERE run = ? AND seq < ? AND device = ? ORDER BY seq DESC LIMIT 1",
            (self._tag(space, k_tag), before, device),
        ).fetchone()
        return (row[0], row[1] + 1) if row else (-1, 0)

    def add(self, leaf: TakenLeaf) -> None:
        """Take a leaf in. Of two with one tag in one commit the last counts, as for who only sees the tags."""
        self._db.execute(
            "INSERT OR REPLACE INTO leaves(run, seq, device, j, c) VALUES (?,?,?,?,?)",
            (self._tag(leaf.space, leaf.k_tag), leaf.seq, leaf.device, leaf.j, leaf.c),
        )
        self._db.execute(
            "INSERT INTO conversations(tag, seq, manifest) VALUES (?,?,?)"
            " ON CONFLICT(tag) DO UPDATE SET seq = excluded.seq, manifest = excluded.manifest"
            " WHERE excluded.seq >= conversations.seq",
            (self._tag(leaf.space, leaf.conversation), leaf.seq, leaf.manifest),
        )
