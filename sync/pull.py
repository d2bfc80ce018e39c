"""Pull: take the manifests of new commits in, so that this device knows what each space has; frames come when asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from crypto import leaves
from crypto.errors import FormatBroken, KeyNeeded, SealBroken, TapesError, VerificationFailed
from crypto.sealing import SealKey
from store import commits
from store.canonical import canonical
from store.commits import Leaf, name_of
from store.names import object_name
from sync.ahead import ahead, manifests_ahead, manifests_opened_ahead
from sync.chains import Chains
from sync.client import Client
from sync.leaf_history import TakenLeaf
from sync.replica import PendingManifest, Synced

if (
    TYPE_CHECKING
):  # the types only: Arrow is for who has a manifest to read, which a sync with nothing new has not
    from pyarrow import Table

    from store.manifests import LeafOpening, Manifest

_Opened = TypeVar("_Opened")
PullProgress = Callable[[int, int], None]  # manifests taken in, manifests to take in


@dataclass(slots=True)
class PullReport:
    """What a pull brought. `notices` are a member's doing, `broken` objects that cannot be had (exit 6); neither stops a push."""

    slots: int = 0
    manifests: int = 0
    nodes: int = 0
    notices: list[str] = field(default_factory=list)
    broken: list[VerificationFailed] = field(default_factory=list)


def pull(client: Client, progress: PullProgress | None = None) -> PullReport:
    """Read the log on and take in every manifest this member can open. What is broken is named, and tried again next time."""
    report = PullReport(slots=client.log.catch_up())
    client.missed.clear()
    apply_manifests(client, report, progress)
    return report


def apply_manifests(client: Client, report: PullReport, progress: PullProgress | None = None) -> None:
    """Take in the manifests of all commits pinned so far, in log order, each in one transaction."""
    waiting = client.replica.manifests("pending")
    client.chains = Chains(client.replica.leaves)
    for left_out in (*client.replica.manifests("refused"), *client.replica.manifests("given up")):
        _go_on_without(client, left_out)
    with ahead(
        lambda pending: _bring(client, pending), _worth_bringing(client, waiting), manifests_ahead
    ) as coming:
        brought = next(coming, None)
        for done, pending in enumerate(waiting):
            if progress is not None:
                progress(done, len(waiting))
            if brought is not None and brought[0] is pending:
                brought[1]()
                brought = next(coming, None)
            if not _apply_one(client, pending, report):
                _go_on_without(client, pending)


def _worth_bringing(client: Client, waiting: Sequence[PendingManifest]) -> list[PendingManifest]:
    """Those of many manifests that are to be had from the bucket: a round trip each, one after the other, would be the pull."""
    if len(waiting) < manifests_ahead:
        return []
    roster, has = client.roster, client.cache.has
    readable = {space: client.keychain.can_read(roster, space) for space in {one.space for one in waiting}}
    return [one for one in waiting if readable[one.space] and not has(one.ref.sha256)]


def _bring(client: Client, pending: PendingManifest) -> None:
    """Into the cache. What fails here fails again, and is told, where it is taken in."""
    with suppress(TapesError):
        client.cache.whole(pending.ref)


def _go_on_without(client: Client, pending: PendingManifest) -> None:
    if pending.seq not in client.clear_leaves:
        client.clear_leaves[pending.seq] = client.commit_at(pending.seq).leaves
    client.chains.miss(pending, client.clear_leaves[pending.seq])


def _apply_one(client: Client, pending: PendingManifest, report: PullReport) -> bool:
    """Whether the chains of leaves can go on with this manifest itself, or none of them is ours to go on with."""
    roster = client.roster
    if not client.keychain.can_read(roster, pending.space):
        client.replica.set_manifest_state(pending, "foreign")
        return True
    try:
        client.keychain.at(roster, pending.space, pending.epoch)
    except (SealBroken, KeyNeeded) as locked:
        # The epoch's author wrapped junk, or we were removed. This manifest's author is not to blame: a rewrap may open it.
        _wait(report, locked)
        return False
    try:
        data = _fetched(client, pending)
    except VerificationFailed as broken:
        _miss(client, pending, broken, report)
        return False
    try:
        manifest, appended = read_manifest(client, pending, data)
    except (SealBroken, FormatBroken) as lie:
        # The bytes are what the signed commit names: its author made them so. Say who, and go on without.
        client.replica.set_manifest_state(pending, "refused")
        report.notices.append(
            f"{lie.message} (written by device {pending.device.hex()[:16]}); its nodes are left out"
        )
        return False
    report.notices += _begun_anew(client, pending, manifest)
    _take_in(client, pending, manifest, appended)
    report.manifests += 1
    report.nodes += manifest.table.num_rows
    return True


def _fetched(client: Client, pending: PendingManifest) -> bytes:
    """A manifest's bytes; asked for a second time before anybody hears of a loss: one garbled answer is none.

    What could not be had is not asked for again until the next pull begins: a push looks at the log many times.
    """
    name = name_of(pending.ref)
    if name in client.missed:
        raise client.missed[name]
    try:
        return client.cache.whole(pending.ref)
    except VerificationFailed:
        pass
    try:
        return client.cache.whole(pending.ref)
    except VerificationFailed as broken:
        client.missed[name] = broken
        raise


def _miss(client: Client, pending: PendingManifest, broken: VerificationFailed, report: PullReport) -> None:
    """Name what cannot be had. Given up, it is not asked for at every sync; `verify` notices when it is there after all."""
    given_up = client.roster.given_up.get(broken.obj)
    if given_up is None:
        report.broken.append(broken)
        return
    client.replica.set_manifest_state(pending, "given up")
    report.notices.append(f"{broken.obj} {broken.problem}, {given_up}; its nodes are left out")


def _wait(report: PullReport, locked: SealBroken | KeyNeeded) -> None:
    notice = f"{locked.message}; what was pushed under it waits until the key comes"
    if notice not in report.notices:
        report.notices.append(notice)


def read_manifest(client: Client, pending: PendingManifest, data: bytes) -> "tuple[Manifest, list[Leaf]]":
    """Open a manifest and check its leaves against those of the commit that names it, which are given back."""
    from store.manifest_rules import check_author  # noqa: PLC0415 - as above
    from store.manifests import open_manifest  # noqa: PLC0415 - as above

    name = object_name("manifest", pending.ref.base, pending.ref.sha256)
    key = client.keychain.at(client.roster, pending.space, pending.epoch)
    manifest = open_manifest(key, data, name)
    author = client.roster.devices[pending.device]
    check_author(manifest, author.member, author.id, name)
    appended = read_leaves(client, pending, manifest, name)
    _check_chain(client, pending, manifest.leaves, name)
    return manifest, appended


def read_leaves(client: Client, pending: PendingManifest, manifest: "Manifest", name: str) -> list[Leaf]:
    """The append leaves of a manifest's commit, each of which the manifest opens."""
    commit = client.commit_at(pending.seq)
    appended = [leaf for leaf in commit.leaves if leaf.kind == commits.leaf_append]
    seen = canonical(commit.seen_checkpoint.model_dump() if commit.seen_checkpoint else None)
    opened = [leaf_of(pending.space, pending.device, seen, opening) for opening in manifest.leaves]
    if opened != appended:
        raise FormatBroken(name, "does not open the leaves of its commit")
    return appended


def _check_chain(
    client: Client, pending: PendingManifest, openings: "Sequence[LeafOpening]", name: str
) -> None:
    """Every leaf continues its run: the leaves under the K_tag it uses (sync/chains.py)."""
    for opening in openings:
        expected = client.chains.state(pending.space, opening.k_tag, pending.device, pending.seq)
        if (opening.prev_c, opening.j) != expected:
            raise FormatBroken(name, "a leaf does not continue its conversation's chain")


def leaf_of(space: bytes, device: bytes, seen_checkpoint: bytes, opening: "LeafOpening") -> Leaf:
    """The append leaf that an opening opens."""
    fields = leaves.LeafFields(
        space=space,
        conversation=opening.conversation,
        device=device,
        j=opening.j,
        k_tag=opening.k_tag,
        prev_c=opening.prev_c,
        batch_root=opening.batch_root,
        node_count=opening.nodes,
        seen_checkpoint=seen_checkpoint,
    )
    tag = leaves.leaf_tag(opening.k_tag, device, opening.j)
    return Leaf(kind=commits.leaf_append, tag=tag.hex(), c=leaves.leaf_commitment(opening.r, fields).hex())


def known_k_tag(client: Client, space: bytes, conversation: bytes) -> bytes | None:
    """A conversation's tag key, from the newest manifest that opens one of its leaves; None where there is, or is left, none.

    Whoever finds none begins a new run. That is everybody's before the first push, and otherwise of a client which cannot have a
    manifest that others could: they take the new run in, and go on with it.
    """
    digest = client.replica.leaves.conversation_manifest(space, conversation)
    if digest is None:
        return None
    if digest not in client.tag_keys:
        try:
            opened = open_kept_leaves(client, client.replica.applied_manifest(digest))
        except VerificationFailed:  # taken in once, and now neither here nor in the bucket
            return None
        client.tag_keys[digest] = {leaf.conversation: leaf.k_tag for leaf in opened}
    return client.tag_keys[digest][conversation]


def _begun_anew(client: Client, pending: PendingManifest, manifest: "Manifest") -> list[str]:
    """A notice if some leaf begins a second run: honest for who lacks a manifest that we have, and nothing to refuse."""
    taken, space = client.replica.leaves, pending.space
    anew = sum(
        taken.conversation_manifest(space, leaf.conversation) is not None
        and taken.newest(space, leaf.k_tag, pending.seq) is None
        for leaf in manifest.leaves
    )
    author = pending.device.hex()[:16]
    if not anew:
        return []
    return [
        f"device {author} began the record of {anew} conversations anew: it could not read an earlier manifest"
    ]


def _take_in(client: Client, pending: PendingManifest, manifest: "Manifest", appended: list[Leaf]) -> None:
    """Record what the space has now; all or nothing, so that a kill repeats the whole manifest and counts nothing twice."""
    replica, space = client.replica, pending.space
    columns = (manifest.table.column(name).to_pylist() for name in ("hash", "output", "pack"))
    there = [(h, Synced(output or 0, pack is not None)) for h, output, pack in zip(*columns, strict=True)]
    # A row is its author's word. Whoever named our node's hash over other bytes, or over none, must not keep our client from
    # pushing it.
    own = client.roster.devices[pending.device].member == client.identity.member_id
    with replica.transaction():
        replica.mark_synced(space, there, own=own)
        for opening, leaf in zip(manifest.leaves, appended, strict=True):
            taken = TakenLeaf(
                space=space,
                conversation=opening.conversation,
                k_tag=opening.k_tag,
                seq=pending.seq,
                device=pending.device,
                manifest=pending.ref.sha256,
                j=opening.j,
                c=bytes.fromhex(leaf.c),
            )
            replica.leaves.add(taken)
        replica.set_manifest_state(pending, "applied")


def applied_manifests(client: Client) -> "Iterator[tuple[PendingManifest, Manifest]]":
    """Every manifest taken in, opened from its ciphertext, in log order.

    One that is neither here nor in the bucket any more is VerificationFailed, since what is read would pass for all there is; and
    left out once the team gave it up.
    """
    for pending in client.replica.manifests("applied"):
        found = _unless_given_up(client, partial(open_kept, client, pending))
        if found is not None:
            yield pending, found


def applied_columns(
    client: Client, columns: Sequence[str], among: Callable[[PendingManifest], bool] = lambda _: True
) -> "Iterator[tuple[PendingManifest, Table]]":
    """As `applied_manifests`, but only some columns of each: they were judged when they were taken in. `among`: of some."""
    from store.manifests import open_columns  # noqa: PLC0415 - as above

    def opened(kept: tuple[PendingManifest, SealKey, str]) -> "Table":
        pending, key, name = kept
        return open_columns(key, client.cache.whole(pending.ref), columns, name)

    # Their keys are looked up in this thread, which is the only one that may ask the replica.
    meant = filter(among, client.replica.manifests("applied"))
    kept = ((pending, *_key_of(client, pending)) for pending in meant)
    with ahead(opened, kept, manifests_opened_ahead) as coming:
        for (pending, *_), taken in coming:
            found = _unless_given_up(client, taken)
            if found is not None:
                yield pending, found


def open_kept(client: Client, pending: PendingManifest) -> "Manifest":
    """A manifest that was taken in before, from its ciphertext."""
    from store.manifests import open_manifest  # noqa: PLC0415 - as above

    return open_manifest(*_kept(client, pending))


def open_kept_leaves(client: Client, pending: PendingManifest) -> "tuple[LeafOpening, ...]":
    """The leaf openings of a manifest that was taken in before."""
    from store.manifests import open_leaves  # noqa: PLC0415 - as above

    return open_leaves(*_kept(client, pending))


def open_kept_columns(client: Client, pending: PendingManifest, columns: Sequence[str]) -> "Table":
    """Some columns of a manifest that was taken in before."""
    from store.manifests import open_columns  # noqa: PLC0415 - as above

    key, stored, name = _kept(client, pending)
    return open_columns(key, stored, columns, name)


def _kept(client: Client, pending: PendingManifest) -> tuple[SealKey, bytes, str]:
    key, name = _key_of(client, pending)
    return key, client.cache.whole(pending.ref), name


def _key_of(client: Client, pending: PendingManifest) -> tuple[SealKey, str]:
    """What opens a manifest, and what it is called."""
    key = client.keychain.at(client.roster, pending.space, pending.epoch)
    return key, object_name("manifest", pending.ref.base, pending.ref.sha256)


def _unless_given_up(client: Client, opened: Callable[[], _Opened]) -> _Opened | None:
    """What was opened; None where that cannot be had, and the team gave it up."""
    try:
        return opened()
    except VerificationFailed as broken:
        if broken.obj not in client.roster.given_up:
            raise
        return None
