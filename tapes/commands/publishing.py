"""Published stats at the command line: telling this device's after a sync, and asking for everybody's."""

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from crypto.errors import TapesError
from store.commits import name_of
from store.stats import Level
from sync.client import Client
from sync.providers import SyncReport
from sync.published import owes_nothing, publish, published
from tapes.commands.desk import Desk

if TYPE_CHECKING:  # the type only: a sync mostly finds nothing due, and need not load what counts
    from query.stats import Told

growth_wait_ms: Final = 6 * 3_600_000  # at most some four objects a day of a device at work
_NOTE: Final = "stats-looked-at"
_day_ms: Final = 86_400_000


def publish_after(desk: Desk, report: SyncReport) -> None:
    """Tell the team what is due, after a push, as the home's only writer, and say in the report what keeps it from being told.

    Manifests of others that cannot be had keep nothing back, or one that nobody has would silence every member's numbers. A sync
    that has a finding to tell tells that, whatever comes of the numbers.
    """
    level, client = cast("Level", desk.run.config.text("team.publish_stats")), desk.client
    if owes_nothing(client, level):
        return
    try:
        if (missing := _own_missing(client)) is not None:
            report.notices.append(
                f"published stats wait: {missing} tells which of your turns the team has, and cannot be had"
            )
        else:
            report.published_days = _publish_own(desk, level)
    except TapesError as error:
        if not report.broken:
            raise
        report.notices.append(f"published stats wait: {error.message}")


def _own_missing(client: Client) -> str | None:
    """A manifest of this member's own in the team's space that is still to come: its turns would be told a second time.

    One that was given up is gone for everybody, and one that was refused is refused by everybody: nobody waits for those.
    """
    roster = client.roster
    for each in client.replica.manifests("pending"):
        own = roster.devices[each.device].member == client.identity.member_id
        if own and each.space == roster.team_space:
            return name_of(each.ref)
    return None


def _publish_own(desk: Desk, level: Level) -> int:
    """The number of days told. What was looked at is remembered only afterwards: a kill before that looks again."""
    client = desk.client
    looked_at = _state(desk, level)
    if client.replica.note(_NOTE) == looked_at:
        return 0
    from query.private_use import private_days  # noqa: PLC0415 - as above
    from query.source import open_source  # noqa: PLC0415 - as above

    visibility = desk.run.config.visibility
    with open_source(None if desk.is_cloud else desk.local, client) as source:
        days = private_days(
            source,
            client.identity.device_id,
            lambda project: visibility(project) == "private",
            by_project=level == "by-project",
        )
    told = publish(client, level, days, growth_wait_ms=growth_wait_ms)
    client.replica.set_note(_NOTE, looked_at)
    return told


def _state(desk: Desk, level: Level) -> str:
    """What the numbers depend on, cheaply: own turns, settings, and once in a growth period whatever others pushed."""
    visibility, now_ms = desk.run.config.visibility, desk.client.committer.now_ms()
    if desk.is_cloud:  # own turns are in the log, and nowhere else
        own = [str(desk.client.log.next_seq)]
    else:
        projects = sorted(f"{visibility(project)} {project!r}" for project in desk.local.projects())
        own = [str(desk.local.last_change()), *projects]
    return sha256("\n".join([level, str(now_ms // growth_wait_ms), *own]).encode()).hexdigest()


def told_to(client: Client, warn: Callable[[str], None]) -> "Told":
    """What members publish, for the dashboard; what cannot be read is said."""
    from query.stats import Told  # noqa: PLC0415 - as above

    found, roster = published(client), client.roster
    for problem in dict.fromkeys(found.unread):
        warn(f"published stats left out: {problem}")
    active = {member.id for member in roster.active_members()}
    publishing = {roster.devices[device].member for device, level in found.levels.items() if level != "off"}
    days = [(roster.devices[device].member.hex(), day) for (device, _), day in found.days.items()]
    return Told(days, len(active), len(active & publishing))
