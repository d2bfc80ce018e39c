"""Garbage collection by fence: an event in the log makes every older object that no commit names deletable.

Why nothing live can go: once the fence stands in slot F, a commit after F that newly names an object with an older base is void,
for everybody. So what is named of those objects is settled by the slots up to F, all of which this client has read when it
deletes. There are no marks that a crash leaves, and no clock is trusted with a life: a fence that comes too early makes a push in
flight send its objects again, and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from crypto.errors import KeyNeeded, StoreRefused, UsageError
from store import events
from store.blobs import BlobInfo
from sync.client import Client
from sync.drafts import Content, DraftContext, draft
from sync.housekeeping import keep_house
from sync.inventory import KINDS, base_of, inventory
from sync.roster import Roster
from sync.segment_writer import surplus

day_ms: Final = 86_400_000
fence_lag_days_default: Final = 7
fence_lag_days_min: Final = 1  # an upload may take a night; one that a fence overtakes is sent again
ObjectSeen = Callable[[BlobInfo], None]


@dataclass(slots=True)
class GcReport:
    """What was looked at and removed; with a dry run, what would be. `fence`: objects with an older base were considered."""

    fence: int = 0
    fence_seq: int | None = None  # where this run wrote the fence; None when it stood before
    kept: int = 0
    young: int = 0  # unnamed, and not older than the fence
    deleted: int = 0
    deleted_bytes: int = 0
    segments: int = 0  # of `deleted`


def collect(
    client: Client,
    *,
    older_than_ms: int = fence_lag_days_default * day_ms,
    dry_run: bool = False,
    seen: ObjectSeen | None = None,
) -> GcReport:
    """Write a fence and delete what lies before it and no commit names. Safe to kill anywhere and to repeat.

    `seen` is told each deletable object; memory does not grow with their number. KeyNeeded for who is no owner or admin,
    StoreRefused when the bucket's credentials may not delete, UsageError for a lag below the minimum.
    """
    if older_than_ms < fence_lag_days_min * day_ms:
        raise UsageError(
            "a fence that close would make the pushes of others start again",
            hint=f"at least {fence_lag_days_min} day",
        )
    with client.alone():
        client.log.refresh()
        _require_admin(client)
        report = GcReport(fence=max(client.roster.fence, _fence_for(client, older_than_ms)))
        if not dry_run:
            _write_fence(client, report)
        for info in _deletable(client, report):
            _remove(client, info, report, dry_run=dry_run)
            if seen is not None:
                seen(info)
    return report


def _require_admin(client: Client) -> None:
    roster = client.require_membership()
    if roster.members[client.identity.member_id].role == "member":
        raise KeyNeeded("only an owner or admin collects garbage", hint="ask one of them: tapes team members")


def _fence_for(client: Client, older_than_ms: int) -> int:
    """The newest slot that an owner's or admin's commit dates before the cutoff.

    Only theirs: who may set any fence anyway gains nothing by a wrong clock, and a member's can neither hurry it nor hold it up.
    """
    cutoff_ms = client.committer.now_ms() - older_than_ms
    roster = client.roster
    for slot in client.replica.slots_back():
        if slot.void_reason is None and slot.seq:
            commit = client.commit_at(slot.seq)
            if commit.at <= cutoff_ms and _by_admin(roster, commit.device):
                return slot.seq
    return 0


def _by_admin(roster: Roster, device: str) -> bool:
    member = roster.members[roster.devices[bytes.fromhex(device)].member]
    return member.role != "member" and member.state == "active"


def _write_fence(client: Client, report: GcReport) -> None:
    """Commit the fence, unless it stands; afterwards `report.fence` is what the log says."""
    if report.fence > client.roster.fence:
        keep_house(client)  # a request to leave comes before anything else, or our own commit would be void
        committed = client.commit(lambda context: _fence(context, client, report.fence))
        report.fence_seq = committed.seq if committed is not None else None
    report.fence = client.roster.fence


def _fence(context: DraftContext, client: Client, base: int) -> bytes | None:
    """The commit; None when somebody else's fence reached as far meanwhile."""
    _require_admin(client)
    roster = client.roster
    if base <= roster.fence:
        return None
    key = client.keychain.newest(roster, roster.team_space)
    return draft(context, roster.team, key, Content([events.GcFence(type="gc_fence", base=base)]))


def _deletable(client: Client, report: GcReport) -> Iterator[BlobInfo]:
    """Objects of our formats before the fence that no commit names; names that are none of ours stay."""
    for kind in KINDS:
        for entry in inventory(client.store, client.replica, kind):
            base = base_of(entry.name)
            if entry.ref is not None:
                report.kept += 1
            elif base is not None and base >= report.fence:
                report.young += 1
            elif base is not None and entry.stored is not None:
                yield entry.stored
    for info in surplus(client):
        report.segments += 1
        yield info


def _remove(client: Client, info: BlobInfo, report: GcReport, *, dry_run: bool) -> None:
    if not dry_run:
        try:
            client.store.delete(info.name)
        except StoreRefused as refused:
            raise StoreRefused(
                refused.message,
                hint="these credentials may not delete: run `tapes gc` with those of the gc identity (infra/)",
            ) from refused
    report.deleted += 1
    report.deleted_bytes += info.size_bytes
