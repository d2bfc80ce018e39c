"""Where local and remote stand, and what a sync did, in a few lines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sync.outbox import PlannedConversation
from sync.providers import SyncReport
from tapes.render import figures
from tapes.render.tables import Column, plain_lines


def standing_lines(fields: Mapping[str, Any]) -> Iterator[str]:
    """`storage status` for people; `fields` are its JSON."""
    remote = fields["remote"]
    yield f"provider   {fields['provider']}"
    yield f"local      {_local(fields)}"
    yield f"bucket     {remote['bucket'] or 'none'}"
    if remote["version"] is not None:
        yield f"team       {figures.short_id(remote['team'] or '-')}, log at {remote['version']}"
    yield f"to push    {figures.several(fields['pending_push'], 'turn')}"
    if fields["content"] != "full" or fields["withheld"]:
        yield f"content    {fields['content']} is pushed; the bucket has {fields['withheld']} turns as metadata only"
    yield f"to pull    {figures.several(fields['pending_pull'], 'push', 'pushes')} of others, known of and not taken in"
    yield f"last sync  {figures.moment(fields['last_sync_at'])}"
    yield from watch_lines(fields["watch"])


def watch_lines(watch: Mapping[str, Any] | None) -> Iterator[str]:
    """What the watch does, service by service; `watch` is its JSON."""
    if watch is None or not watch["running"]:
        ended = watch is not None and watch["ended_at"]
        since = f" since {figures.moment(ended)}" if ended else ", and was killed" if watch else ""
        yield f"watch      not running{since} (tapes watch --install)"
        for name, service in (watch["services"] if watch else {}).items():
            if last := service["last_error"]:
                yield f"  {name:<8} failed {figures.moment(last['at'])}: {last['message']}"
        return
    yield f"watch      process {watch['pid'] or '?'}, since {figures.moment(watch['started_at'])}"
    for name, service in watch["services"].items():
        yield f"  {name:<8} {_service_line(service)}"


def _service_line(service: Mapping[str, Any]) -> str:
    parts = [service["doing"] + (f" ({service['step']})" if service["step"] else "")]
    if service["last_success_at"]:
        parts.append(f"last success {figures.moment(service['last_success_at'])}")
    if service["last_error"]:
        parts.append(
            f"{figures.several(service['failures'], 'failure')} in a row, the last: {service['last_error']['message']}"
        )
    if service["next_try_at"]:
        parts.append(f"next try {figures.clock(service['next_try_at'])}")
    return "; ".join(parts)


def _local(fields: Mapping[str, Any]) -> str:
    local = fields["local"]
    if local["path"] is None:
        return "nothing is kept on this device"
    held = f"{figures.several(local['nodes'], 'turn')}, {figures.several(local['conversations'], 'conversation')}"
    told = f"{held}, {local['path']}"
    return f"{told} (of before; not looked into)" if fields["provider"] == "cloud" else told


def sync_lines(report: SyncReport, fields: Mapping[str, Any]) -> Iterator[str]:
    """What one sync did."""
    yield (
        f"pulled {figures.several(report.pulled_nodes, 'turn')}"
        f" in {figures.several(report.pulled_manifests, 'push', 'pushes')} of others,"
        f" pushed {figures.several(report.pushed_nodes, 'turn')} in {report.pushed_commits} of our own"
    )
    if report.published_days:
        yield f"published the totals of {figures.several(report.published_days, 'day')} of private sessions to the team"
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
            figures.size(each.bytes) if each.content == "full" else "metadata only",
            each.project or "",
        )
        for each in plan
    ]
    yield from plain_lines(columns, rows)
