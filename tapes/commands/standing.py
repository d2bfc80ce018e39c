"""What `storage status` and `storage sync` both answer: where local and remote stand, and what it cost to know."""

from typing import Any

from store.local import LocalStore, local_store_path
from sync.hybrid import HybridProvider
from sync.providers import SyncProvider, SyncStatus
from tapes.commands.desk import Desk
from tapes.watching.state import read_state


def syncing(desk: Desk) -> SyncProvider:
    """The provider of the configured bucket; each project as the settings say."""
    if desk.is_cloud:
        return desk.cloud
    return over(desk, desk.local)


def over(desk: Desk, local: LocalStore) -> HybridProvider:
    """The hybrid provider of a local store and the configured bucket."""
    return HybridProvider(local, desk.client, desk.run.config.visibility, desk.run.config.content)


def standing(desk: Desk, status: SyncStatus | None) -> dict[str, Any]:
    """The answer's fields; `status` None: no bucket takes part."""
    traffic = desk.traffic()
    alone = {"version": None, "team": None, "bucket": desk.run.config.text("storage.bucket")}
    return {
        "provider": status.provider if status else desk.run.config.text("storage.provider"),
        "local": left_behind(desk) if desk.is_cloud else of_store(desk.local),
        "remote": status.remote if status else alone,
        "pending_push": status.pending_push if status else _waiting(desk),
        "pending_pull": status.pending_pull if status else 0,
        "content": desk.run.config.text("sync.content"),
        "withheld": status.withheld if status else 0,
        "last_sync_at": status.last_sync_at if status else None,
        "watch": read_state(desk.run.home.watch_state, desk.run.home.watch_lock),
        "requests": traffic.requests(),
        "bytes": traffic.bytes(),
    }


def _waiting(desk: Desk) -> int:
    """Turns to push before there is an identity to push with: all, if a bucket is to have them."""
    return desk.local.count() if desk.uses_bucket and not desk.is_cloud else 0


def of_store(local: LocalStore) -> dict[str, Any]:
    """What a local store holds."""
    return {
        "nodes": local.count(),
        "conversations": local.conversation_count(),
        "path": str(local.path),
    }


def left_behind(desk: Desk) -> dict[str, Any]:
    """The local store of an earlier provider, which the cloud does not look into; all zero where there is none."""
    path = local_store_path(desk.run.home.path)
    if not path.exists():
        return {"nodes": 0, "conversations": 0, "path": None}
    with LocalStore.open(path) as local:
        return of_store(local)
