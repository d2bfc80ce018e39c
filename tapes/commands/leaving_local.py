"""Going over to the cloud provider: what this device holds is in the bucket first, and is deleted here only if asked for."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.errors import UsageError, VerificationFailed
from query.catalog_keeper import forget
from query.index import remove_index
from store.local import LocalStore, local_store_path
from sync.hybrid import HybridProvider, notes_fetched
from sync.inventory import KINDS, inventory
from sync.outbox import Outbox
from sync.providers import Progress
from sync.resending import lost_turns
from tapes.commands.desk import Desk
from tapes.commands.joining import forget_strangers_log, team_of_one
from tapes.commands.standing import left_behind, of_store, over
from tapes.commands.wording import index_path
from tapes.progress import progress


@dataclass(frozen=True, slots=True)
class Held:
    """What an earlier provider left on this device.

    `pending`: turns that the bucket lacks; `too_large`: that none takes; `withheld`: projects whose text the settings keep here.
    """

    local: dict[str, Any]
    pending: int = 0
    too_large: int = 0
    withheld: int = 0
    cache_bytes: int = 0


def held(desk: Desk, *, push: bool) -> Held:
    """What is here now; after pushing what the bucket lacks, if wanted. No request otherwise."""
    path = local_store_path(desk.run.home.path)
    if not path.exists():
        return Held(left_behind(desk), cache_bytes=size_of(desk.run.home.cache))
    with LocalStore.open(path) as local:
        provider = over(desk, local)
        if push:
            _push(desk, provider)
        projects = {*local.projects(), None} if local.count() else set()
        return Held(
            of_store(local),
            pending=provider.sync_status().pending_push,
            too_large=len(provider.oversized()),
            withheld=sum(desk.run.config.content(project) == "metadata" for project in projects),
            cache_bytes=size_of(desk.run.home.cache),
        )


def require_content(withheld: int) -> None:
    """UsageError while the settings keep text on this device: under the cloud provider nothing would have it."""
    if withheld:
        raise UsageError(
            "the settings keep what was said on this device (sync.content = metadata), and cloud keeps nothing here",
            hint="set it to full and `tapes storage sync`, or stay with hybrid",
        )


def require_pushed(pending: int) -> None:
    """UsageError while turns are nowhere but here: under the cloud provider nobody would see them."""
    if pending:
        raise UsageError(
            f"{pending} turns on this device are not in the bucket yet",
            hint="`tapes storage sync` first, or set-provider cloud --push",
        )


def require_deletable(desk: Desk, found: Held) -> None:
    """Everything that commits name is in the bucket, with its size; nothing is here that cannot be there."""
    if found.too_large:
        raise UsageError(
            f"{found.too_large} turns are too large for any bucket and only here",
            hint="leave out --delete-local; they stay in the local store",
        )
    client = desk.client
    client.log.refresh()
    for kind in KINDS:
        for entry in inventory(client.store, client.replica, kind):
            if entry.stored is None and entry.name in client.roster.given_up:
                continue  # the team goes on without it; what of ours was in it is looked for below
            if entry.ref is not None and (entry.stored is None or entry.stored.size_bytes != entry.ref.bytes):
                raise VerificationFailed(
                    entry.name,
                    "is missing or cut in the bucket, so nothing was deleted here",
                    hint="`tapes verify` lists all such objects; this device may have what mends them",
                )
    path = local_store_path(desk.run.home.path)
    if path.exists():
        with LocalStore.open(path) as local:
            _require_nothing_lost(desk, local)


def _require_nothing_lost(desk: Desk, local: LocalStore) -> None:
    """What was pushed once into an object that the team gave up counts as pushed, and may be nowhere but here."""
    config = desk.run.config
    outbox = Outbox(local, desk.client.replica, config.visibility, config.content)
    only_here = sum(map(len, lost_turns(desk.client, outbox, ()).values()))
    if only_here:
        raise UsageError(
            f"{only_here} turns were in objects that the bucket lost, and are only here",
            hint="`tapes doctor --heal-log`, then `tapes storage sync`, sends them again",
        )


def delete_all(desk: Desk) -> None:
    """Delete cache, word index, catalog and local store, that last. A kill leaves what is left; running it again ends it."""
    home = desk.run.home
    # Else a later `sync --full` would take the packs for fetched. A kill right after costs it a second fetch.
    desk.client.replica.drop_notes(notes_fetched)
    if home.cache.exists():
        shutil.rmtree(home.cache)
    remove_index(index_path(desk))
    forget(home.index)
    path = local_store_path(home.path)
    if not path.exists():
        return
    with LocalStore.open(path) as local, local.transaction():
        # The transaction waits for an import that began under the old provider, and shuts out the next: what it brought
        # is seen by this last look.
        provider = over(desk, local)
        require_pushed(provider.sync_status().pending_push)
        path.unlink()
    for end in ("-wal", "-shm"):  # SQLite itself leaves a -wal behind whose database is gone
        path.with_name(path.name + end).unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; 0 when there is none."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def _push(desk: Desk, provider: HybridProvider) -> None:
    forget_strangers_log(desk)
    team_of_one(desk)
    with progress(desk.run.out) as tell:

        def told(at: Progress) -> None:
            tell(at.step, at.done, at.total)

        report = provider.sync(progress=told)
    for notice in report.notices:
        desk.run.out.warn(notice)
    if report.broken:
        raise report.broken[0]
