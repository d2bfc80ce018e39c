"""What `storage status` and `storage sync` both answer: where local and remote stand, and what it cost to know."""

from typing import Any

from sync.hybrid import HybridProvider
from sync.providers import SyncStatus
from tapes.commands.desk import Desk
from tapes.watching.state import read_state


def hybrid(desk: Desk) -> HybridProvider:
    """The provider of the configured bucket; each project as the settings say."""
    return HybridProvider(desk.local, desk.client, desk.run.config.visibility, desk.run.config.content)


def standing(desk: Desk, status: SyncStatus | None) -> dict[str, Any]:
    """The answer's fields; `status` None: no bucket takes part."""
    traffic = desk.traffic()
    alone = {"version": None, "team": None, "bucket": desk.run.config.text("storage.bucket")}
    return {
        "provider": status.provider if status else desk.run.config.text("storage.provider"),
        "local": {
            "nodes": desk.local.count(),
            "conversations": desk.local.conversation_count(),
            "path": str(desk.local.path),
        },
        "remote": status.remote if status else alone,
        "pending_push": status.pending_push if status else 0,
        "pending_pull": status.pending_pull if status else 0,
        "content": desk.run.config.text("sync.content"),
        "withheld": status.withheld if status else 0,
        "last_sync_at": status.last_sync_at if status else None,
        "watch": read_state(desk.run.home.watch_state, desk.run.home.watch_lock),
        "requests": traffic.requests(),
        "bytes": traffic.bytes(),
    }
