"""Where local and remote stand, and what a sync did, in a few lines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sync.providers import SyncReport
from sync.push import PlannedConversation
from tapes.render import figures
from tapes.render.tables import Column, plain_lines


def standing_lines(fields: Mapping[str, Any]) -> Iterator[str]:
    """`storage status` for people; `fields` are its JSON."""
    local, remote = fields["local"], fields["remote"]
    yield f"provider   {fields['provider']}"
    yield f"local      {local['nodes']} turns, {local['conversations']} conversations, {local['path']}"
    yield f"bucket     {remote['bucket'] or 'none'}"
    if remote["version"] is not None:
        yield f"team       {figures.short_id(remote['team'] or '-')}, log at {remote['version']}"
    yield f"to push    {fields['pending_push']} turns"
    yield f"to pull    {fields['pending_pull']} manifests known of and not taken in"
    yield f"last sync  {figures.moment(fields['last_sync_at'])}"


def sync_lines(report: SyncReport, fields: Mapping[str, Any]) -> Iterator[str]:
    """What one sync did."""
    yield (
        f"pulled {report.pulled_nodes} turns in {report.pulled_manifests} pushes of others,"
        f" pushed {report.pushed_nodes} turns in {report.pushed_commits} of our own"
    )
    requests, moved = fields["requests"], fields["bytes"]
    asked = ", ".join(f"{number} {kind}" for kind, number in requests.items() if number)
    yield f"{asked or 'no'} requests; {figures.size(moved['up'])} up, {figures.size(moved['down'])} down"


def plan_lines(plan: Sequence[PlannedConversation]) -> Iterator[str]:
    """What a push would send, conversation by conversation."""
    columns = (
        Column("conversation"),
        Column("space"),
        Column("turns", right=True),
        Column("size", right=True),
        Column("project"),
    )
    rows = [
        (
            each.conversation,
            each.space,
            f"{each.nodes} turns" + (f" ({each.ancestors} as ancestors)" if each.ancestors else ""),
            figures.size(each.bytes),
            each.project or "",
        )
        for each in plan
    ]
    yield from plain_lines(columns, rows)
