"""Mending a bucket that came back from an old backup: what this device verified before goes back, byte for byte.

Every slot was pinned with its bytes, and a slot is never anything else than it was: putting the same bytes back forks nobody. A
slot that holds other bytes means that somebody wrote on after the roll-back: two histories, and choosing is not a program's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from crypto.errors import VerificationFailed
from store.names import slot_name
from store.retrying import put_immutable
from sync.client import Client
from sync.inventory import KINDS, inventory
from sync.outbox import Outbox
from sync.resending import lost_turns, send_again

HealProgress = Callable[[str, int], None]  # what is being looked at, how many so far


@dataclass(slots=True)
class HealReport:
    """What was put back (with a dry run: would be), and what this device cannot bring back."""

    slots: list[int] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    turns: int = (
        0  # of missing packs, and to be sent again: by the next sync, or by the next import under cloud
    )


def heal_log(
    client: Client,
    outbox: Outbox | None = None,
    *,
    dry_run: bool = False,
    progress: HealProgress | None = None,
) -> HealReport:
    """Put back missing slots, in order, then objects this device has kept and the bucket lacks; have `outbox` send lost turns.

    Before the first write every slot is compared: one that differs is VerificationFailed with both versions kept as evidence.
    Safe to kill anywhere and to repeat. Objects in `missing` are named by commits, neither in the bucket nor here, and not given
    up.
    """
    tell = progress or (lambda _what, _done: None)
    with client.alone():
        report = HealReport(slots=_missing_slots(client, tell))
        for seq in report.slots:
            if not dry_run:
                _put_back(client, seq)
        _objects(client, report, tell, dry_run=dry_run)
        if not dry_run and client.replica.head() is not None:
            client.log.refresh()
        if client.log.point.roster is not None:
            lost = lost_turns(client, outbox, set(report.missing))
            report.turns = sum(map(len, lost.values()))
            if lost and not dry_run:
                send_again(client, lost)
    return report


def _missing_slots(client: Client, tell: HealProgress) -> list[int]:
    """The slots this device has pinned and the bucket has not; raises where the bucket has something else."""
    missing = []
    for pinned in client.replica.slots():
        tell("comparing slots", pinned.seq)
        if not client.log.holds_pinned(pinned):
            missing.append(pinned.seq)
    return missing


def _put_back(client: Client, seq: int) -> None:
    """In order, so that no reader ever meets a hole that was not there before."""
    pinned = client.replica.slot(seq)
    if pinned is None:
        raise VerificationFailed(slot_name(seq), "is not in this device's replica")
    try:
        put_immutable(client.store, slot_name(seq), pinned.data)
    except VerificationFailed:
        client.log.holds_pinned(pinned)  # raises, with the evidence
        raise


def _objects(client: Client, report: HealReport, tell: HealProgress, *, dry_run: bool) -> None:
    """Whole objects whose ciphertext this device kept: manifests; packs rest here only as single frames."""
    looked, roster = 0, client.log.point.roster
    given_up = roster.given_up if roster is not None else {}
    for kind in KINDS:
        for entry in inventory(client.store, client.replica, kind):
            looked += 1
            tell("comparing objects", looked)
            if entry.ref is None or entry.stored is not None:
                continue
            data = client.cache.kept(entry.ref.sha256)
            if data is None:
                if entry.name not in given_up:
                    report.missing.append(entry.name)
                continue
            if not dry_run:
                put_immutable(client.store, entry.name, data)
            report.objects.append(entry.name)
