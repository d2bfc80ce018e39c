"""This device's copy of the log and what it remembers of it: every verified commit's bytes, pins, journal, what is synced.

One SQLite file per home (`team.db`). The slots table is the evidence a client refuses to go back behind; all else is a projection
of the slots and of the opened manifests. Nothing of others rests here in plain: node and conversation hashes are kept only as
tags under a key of this device.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, NamedTuple

from store.commits import Commit, ObjectRef, parse
from store.database import DatabaseKind, connect
from store.names import ObjectKind, slot_name
from sync.guarded import GuardedDatabase
from sync.leaf_history import LeafHistory
from sync.validity import LogPoint, Verdict, judge

_TAG_BYTES = 16
cache_kib_max = 65_536  # SQLite's own 2 MiB spill to disk, again and again, within one bootstrapped segment
cache_kib_lean = 16_384
REPLICA = DatabaseKind(
    application_id=0x54505352,  # "TPSR"
    migrations="sync.migrations",
    foreign_hint="move it away, or set TAPES_HOME to another folder",
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as this device verified it; `void_reason` None means a valid commit."""

    seq: int
    sha256: bytes
    void_reason: str | None
    data: bytes


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The commit about to be, or perhaps already, put: fsynced before each attempt."""

    seq: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PendingManifest:
    """A manifest some valid commit names, and where that commit stands."""

    ref: ObjectRef
    seq: int
    space: bytes
    epoch: int
    device: bytes


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """An object of published stats, and where the commit that names it stands."""

    ref: ObjectRef
    seq: int
    space: bytes
    epoch: int
    device: bytes


class Synced(NamedTuple):
    """What a space has of a node: the largest output count, and whether its bytes are there or its metadata only."""

    output: int
    content: bool


@dataclass(frozen=True, slots=True)
class JudgedSlot:
    """A slot about to be pinned; `prev` is the hash of the last valid commit before it."""

    seq: int
    sha256: bytes
    data: bytes
    verdict: Verdict
    prev: bytes | None


_OF_NO_ROSTER = ("push", "stats_published")  # events that change nobody's rights or keys


def _slot_row(
    slot: JudgedSlot,
) -> tuple[int, bytes, str | None, int, bytes | None, bytes | None, bytes | None, int, bytes]:
    commit = slot.verdict.commit
    return (
        slot.seq,
        slot.sha256,
        slot.verdict.void_reason,
        int(commit is not None and any(event.type not in _OF_NO_ROSTER for event in commit.events)),
        slot.prev,
        bytes.fromhex(commit.device) if commit else None,
        bytes.fromhex(commit.id) if commit else None,
        len(commit.objects) if commit else 0,
        slot.data,
    )


# refused: its author wrote it wrong; foreign: of a space we cannot read; given up: gone, and the team said to go on without
ManifestState = Literal["pending", "applied", "refused", "foreign", "given up"]
MANIFESTS_LEFT_OUT: Final[tuple[ManifestState, ...]] = ("pending", "refused", "given up")  # of spaces we read
_SLOT = (
    "INTO slots(seq, sha256, void_reason, team_events, prev, device, commit_id, objects, data)"
    " VALUES (?,?,?,?,?,?,?,?,?)"
)
_NAMED = "SELECT kind, base, sha256, bytes, seq FROM named"
_MANIFEST = "SELECT sha256, base, bytes, seq, space, epoch, device FROM manifests"


def _named_object(row: tuple[ObjectKind, int, bytes, int, int]) -> tuple[ObjectRef, int]:
    kind, base, sha256, size, seq = row
    return ObjectRef(kind=kind, base=base, sha256=sha256.hex(), bytes=size), seq


def _place_of(commit: Commit) -> tuple[bytes, int, bytes]:
    return bytes.fromhex(commit.space), commit.epoch, bytes.fromhex(commit.device)


def _pending_manifest(row: tuple[bytes, int, int, int, bytes, int, bytes]) -> PendingManifest:
    sha256, base, size, seq, space, epoch, device = row
    ref = ObjectRef(kind="manifest", base=base, sha256=sha256.hex(), bytes=size)
    return PendingManifest(ref, seq, space, epoch, device)


class Replica:
    """See the module. One instance per process and thread; several processes share the file."""

    def __init__(self, database: GuardedDatabase, tag_key: bytes) -> None:
        self._db = database
        self._tag_key = tag_key
        self.leaves = LeafHistory(database, self.tag)

    @classmethod
    def open(cls, path: Path, tag_key: bytes) -> "Replica":
        """Open or create; `tag_key` is 32 secret bytes of this device."""
        database = GuardedDatabase(connect(path, REPLICA), path)
        database.execute(f"PRAGMA cache_size = -{cache_kib_max}")
        return cls(database, tag_key)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def spare_memory(self) -> None:
        """For a long work that needs its memory for something else: pages are read again from the system's cache."""
        self._db.execute(f"PRAGMA cache_size = -{cache_kib_lean}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nested use joins the outer one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if (
                self._db.in_transaction
            ):  # a full disk may have ended it already, and may also fail the COMMIT itself
                self._db.execute("ROLLBACK")
            raise

    # ── slots: the log as verified ──────────────────────────────────────────────────────────────────────────────────────

    def head(self) -> Slot | None:
        """The highest slot seen, void or valid: the pin."""
        return self._slot("ORDER BY seq DESC LIMIT 1")

    def newest_seq(self) -> int | None:
        """The highest slot's number, None while there is none; cheaper than `head`, for who only asks whether it moved."""
        seq: int | None = self._db.execute("SELECT max(seq) FROM slots").fetchone()[0]
        return seq

    def slot(self, seq: int) -> Slot | None:
        """One slot."""
        return self._slot("WHERE seq = ?", seq)

    def slots(self) -> Iterator[Slot]:
        """All slots in order, streaming."""
        for row in self._db.execute("SELECT seq, sha256, void_reason, data FROM slots ORDER BY seq"):
            yield Slot(*row)

    def slots_between(self, first: int, last: int) -> Iterator[Slot]:
        """The slots of a range, both ends included, streaming."""
        query = "SELECT seq, sha256, void_reason, data FROM slots WHERE seq BETWEEN ? AND ? ORDER BY seq"
        for row in self._db.execute(query, (first, last)):
            yield Slot(*row)

    def slots_back(self) -> Iterator[Slot]:
        """All slots, the newest first, streaming."""
        for row in self._db.execute("SELECT seq, sha256, void_reason, data FROM slots ORDER BY seq DESC"):
            yield Slot(*row)

    def team_slots(self) -> list[tuple[int, bytes]]:
        """The valid commits that changed the roster: (slot, bytes)."""
        return self._db.execute(
            "SELECT seq, data FROM slots WHERE void_reason IS NULL AND team_events = 1 ORDER BY seq"
        ).fetchall()

    def _slot(self, where: str, *values: int) -> Slot | None:
        query = f"SELECT seq, sha256, void_reason, data FROM slots {where}"  # noqa: S608 - `where` is one of two constants above
        row = self._db.execute(query, values).fetchone()
        return Slot(*row) if row else None

    def point(self) -> LogPoint:
        """Where this replica's log stands: the roster is folded from the few commits that changed it.

        Their signatures were checked when they came in; the bytes have been on this device since.
        """
        roster_point, memory = LogPoint(), _NothingBefore()
        for seq, data, before in self._db.execute(
            "SELECT seq, data, prev FROM slots WHERE void_reason IS NULL AND team_events = 1 ORDER BY seq"
        ):
            at = LogPoint(roster_point.roster, before, roster_point.valid_seq)
            roster_point = judge(at, memory, seq, data, signed=lambda *_: True).point
        last = self._db.execute(
            "SELECT seq, sha256 FROM slots WHERE void_reason IS NULL ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        return LogPoint(roster_point.roster, last[1], last[0]) if last else LogPoint()

    def accept(self, judged: Sequence[JudgedSlot]) -> None:
        """Pin judged slots, with what their commits name. One transaction: a kill leaves all of them known or none."""
        with self.transaction():
            self._db.executemany(f"INSERT {_SLOT}", map(_slot_row, judged))
            self._take_named(judged)

    def accept_if_new(self, judged: Sequence[JudgedSlot]) -> bool:
        """As `accept`; but pins nothing, and is False, when a commit's device and id, or a slot, is here already.

        Asking the index while it is written costs nothing; asking it first costs as much as the writing.
        """
        with self.transaction():
            self._db.execute("SAVEPOINT run")
            new = self._db.executemany(f"INSERT OR IGNORE {_SLOT}", map(_slot_row, judged)) == len(judged)
            if new:
                self._take_named(judged)
            else:
                self._db.execute("ROLLBACK TO run")
            self._db.execute("RELEASE run")
        return new

    def _take_named(self, judged: Sequence[JudgedSlot]) -> None:
        named = [
            (slot.seq, slot.verdict.commit, ref, bytes.fromhex(ref.sha256))
            for slot in judged
            if slot.verdict.commit is not None
            for ref in slot.verdict.commit.objects
        ]
        self._db.executemany(
            "INSERT OR IGNORE INTO named(sha256, kind, base, bytes, seq) VALUES (?,?,?,?,?)",
            [(digest, ref.kind, ref.base, ref.bytes, seq) for seq, _, ref, digest in named],
        )
        self._db.executemany(
            "INSERT INTO manifests(seq, sha256, base, bytes, space, epoch, device, state)"
            " VALUES (?,?,?,?,?,?,?,'pending')",
            [
                (seq, digest, ref.base, ref.bytes, *_place_of(commit))
                for seq, commit, ref, digest in named
                if ref.kind == "manifest"
            ],
        )
        self._db.executemany(
            "INSERT INTO published(seq, sha256, base, bytes, space, epoch, device) VALUES (?,?,?,?,?,?,?)",
            [
                (seq, digest, ref.base, ref.bytes, *_place_of(commit))
                for seq, commit, ref, digest in named
                if ref.kind == "stats"
            ],
        )

    # ── the judge's memory ──────────────────────────────────────────────────────────────────────────────────────────────

    def has_commit(self, device: str, commit_id: str) -> bool:
        """See `sync.validity.Memory`."""
        found = self._db.execute(
            "SELECT 1 FROM slots WHERE commit_id = ? AND device = ?",
            (bytes.fromhex(commit_id), bytes.fromhex(device)),
        )
        return found.fetchone() is not None

    def is_named(self, ref: ObjectRef) -> bool:
        """See `sync.validity.Memory`."""
        found = self._db.execute(
            "SELECT 1 FROM named WHERE sha256 = ? AND kind = ? AND base = ?",
            (bytes.fromhex(ref.sha256), ref.kind, ref.base),
        )
        return found.fetchone() is not None

    def remember(self, commit: Commit) -> None:
        """Nothing: `accept` stores the commit, in the same transaction as its slot."""

    # ── journal ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def journal(self) -> JournalEntry | None:
        """The attempt that may have been under way when this device last stopped."""
        row = self._db.execute("SELECT seq, data FROM journal").fetchone()
        return JournalEntry(*row) if row else None

    def journal_write(self, entry: JournalEntry | None) -> None:
        """Replace the journal; durable when this returns (synchronous=FULL)."""
        with self.transaction():
            self._db.execute("DELETE FROM journal")
            if entry is not None:
                self._db.execute("INSERT INTO journal(seq, data) VALUES (?,?)", (entry.seq, entry.data))

    # ── objects and manifests ───────────────────────────────────────────────────────────────────────────────────────────

    def named_objects(self) -> Iterator[tuple[ObjectRef, int]]:
        """Every object a valid commit names, with the slot that named it first."""
        rows = self._db.execute(f"{_NAMED} ORDER BY seq, kind, sha256")
        return map(_named_object, rows)

    def check_order(self) -> list[tuple[int, int]]:
        """(slot that names objects, when all of them were last found good in ms), longest ago first; 0 for never."""
        return self._db.execute(
            "SELECT seq, coalesce(at_ms, 0) FROM slots LEFT JOIN checked USING (seq) WHERE objects > 0 ORDER BY 2, 1"
        ).fetchall()

    def objects_of(self, seq: int) -> list[ObjectRef]:
        """The objects that slot `seq`, which is in this replica, named first."""
        ((data,),) = self._db.execute("SELECT data FROM slots WHERE seq = ?", (seq,)).fetchall()
        refs = parse(data, slot_name(seq)).objects
        return [ref for ref in refs if self._named_first(ref) == seq]

    def _named_first(self, ref: ObjectRef) -> int:
        ((seq,),) = self._db.execute(
            "SELECT seq FROM named WHERE sha256 = ? AND kind = ? AND base = ?",
            (bytes.fromhex(ref.sha256), ref.kind, ref.base),
        ).fetchall()
        return int(seq)

    def mark_checked(self, seq: int, at_ms: int) -> None:
        """Remember that `verify` found all objects of a slot good."""
        self._db.execute(
            "INSERT INTO checked(seq, at_ms) VALUES (?,?) ON CONFLICT(seq) DO UPDATE SET at_ms = excluded.at_ms",
            (seq, at_ms),
        )

    def named_of_kind(self, kind: ObjectKind) -> Iterator[ObjectRef]:
        """Every named object of a kind in the order of the names, as a bucket lists them; streaming."""
        rows = self._db.execute(f"{_NAMED} WHERE kind = ? ORDER BY base, sha256", (kind,))
        return (ref for ref, _ in map(_named_object, rows))

    def named_object(self, sha256: str) -> tuple[ObjectRef, int] | None:
        """A named object and the slot that named it first."""
        query = f"{_NAMED} WHERE sha256 = ? ORDER BY seq LIMIT 1"
        row = self._db.execute(query, (bytes.fromhex(sha256),)).fetchone()
        return _named_object(row) if row else None

    def named_as(self, sha256: str) -> list[ObjectRef]:
        """Every object that is named by a digest: one, unless somebody claims it for another place, too."""
        rows = self._db.execute(f"{_NAMED} WHERE sha256 = ?", (bytes.fromhex(sha256),))
        return [ref for ref, _ in map(_named_object, rows)]

    def manifests(self, state: ManifestState) -> list[PendingManifest]:
        """Manifests in one state, in log order."""
        rows = self._db.execute(f"{_MANIFEST} WHERE state = ? ORDER BY seq, sha256", (state,))
        return [_pending_manifest(row) for row in rows]

    def applied_count(self) -> int:
        """How many manifests were taken in, each naming counted; it never falls."""
        query = "SELECT count(*) FROM manifests WHERE state = 'applied'"
        count: int = self._db.execute(query).fetchone()[0]
        return count

    def published(self) -> list[PublishedObject]:
        """Objects of published stats, in log order."""
        rows = self._db.execute(
            "SELECT seq, sha256, base, bytes, space, epoch, device FROM published ORDER BY seq"
        )
        return [
            PublishedObject(ObjectRef(kind="stats", base=base, sha256=sha256.hex(), bytes=size), *place)
            for seq, sha256, base, size, *rest in rows
            for place in [(seq, *rest)]
        ]

    def manifests_of(self, seq: int) -> list[str]:
        """Digests of the manifests that slot `seq` names."""
        rows = self._db.execute("SELECT sha256 FROM manifests WHERE seq = ? ORDER BY sha256", (seq,))
        return [sha256.hex() for (sha256,) in rows]

    def applied_manifest(self, sha256: str) -> PendingManifest:
        """A manifest that was taken in, by its digest."""
        query = f"{_MANIFEST} WHERE sha256 = ? AND state = 'applied'"
        row = self._db.execute(query, (bytes.fromhex(sha256),)).fetchone()
        return _pending_manifest(row)

    def set_manifest_state(self, manifest: PendingManifest, state: ManifestState) -> None:
        """Record that a manifest, as its slot names it, was applied to this replica, or refused."""
        self._db.execute(
            "UPDATE manifests SET state = ? WHERE seq = ? AND sha256 = ?",
            (state, manifest.seq, bytes.fromhex(manifest.ref.sha256)),
        )

    def take_up_again(self, sha256: str) -> None:
        """A manifest that was given up is there after all: the next pull looks at it."""
        self._db.execute(
            "UPDATE manifests SET state = 'pending' WHERE state = 'given up' AND sha256 = ?",
            (bytes.fromhex(sha256),),
        )

    # ── what each space has ─────────────────────────────────────────────────────────────────────────────────────────────

    def tag(self, space: bytes, digest: bytes) -> bytes:
        """A hash as this replica keeps it: 16 bytes that mean nothing without this device's key."""
        return blake2b(space + digest, key=self._tag_key, digest_size=_TAG_BYTES).digest()

    def mark_synced(self, space: bytes, nodes: Iterable[tuple[bytes, Synced]], *, own: bool) -> None:
        """Record nodes, by hash, as present in `space`: the largest output of this member's, content once any row had it."""
        tag = self.tag
        columns = [
            (tag(space, digest), content, output, content) if own else (tag(space, digest), content, -1, 0)
            for digest, (output, content) in nodes
        ]
        self._db.executemany(
            "INSERT INTO synced(tag, content, own_output, own_content) VALUES (?,?,?,?)"
            " ON CONFLICT(tag) DO UPDATE SET content = max(content, excluded.content),"
            " own_output = max(own_output, excluded.own_output), own_content = max(own_content, excluded.own_content)",
            columns,
        )

    def synced(self, space: bytes, digests: Iterable[bytes]) -> dict[bytes, Synced]:
        """What a space has of some nodes (a page of them: one query) from this member; one that it has nothing of is left out."""
        by_tag = {self.tag(space, digest): digest for digest in digests}
        marks = ",".join("?" * len(by_tag))
        query = f"SELECT tag, own_output, own_content FROM synced WHERE own_output >= 0 AND tag IN ({marks})"  # noqa: S608 - marks
        rows = self._db.execute(query, by_tag).fetchall()
        return {by_tag[tag]: Synced(output, bool(content)) for tag, output, content in rows}

    def has_own(self) -> bool:
        """Whether any space has any node from this member. Looks at others' until it meets one: ask when it matters."""
        return self._db.execute("SELECT 1 FROM synced WHERE own_output >= 0 LIMIT 1").fetchone() is not None

    def forget_synced(self, space: bytes, nodes: Iterable[bytes]) -> None:
        """Take back that this member pushed these nodes: the bytes are gone."""
        self._db.executemany(
            "UPDATE synced SET own_output = -1, own_content = 0 WHERE tag = ?",
            ((self.tag(space, digest),) for digest in nodes),
        )

    def content_there(self, space: bytes, digest: bytes) -> bool | None:
        """Whether a space has what a node says, from whomever; None when it has not even its metadata."""
        query = "SELECT content FROM synced WHERE tag = ?"
        row = self._db.execute(query, (self.tag(space, digest),)).fetchone()
        return bool(row[0]) if row else None

    def withheld_count(self) -> int:
        """How many nodes, each counted per space, the bucket has as metadata only."""
        count: int = self._db.execute("SELECT count(*) FROM synced WHERE content = 0").fetchone()[0]
        return count

    # ── notes to self ───────────────────────────────────────────────────────────────────────────────────────────────────

    def note(self, key: str) -> str | None:
        """A small remembered fact, as the time of the last sync or a passed probe."""
        row = self._db.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def drop_notes(self, prefix: str) -> None:
        """Forget every note whose key begins so; `prefix` has no wildcard in it."""
        self._db.execute("DELETE FROM notes WHERE key GLOB ?", (f"{prefix}*",))

    def set_note(self, key: str, value: str) -> None:
        """Remember it."""
        self._db.execute(
            "INSERT INTO notes(key, value) VALUES (?,?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            (key, value),
        )


class _NothingBefore:
    """The memory of a trusted re-fold: what was once judged is not judged for repetition again."""

    def has_commit(self, device: str, commit_id: str) -> bool:  # noqa: ARG002 - the port's shape
        return False

    def is_named(self, ref: ObjectRef) -> bool:  # noqa: ARG002 - the port's shape
        return True

    def remember(self, commit: Commit) -> None:
        pass
