"""From the kit alone: back into the team on a new machine, or everything readable out of a bucket with no other state.

What makes the log believable without any pin: it names the kit's member key in a genesis or join that was signed by a device
which that key certified, or in a rekey that the key itself signed for this team; and the team id stands in every commit's
signature. Nobody without the kit or one of its devices can have made that. What it cannot show is that the newest commits were
taken away: the head is told for a person to judge.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from crypto.errors import KeyNeeded, SealBroken, UsageError, VerificationFailed
from crypto.identities import SecretKeys, certify, member_id, new_device_keys
from crypto.kit import mark_of
from store.commits import ObjectRef
from store.local import LocalStore
from store.names import object_name, slot_name
from store.node_parse import node_from_bytes
from store.nodes import Node
from store.packs import open_pack
from sync.blind_admission import blind_admission
from sync.client import Client
from sync.devices import admission
from sync.drafts import DraftContext
from sync.identity import Identity
from sync.keychain import Keychain
from sync.labels import read_labels
from sync.providers import Progress, ProgressSeen
from sync.pull import PullReport, applied_manifests, apply_manifests
from sync.replica import PendingManifest
from sync.roster import Member, Roster


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log ends: the last valid slot, its hash, and its author's clock."""

    seq: int
    sha256: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class Recognised:
    """Whom the kit speaks for in a bucket, and how far its log goes."""

    team: str | None
    name: str | None
    head: Head
    member: Member
    after: VerificationFailed | None = None  # what stands behind the head and counts for nothing


@dataclass(slots=True)
class Rescued:
    """What a rescue brought home, and what it could not."""

    nodes: int = 0
    packs: int = 0
    notices: list[str] = field(default_factory=list)
    broken: list[VerificationFailed] = field(default_factory=list)


def kit_identity(kit: SecretKeys, name: str) -> Identity:
    """A new device with the kit's key for its member: right for reading the log, and `as_member` makes it right for writing."""
    device = new_device_keys()
    certificate = certify(kit, member_id(kit.public), device.public)
    return Identity(name, kit.public, device, None, certificate)


def as_member(identity: Identity, kit: SecretKeys, found: Recognised) -> Identity:
    """The device as one of the member that the log knows the kit for, whose id is that of its first kit."""
    certificate = certify(kit, found.member.id, identity.device.public)
    name = found.name or identity.name
    return replace(identity, name=name, member=found.member.first_keys, certificate=certificate)


def recognise(client: Client, kit: SecretKeys) -> Recognised:
    """Read and verify the whole log, and find the kit's member in it. From here on the client opens what the kit opens."""
    client.keychain = Keychain([client.identity.device, kit])
    with client.alone():
        client.log.refresh()
    member = _member(client, kit)
    labels, point = read_labels(client), client.log.point
    if point.valid_seq is None or point.prev is None:
        raise VerificationFailed(slot_name(0), "holds no valid genesis")
    head = Head(point.valid_seq, point.prev, client.commit_at(point.valid_seq).at)
    return Recognised(labels.team, labels.members.get(member.id), head, member, _behind(client, head.seq))


def _behind(client: Client, head: int) -> VerificationFailed | None:
    """The first slot behind the last valid one: somebody's garbage, or an altered commit that took all after it along."""
    newest = client.replica.newest_seq()
    if newest is None or newest <= head:
        return None
    first = next(client.replica.slots_between(head + 1, newest))
    also = f", and so are the {newest - first.seq} after it" if newest > first.seq else ""
    return VerificationFailed(
        slot_name(first.seq),
        f"is void: {first.void_reason}{also}",
        hint="if it was altered, put the right bytes back and run this again: docs/recovery.md, chapter 7",
    )


def _member(client: Client, kit: SecretKeys) -> Member:
    """The kit's member. KeyNeeded when the bucket's team does not know it: another bucket, or another's kit."""
    roster = client.log.point.roster
    if roster is None:
        raise UsageError(
            "this bucket prefix holds no team", hint="check --bucket: bucket, prefix and endpoint"
        )
    return holder(roster, kit)


def holder(roster: Roster, kit: SecretKeys) -> Member:
    """The member whose kit this is now. KeyNeeded for a stranger's kit, and for one that was replaced."""
    member = roster.holder_of(kit.public)
    if member is None:
        raise KeyNeeded(
            "the kit's member is not in this bucket's team", hint="check the bucket, and whose kit this is"
        )
    if member.keys != kit.public:
        raise KeyNeeded(
            f"this kit was replaced by another, at commit {member.rekeyed_seq} for the last time:"
            f" the one that counts now has the mark {mark_of(member.keys)}",
            hint="bring that one; if you did not replace it, see docs/recovery.md, chapter 3",
        )
    return member


def recover(client: Client, kit: SecretKeys, device_name: str) -> None:
    """Make this client's device a device of the kit's member. Nothing is done when it is one: an interrupted run repeats."""
    found = recognise(client, kit)
    with client.alone():
        client.committer.resume()
        if client.roster.active_device(client.identity.device_id) is not None:
            return
        if _member(client, kit).state != "active":
            raise KeyNeeded(
                "this member has left or was removed",
                hint="`tapes rescue` still brings home what its keys could read; to return, ask for an invite",
            )
        # Certified by this kit, and not by the one before it that an interrupted run may have been given.
        claim = as_member(client.identity, kit, found).claim()
        labels = {client.identity.device_id: device_name}

        def drafter(context: DraftContext) -> bytes:
            holder(context.roster, kit)  # replaced since we looked: that is to be said, not "void"
            try:
                return admission(context, client.keychain, claim, labels)
            except SealBroken:
                return blind_admission(context, client.keychain, claim, labels)

        client.commit(drafter)


def rescue(client: Client, kit: SecretKeys, local: LocalStore, progress: ProgressSeen) -> Rescued:
    """Bring every node the kit can read into `local`. What is broken or missing is named, and the rest still comes."""
    found = recognise(client, kit)
    rescued, pulled = Rescued(), PullReport()
    apply_manifests(client, pulled, lambda done, total: progress(Progress("reading manifests", done, total)))
    rescued.notices, rescued.broken = pulled.notices, pulled.broken
    if found.after is not None:
        rescued.broken.insert(0, found.after)
    packs = list(_packs(client))
    for done, (ref, pending) in enumerate(packs):
        progress(Progress("fetching packs", done, len(packs)))
        _bring(client, local, ref, pending, rescued)
    return rescued


def _packs(client: Client) -> Iterator[tuple[ObjectRef, PendingManifest]]:
    """Each pack that some readable row lies in, in log order: parents come before what builds on them."""
    seen: set[bytes] = set()
    for pending, manifest in applied_manifests(client):
        for digest in manifest.table.column("pack").unique().to_pylist():
            named = client.object_of(pending.seq, digest.hex()) if digest is not None else None
            if named is not None and digest not in seen:
                seen.add(digest)
                yield named[0], pending


def _bring(
    client: Client, local: LocalStore, ref: ObjectRef, pending: PendingManifest, rescued: Rescued
) -> None:
    name = object_name("pack", ref.base, ref.sha256)
    try:
        data = client.cache.fetch(ref)
    except VerificationFailed as broken:
        if (given_up := client.roster.given_up.get(broken.obj)) is not None:
            rescued.notices.append(f"{broken.obj} {broken.problem}, {given_up}")
        else:
            rescued.broken.append(broken)
        return
    try:
        nodes = _nodes(client, data, pending, name)
    except VerificationFailed as lie:  # the bytes are what a signed commit names: its author made them so
        author = pending.device.hex()[:16]
        rescued.notices.append(f"{lie.message} (written by device {author}); its turns cannot be read")
        return
    rescued.nodes += local.add(nodes).new
    rescued.packs += 1


def _nodes(client: Client, data: bytes, pending: PendingManifest, name: str) -> list[Node]:
    """All nodes of a pack, each hashed again."""
    key = client.keychain.at(client.roster, pending.space, pending.epoch)
    nodes = []
    for entry, opened in open_pack(key, data, name):
        for listed, stored in zip(entry.nodes, opened.nodes, strict=True):
            node = node_from_bytes(stored, f"{name} node {listed.hash[:16]}")
            if node.hash != listed.hash:
                raise VerificationFailed(name, f"lists node {listed.hash} where {node.hash} is stored")
            nodes.append(node)
    return nodes
