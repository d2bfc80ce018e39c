"""Published stats: what members tell the team of sessions it cannot read, told and taken in.

What stands is the newest word of each (device, day); a device's level is that of its newest object. Both are folded from the
objects of the log each time they are asked for: nothing is stored, so that no kill leaves half of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crypto.errors import KeyNeeded, StoreError, TapesError, VerificationFailed
from store import events
from store.commits import ObjectRef
from store.names import object_name
from store.stats import (
    Level,
    Stats,
    StatsDay,
    check_stats_author,
    days_max,
    encode_stats,
    open_stats,
    seal_stats,
)
from sync.client import Client
from sync.drafts import Content, DraftContext, draft
from sync.housekeeping import keep_house
from sync.replica import PublishedObject
from sync.uploads import Squatted, upload

uses_per_object_max = 2048  # far under what an object may hold, so that a long history goes in several
overtaken_attempts_max = 20
_NOTE_AT = "stats-published-at-ms"


@dataclass(slots=True)
class Published:
    """What is told now. `unread`: why objects are not in it, each of which is its author's or the bucket's doing."""

    days: dict[tuple[bytes, str], StatsDay] = field(
        default_factory=dict
    )  # by device and UTC day; none that is empty
    levels: dict[bytes, Level] = field(default_factory=dict)  # by device
    unread: list[str] = field(default_factory=list)


def published(client: Client, device: bytes | None = None) -> Published:
    """Everything told to the team so far, or by one device, in log order. Makes no request for what the cache has."""
    told = Published()
    away: StoreError | None = None
    for each in client.replica.published():
        if device is not None and each.device != device:
            continue
        if away is not None and not client.cache.has(each.ref.sha256):
            continue  # each attempt would wait for the same network again
        try:
            stats = read_stats(client, each, client.cache.whole(each.ref))
        except StoreError as error:
            away = error
            told.unread.append(error.message)
        except (VerificationFailed, KeyNeeded) as problem:
            told.unread.append(f"{problem.message} (published by device {each.device.hex()[:16]})")
        else:
            _take(told, each.device, stats)
    return told


def read_stats(client: Client, each: PublishedObject, data: bytes) -> Stats:
    """Open an object and hold it against the commit that names it."""
    name = object_name("stats", each.ref.base, each.ref.sha256)
    key = client.keychain.at(client.roster, each.space, each.epoch)
    stats = open_stats(key, data, name)
    check_stats_author(stats, each.device, client.commit_at(each.seq).at, name)
    return stats


def _take(told: Published, device: bytes, stats: Stats) -> None:
    told.levels[device] = stats.level
    for day in stats.days:
        told.days.pop((device, day.day), None)
        if day.sessions or day.uses:
            told.days[device, day.day] = day


def owes_nothing(client: Client, level: Level) -> bool:
    """Whether a device that publishes at this level certainly has nothing to say: it is off, and never was anything else."""
    me = client.identity.device_id
    return level == "off" and not any(each.device == me for each in client.replica.published())


def publish(client: Client, level: Level, days: Mapping[str, StatsDay], *, growth_wait_ms: int) -> int:
    """Tell what differs from what this device told before; the number of days told.

    A day that only grew waits until `growth_wait_ms` after the last time, so that a device at work does not fill the log; what
    shrank never waits, for it may be shared now and would count twice. A kill after an upload leaves an object that no commit
    names; after some of several commits, days that the next run tells: what was told is read from the log again.
    """
    me, now_ms = client.identity.device_id, client.committer.now_ms()
    told = published(client, me)
    before = {day: entry for (_, day), entry in told.days.items()}
    wanted = {} if level == "off" else dict(days)
    changed = [
        wanted.get(day) or StatsDay(day=day, sessions=0, uses=[])
        for day in sorted(before.keys() | wanted.keys())
        if before.get(day) != wanted.get(day)
    ]
    same_level = told.levels.get(me, "off") == level
    if same_level and (not changed or _may_wait(client, changed, before, now_ms - growth_wait_ms)):
        return 0
    for run in _runs(changed):
        _commit(client, level, run)
    client.replica.set_note(_NOTE_AT, str(now_ms))
    return len(changed)


def _may_wait(client: Client, changed: list[StatsDay], before: Mapping[str, StatsDay], since_ms: int) -> bool:
    last = client.replica.note(_NOTE_AT)
    return (
        last is not None and int(last) > since_ms and all(_grew(before.get(day.day), day) for day in changed)
    )


def _grew(before: StatsDay | None, now: StatsDay) -> bool:
    if before is None:
        return True
    totals = [
        [sum(getattr(use, name) for use in day.uses) for name in ("turns", "output", "cost_usd_micro")]
        for day in (before, now)
    ]
    return all(was <= is_now for was, is_now in zip(*totals, strict=True))


def _runs(changed: list[StatsDay]) -> Iterator[list[StatsDay]]:
    """Days in objects of a bounded size; one empty run where only the level is to be told."""
    run: list[StatsDay] = []
    uses = 0
    for day in changed:
        if run and (uses + len(day.uses) > uses_per_object_max or len(run) == days_max):
            yield run
            run, uses = [], 0
        run.append(day)
        uses += len(day.uses)
    yield run


class _Overtaken(Exception):
    """The log moved on: a new epoch, a fence, a request to enact."""


def _commit(client: Client, level: Level, days: list[StatsDay]) -> None:
    plain = encode_stats(client.identity.device_id, level, days)
    squatted: Squatted | None = None
    for _ in range(overtaken_attempts_max):
        keep_house(client)
        key = client.keychain.newest(client.roster, client.roster.team_space)
        base = max(0, client.log.next_seq - 1)
        try:
            ref = upload(client, "stats", base, seal_stats(key, plain))
            client.commit(lambda context, r=ref, e=key.epoch: _draft(client, context, r, e))  # type: ignore[misc]
        except _Overtaken:
            continue
        except Squatted as taken:  # sealed again it has another name
            squatted = taken
            continue
        return
    raise squatted or TapesError(
        "the team's log moved on again and again", hint="run the sync again in a minute"
    )


def _draft(client: Client, context: DraftContext, ref: ObjectRef, epoch: int) -> bytes:
    roster = client.require_membership()
    key = client.keychain.newest(roster, roster.team_space)
    if key.epoch != epoch or roster.rotation_due or ref.base < roster.fence:
        raise _Overtaken
    return draft(context, roster.team, key, Content([events.StatsPublished(type="stats_published")], [ref]))
