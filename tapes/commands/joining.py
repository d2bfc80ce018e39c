"""Coming to a team: from nothing, from a link, and without dragging a stranger's log along."""

from pathlib import Path

from sync.membership import create_team
from sync.replica import Replica
from tapes.commands.desk import Desk
from tapes.home import Home


def forget_strangers_log(desk: Desk) -> None:
    """Drop the replica of a team that this home never joined.

    A wrong link or a wrong bucket leaves its log pinned here, and the right one would then look like a roll-back. Only before
    this member is in it, and with no commit under way: pins of one's own team are never dropped.
    """
    path = desk.run.home.replica
    if path.exists() and _is_strangers(path, desk.identity.member_id):
        drop_replica(desk.run.home)


def drop_replica(home: Home) -> None:
    """Forget the log: right only where no identity has a stake in its pins."""
    for suffix in ("", "-wal", "-shm"):
        home.replica.with_name(home.replica.name + suffix).unlink(missing_ok=True)


def _is_strangers(path: Path, member: bytes) -> bool:
    replica = Replica.open(path, bytes(32))  # the key of its tags, none of which is read here
    try:
        roster = replica.point().roster
        joined = roster is not None and member in roster.members
        return replica.head() is not None and not joined and replica.journal() is None
    finally:
        replica.close()


def has_team(desk: Desk) -> bool:
    """Whether this home is in a team, once a founding or joining that a crash interrupted is settled."""
    desk.client.committer.resume()
    return desk.client.log.point.roster is not None


def team_of_one(desk: Desk) -> bool:
    """Found a team if this home has none and the bucket is empty; whether it did. A bucket of another team is a UsageError."""
    if has_team(desk):
        return False
    create_team(desk.client, desk.identity.name)
    return True
