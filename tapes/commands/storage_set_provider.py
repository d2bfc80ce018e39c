"""`tapes storage set-provider`."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from crypto.errors import UsageError
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.commands.desk import NO_BUCKET_HINT, Desk
from tapes.commands.leaving_local import (
    Held,
    delete_all,
    held,
    require_content,
    require_deletable,
    require_pushed,
)
from tapes.commands.standing import left_behind
from tapes.render import figures

ProviderName = Literal["local", "hybrid", "cloud"]


def storage_set_provider(
    provider: Annotated[ProviderName, Parameter(help="local, hybrid or cloud.")],
    /,
    *,
    push: Annotated[bool, Parameter(help="With cloud: push first what the bucket lacks.")] = False,
    delete_local: Annotated[
        bool,
        Parameter(
            help="With cloud: delete local store, cache and word index here, once all is in the bucket."
        ),
    ] = False,
    dry_run: Annotated[bool, Parameter(help="Only say what is where, and what would become of it.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Keep sessions on this device only (local), in the bucket too (hybrid), or only there (cloud).

    Nothing is deleted on this device unless --delete-local says so.
    """
    run = begin(flags)
    bucket = run.config.text("storage.bucket")
    if provider != "local" and bucket is None:
        raise UsageError(f"{provider} needs a bucket", hint=NO_BUCKET_HINT)
    if provider != "cloud" and (push or delete_local):
        raise UsageError("--push and --delete-local go with cloud", hint="leave them out")
    run.home.prepare()
    with Desk(run) as desk:
        if provider == "cloud":
            found = _to_cloud(desk, push=push, delete=delete_local, dry_run=dry_run)
        else:
            found = Held(left_behind(desk))
    if not dry_run and provider != "cloud":
        run.config.set({"storage.provider": provider})
    now = run.config.text("storage.provider")
    if not dry_run and now != provider:
        run.out.warn(f"TAPES_STORAGE_PROVIDER says {now!r}, and wins over the file")
    deleted = delete_local and not dry_run
    _answer(run, _fields(provider, bucket, found, deleted=deleted, dry_run=dry_run))
    return 0


def _to_cloud(desk: Desk, *, push: bool, delete: bool, dry_run: bool) -> Held:
    """The setting changes after everything is in the bucket and before anything goes: a kill between loses no turn."""
    _ = desk.identity  # KeyNeeded: without keys a bucket can neither be written nor read
    desk.lock()
    found = held(desk, push=push and not dry_run)
    if dry_run:
        return found
    require_content(found.withheld)
    require_pushed(found.pending)
    if delete:
        require_deletable(desk, found)
    desk.run.config.set({"storage.provider": "cloud"})
    if delete:
        delete_all(desk)
    return found


def _fields(
    provider: ProviderName, bucket: str | None, found: Held, *, deleted: bool, dry_run: bool
) -> dict[str, Any]:
    return {
        "provider": provider,
        "bucket": bucket,
        "dry_run": dry_run,
        "local": found.local,
        "pending_push": found.pending,
        "too_large": found.too_large,
        "withheld_projects": found.withheld,
        "cache_bytes": found.cache_bytes,
        "deleted": deleted,
    }


def _answer(run: Run, fields: dict[str, Any]) -> None:
    if run.flags.json:
        run.out.answer("storage-set-provider", fields)
        return
    would = "would be" if fields["dry_run"] else "is now"
    run.out.say(f"provider {would} {fields['provider']}")
    for line in _consequences(fields):
        run.out.say(line)


def _consequences(fields: dict[str, Any]) -> list[str]:
    """What becomes of what is on this device; never left unsaid."""
    local, provider = fields["local"], fields["provider"]
    here = f"{local['nodes']} turns in {local['path']}"
    if provider != "cloud":
        told = [f"{here} are shown"] if local["nodes"] else []
        if provider == "local":
            told.append("what is only in the bucket is not shown until you switch back")
        return told
    if fields["deleted"]:
        return [f"deleted here: {here}, the cache and the word index; what a sync pushes is in the bucket"]
    told = []
    if fields["pending_push"]:
        told.append(f"{fields['pending_push']} of {here} are not in the bucket yet: sync first, or --push")
    if fields["too_large"]:
        told.append(f"{fields['too_large']} of {here} are too large for any bucket: only here")
    if withheld := fields["withheld_projects"]:
        told.append(
            f"of {withheld} projects what was said is kept here by sync.content: set it to full first"
        )
    if local["path"] is not None or fields["cache_bytes"]:
        kept = f"{here} and {figures.size(fields['cache_bytes'])} of cache"
        told.append(f"{kept} stay on this device, and no turn is read there; --delete-local deletes them")
    return told
