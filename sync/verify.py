"""Verify: every stored object and commit this member can see, fetched again, re-hashed, re-opened, re-folded, against the pins.

Findings are faults (exit 6); notices are what a healthy bucket may also show: a void slot that a later valid commit stepped over,
an object that no commit names, another member's junk that the fold or the pull already left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from crypto import leaves
from crypto.errors import FormatBroken, KeyNeeded, VerificationFailed
from store.blobs import BlobInfo
from store.commits import ObjectRef
from store.frames import OpenFrame
from store.manifest_rules import check_author
from store.manifests import Manifest
from store.names import (
    LINKS,
    LOG,
    PREFIX_OF_KIND,
    PROBE,
    SEGMENTS,
    object_name,
    segment_of,
    slot_name,
    slot_seq,
)
from store.node_parse import read_identity
from store.packs import FrameEntry, check_pack, open_pack
from sync.budget import EVERYTHING, Bounds, Budget, slots_in_turn
from sync.client import Client
from sync.drafts import open_sealed_field
from sync.providers import Progress, ProgressSeen
from sync.published import read_stats
from sync.pull import open_kept, read_leaves
from sync.replica import PendingManifest, PublishedObject
from sync.validity import LogPoint, MemoryInRam, Verdict, judge


@dataclass(frozen=True, slots=True)
class Finding:
    """One object and what is wrong with it."""

    object: str
    problem: str


@dataclass(slots=True)
class VerifyReport:
    """What was checked and found."""

    checked: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)
    _told: set[Finding] = field(default_factory=set, repr=False)

    @property
    def ok(self) -> bool:
        """No finding."""
        return not self.findings

    def count(self, what: str, by: int = 1) -> None:
        """Count something checked."""
        self.checked[what] = self.checked.get(what, 0) + by

    def add(self, broken: VerificationFailed) -> None:
        """Record a failed check, once: a pack that is gone is missed by its commit and by its manifest."""
        found = Finding(broken.obj, broken.problem)
        if found not in self._told:
            self._told.add(found)
            self.findings.append(found)


def verify(
    client: Client, *, bounds: Bounds = EVERYTHING, progress: ProgressSeen | None = None
) -> VerifyReport:
    """Check everything within `bounds`, least recently checked first. Writes nothing to the bucket.

    What a commit names counts as checked once all of it was found good; a killed run goes on from there. A bucket that cannot be
    read at all raises StoreError.
    """
    report = VerifyReport()
    with client.alone():
        budget = Budget(bounds, client.committer.now_ms())
        _Verification(client, report, progress or (lambda _: None), budget).run()
    return report


Checked = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a pack holds of one node, for the row that speaks of it."""

    commitment: bytes
    parent: bytes | None
    verified: bool


@dataclass(slots=True)
class _Verification:
    """One run; `packs` remembers each readable pack's frames for the manifests that speak of them."""

    client: Client
    report: VerifyReport
    tell: ProgressSeen
    budget: Budget
    packs: dict[str, dict[bytes, FrameEntry]] = field(default_factory=dict)
    stored: dict[tuple[str, bytes], _Stored] = field(default_factory=dict)  # by pack and opening

    def run(self) -> None:
        self._log()
        if self.client.log.point.roster is not None:
            self._require_membership()
            self._keys()
            self._objects()
        self._strangers()

    def _require_membership(self) -> None:
        """Who was removed lacks the newer keys: that is no fault of the bucket, and must not read like one."""
        try:
            self.client.require_membership()
        except KeyNeeded as gone:
            raise KeyNeeded(
                gone.message, hint="`tapes verify --keyless` checks all that needs no key"
            ) from None

    def _guard(self, check: Checked) -> None:
        """Run one check; its failure is a finding, and the others still run."""
        try:
            check()
        except VerificationFailed as broken:
            self._found(broken)

    def _found(self, broken: VerificationFailed) -> None:
        """A finding; of an object that the team gave up, a notice."""
        roster = self.client.log.point.roster
        given_up = roster.given_up.get(broken.obj) if roster is not None else None
        if given_up is None:
            self.report.add(broken)
            return
        notice = Finding(broken.obj, f"{broken.problem}, {given_up}")
        if notice not in self.report.notices:
            self.report.notices.append(notice)

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _log(self) -> None:
        """Every slot against its pin, judged again from nothing, signatures included."""
        self.client.log.catch_up()
        for seq in slots_in_turn(self.client.replica, self.budget):
            self.tell(Progress("comparing the log", seq))
            self._guard(lambda s=seq: self._same_slot(s))  # type: ignore[misc]
        point, memory = LogPoint(), MemoryInRam()
        voids: list[tuple[int, str]] = []
        for pinned in self.client.replica.slots():
            self.tell(Progress("checking the log", pinned.seq))
            verdict = judge(point, memory, pinned.seq, pinned.data)
            point = verdict.point
            self._same_verdict(pinned.seq, pinned.void_reason, verdict)
            if verdict.void_reason is not None:
                voids.append((pinned.seq, verdict.void_reason))
            else:
                self.report.count("commits")
        self._void_slots(voids, point.valid_seq)
        if point != self.client.log.point:
            self.report.findings.append(Finding("replica", "its roster is not what its own slots fold to"))

    def _same_slot(self, seq: int) -> None:
        pinned, found = self.client.replica.slot(seq), self.client.log.fetch(seq)
        if found is None:
            raise VerificationFailed(slot_name(seq), "is missing, though this device verified it before")
        self.report.count("slots")
        if pinned is None or found != pinned.data:
            raise VerificationFailed(slot_name(seq), "its bytes are not those this device verified before")

    def _same_verdict(self, seq: int, pinned_reason: str | None, verdict: Verdict) -> None:
        if (pinned_reason is None) != (verdict.void_reason is None):
            self.report.findings.append(
                Finding(slot_name(seq), f"was judged otherwise before ({pinned_reason or 'valid'})")
            )

    def _void_slots(self, voids: list[tuple[int, str]], newest_valid: int | None) -> None:
        """Stepped over by a later valid commit: somebody's garbage, seen by all. At the end of the log: nobody confirmed it."""
        for seq, reason in voids:
            found = Finding(slot_name(seq), f"is void: {reason}")
            stepped_over = newest_valid is not None and seq < newest_valid
            (self.report.notices if stepped_over else self.report.findings).append(found)

    # ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _keys(self) -> None:
        """Every epoch of every space we may read opens to what it committed to; sealed fields open to their leaves."""
        roster = self.client.roster
        for space in roster.spaces.values():
            if not self.client.keychain.can_read(roster, space.id):
                continue
            for record in space.epochs:
                self._guard(lambda s=space.id, n=record.number: self._epoch(s, n))  # type: ignore[misc]
        for seq, _ in self.client.replica.team_slots():
            self._guard(lambda s=seq: self._sealed_field(s))  # type: ignore[misc]

    def _epoch(self, space: bytes, number: int) -> None:
        try:
            self.client.keychain.at(self.client.roster, space, number)
        except KeyNeeded as gone:
            raise VerificationFailed(f"epoch {number} of space {space.hex()}", gone.message) from None
        self.report.count("epochs")

    def _sealed_field(self, seq: int) -> None:
        commit = self.client.commit_at(seq)
        space = bytes.fromhex(commit.space)
        if self.client.keychain.can_read(self.client.roster, space):
            key = self.client.keychain.at(self.client.roster, space, commit.epoch)
            open_sealed_field(commit, key, slot_name(seq))

    # ── objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _objects(self) -> None:
        """Every named object, commit by commit: what a commit's manifest speaks of is in memory together, and then forgotten."""
        applied: dict[int, list[PendingManifest]] = {}
        for pending in self.client.replica.manifests("applied"):
            applied.setdefault(pending.seq, []).append(pending)
        order = self.client.replica.check_order()
        order += [(seq, 0) for seq in sorted(applied.keys() - {seq for seq, _ in order})]
        for done, (seq, checked_at_ms) in enumerate(order):
            if not self.budget.due(checked_at_ms):
                self.report.count("commits_checked_lately")
            elif not self.budget.allows():
                self.report.count("commits_left_for_later")
            else:
                self.tell(Progress("checking objects", done, len(order)))
                self._objects_of(seq, applied)
        self._not_taken_in()

    def _objects_of(self, seq: int, applied: Mapping[int, list[PendingManifest]]) -> None:
        findings = len(self.report.findings)
        refs = self.client.replica.objects_of(seq)
        for ref in refs:
            self._guard(lambda r=ref: self._object(r, seq))  # type: ignore[misc]
            self.budget.spend(ref.bytes)
        for pending in applied.get(seq, []):
            self._guard(lambda p=pending: self._manifest(p))  # type: ignore[misc]
        self.packs.clear()
        self.stored.clear()
        if len(self.report.findings) == findings:
            self.client.replica.mark_checked(seq, self.budget.now_ms)

    def _object(self, ref: ObjectRef, seq: int) -> None:
        name = object_name(ref.kind, ref.base, ref.sha256)
        data = self.client.cache.fetch(ref)
        if len(data) != ref.bytes:
            raise VerificationFailed(name, f"has {len(data)} bytes, its commit says {ref.bytes}")
        self.report.count("objects")
        self.report.count("bytes", len(data))
        if name in self.client.roster.given_up:
            self.client.replica.take_up_again(ref.sha256)
        commit = self.client.commit_at(seq)
        space = bytes.fromhex(commit.space)
        readable = self.client.keychain.can_read(self.client.roster, space)
        if ref.kind == "pack":
            check_pack(data, ref.sha256, name)
        if not readable:
            return
        key = self.client.keychain.at(self.client.roster, space, commit.epoch)
        if ref.kind == "pack":
            self._pack(ref, open_pack(key, data, name), name)
        elif ref.kind == "stats":
            self._stats(ref, seq, data)

    def _stats(self, ref: ObjectRef, seq: int, data: bytes) -> None:
        """Open it, and the sealed field beside it. Numbers that cannot be are their author's doing: left out, and said."""
        self._sealed_field(seq)
        commit = self.client.commit_at(seq)
        each = PublishedObject(
            ref, seq, bytes.fromhex(commit.space), commit.epoch, bytes.fromhex(commit.device)
        )
        try:
            read_stats(self.client, each, data)
        except FormatBroken as lie:
            self.report.notices.append(Finding(lie.obj, f"{lie.problem}: left out"))
        self.report.count("published_stats")

    def _pack(self, ref: ObjectRef, frames: Iterable[tuple[FrameEntry, OpenFrame]], name: str) -> None:
        """Re-hash every node, and keep each one's commitment for its manifest row."""
        index: dict[bytes, FrameEntry] = {}
        for entry, opened in frames:
            index[entry.place.sha256] = entry
            for listed, stored in zip(entry.nodes, opened.nodes, strict=True):
                node = read_identity(stored, f"{name} node {listed.hash[:16]}")
                if node.hash != listed.hash:
                    raise VerificationFailed(name, f"lists node {listed.hash} where {node.hash} is stored")
                self.report.count("nodes")
                self.report.count("unverified_nodes", int(not node.verified))
                digest = bytes.fromhex(listed.hash)
                self.stored[ref.sha256, listed.opening] = _Stored(
                    leaves.node_commitment(listed.opening, digest, stored),
                    bytes.fromhex(node.parent_hash) if node.parent_hash is not None else None,
                    node.verified,
                )
        self.packs[ref.sha256] = index

    def _not_taken_in(self) -> None:
        for pending in self.client.replica.manifests("pending"):
            name = object_name("manifest", pending.ref.base, pending.ref.sha256)
            self.report.notices.append(Finding(name, "was not taken in yet: run `tapes storage sync`"))
        for pending in self.client.replica.manifests("refused"):
            name = object_name("manifest", pending.ref.base, pending.ref.sha256)
            author = pending.device.hex()[:16]
            self.report.notices.append(
                Finding(name, f"was refused at pull: its author, device {author}, wrote it wrong")
            )

    def _manifest(self, pending: PendingManifest) -> None:
        """Every row lies where it says, and every leaf commits to exactly its nodes."""
        name = object_name("manifest", pending.ref.base, pending.ref.sha256)
        manifest = open_kept(self.client, pending)
        device = self.client.roster.devices[pending.device]
        check_author(manifest, device.member, device.id, name)
        read_leaves(self.client, pending, manifest, name)
        by_conversation = self._placed_rows(pending.seq, manifest, name)
        for leaf in manifest.leaves:
            if leaves.batch_root(by_conversation.get(leaf.conversation, [])) != leaf.batch_root:
                raise VerificationFailed(name, "a leaf does not commit to the conversation's nodes")
            self.report.count("leaves")

    def _placed_rows(self, seq: int, manifest: Manifest, name: str) -> dict[bytes, list[bytes]]:
        """Each conversation's node commitments in row order, after checking every row against its frame."""
        columns = (
            *("hash", "pack", "frame_sha256", "frame_index", "opening", "conversation"),
            *("parent", "verified"),
        )
        by_conversation: dict[bytes, list[bytes]] = {}
        rows = zip(*(manifest.table.column(column).to_pylist() for column in columns), strict=True)
        for node_hash, pack, frame, index, opening, conversation, parent, verified in rows:
            self.report.count("rows")
            if pack is None:
                if (
                    opening is not None
                ):  # withheld: its leaf commits to the hash alone, which is all there is to check
                    self.report.count("withheld_nodes")
                    said = leaves.withheld_commitment(opening, node_hash)
                    by_conversation.setdefault(conversation, []).append(said)
                continue
            entry = self._frames_of(seq, pack.hex()).get(frame)
            if entry is None:
                raise VerificationFailed(
                    name, f"row {node_hash.hex()[:16]} names a frame that its pack does not have"
                )
            if not (index < len(entry.nodes) and entry.nodes[index].hash == node_hash.hex()):
                raise VerificationFailed(name, f"row {node_hash.hex()[:16]} is not at its place in the pack")
            stored = self.stored.get((pack.hex(), opening))
            if stored is None:
                raise VerificationFailed(
                    name, f"row {node_hash.hex()[:16]} has another opening than its pack"
                )
            if (parent, verified) != (stored.parent, stored.verified):
                raise VerificationFailed(
                    name, f"row {node_hash.hex()[:16]} says another parent or hash state than its node"
                )
            by_conversation.setdefault(conversation, []).append(stored.commitment)
        return by_conversation

    def _frames_of(self, seq: int, pack: str) -> dict[bytes, FrameEntry]:
        """A pack's frames by digest; one that this commit does not name, or not first, is opened for it."""
        if pack not in self.packs:
            found = self.client.object_of(seq, pack)
            if found is not None:
                self._object(*found)
        return self.packs.get(pack, {})

    # ── what no commit names ────────────────────────────────────────────────────────────────────────────────────────────

    def _strangers(self) -> None:
        """Objects beside the log: left by a crash (harmless, gc removes them), damaged, or not ours at all."""
        named = {
            object_name(ref.kind, ref.base, ref.sha256) for ref, _ in self.client.replica.named_objects()
        }
        for info in self._listed():
            seq = slot_seq(info.name)
            read = seq is not None and seq < self.client.log.next_seq
            if info.name in named or read or info.name.startswith((PROBE, LINKS)):
                continue
            self._guard(lambda i=info: self._stranger(i))  # type: ignore[misc]

    def _listed(self) -> Iterator[BlobInfo]:
        yield from self.client.store.list("")

    def _stranger(self, info: BlobInfo) -> None:
        prefix, digest = info.name.split("/")[0] + "/", info.name.rsplit("/", 1)[-1]
        if segment_of(info.name) is None and prefix not in PREFIX_OF_KIND.values():
            kind = "no slot the log has reached" if prefix == LOG else "not an object of this format"
            self.report.notices.append(Finding(info.name, f"is {kind}"))
            return
        if sha256(self.client.store.get(info.name)).hexdigest() != digest:
            raise VerificationFailed(info.name, "its bytes do not have the digest it is named by")
        if prefix == SEGMENTS:
            self.report.count("segments")
            return
        self.report.notices.append(Finding(info.name, "is named by no commit: left by an interrupted push"))
