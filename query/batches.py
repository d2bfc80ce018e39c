"""Rows in batches, with who says them: of the manifests that were taken in, and of this device's own nodes."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from crypto.errors import VerificationFailed
from query.intake import LOADED, Batch, Origin
from store.local import LocalFacts, LocalStore
from store.manifest_schema import own_table
from store.names import slot_name
from sync.client import Client
from sync.replica import PendingManifest

if TYPE_CHECKING:  # the type only: it loads all of Arrow's functions, for those who read one session
    from pyarrow import Table

    from query.neighbourhood import Neighbourhood

_batch_rows: Final = 100_000
_NOBODY: Final = bytes(32)  # fills own_table's author columns, which are dropped: the origin says who


def committed_rows(
    client: Client, among: Callable[[PendingManifest], bool] = lambda _: True
) -> Iterator[Batch]:
    """What commits say, in log order; `among`: of some manifests."""
    from sync.pull import applied_columns  # noqa: PLC0415 - a home without a team starts without what reads one

    for pending, table in applied_columns(client, LOADED, among):
        yield origin_of(client, pending), table


def origin_of(client: Client, pending: PendingManifest) -> Origin:
    """Who says what a manifest says."""
    roster = client.roster
    author = roster.devices.get(pending.device)
    if author is None:
        raise VerificationFailed(slot_name(pending.seq), "its author is in no roster")
    return Origin(author.member, author.id, pending.seq, pending.space == roster.team_space, pending)


def own_origin(client: Client | None) -> Origin:
    """Who says what only this device has."""
    identity = client.identity if client else None
    return Origin(identity.member_id, identity.device_id) if identity else Origin()


def own_rows(
    local: LocalStore, client: Client | None, near: "Neighbourhood | None" = None
) -> Iterator[Batch]:
    """This device's own nodes; `near`: as far as they belong to a neighbourhood."""
    return own_batches(local.facts() if near is None else near.own(), client)


def own_batches(facts: Iterable[LocalFacts], client: Client | None) -> Iterator[Batch]:
    """Own nodes as batches."""
    # A superseded node that no commit has is never pushed: listing it here would make two laptops disagree for ever.
    current, origin = (row for row in facts if not row.superseded), own_origin(client)
    while chunk := list(islice(current, _batch_rows)):
        yield origin, own_table(chunk, _NOBODY, _NOBODY)


def own_links(facts: Iterable[LocalFacts]) -> "Table":
    """How own nodes hang together with others, superseded ones too: hash, parent and usage_id."""
    return own_table(facts, _NOBODY, _NOBODY).select(["hash", "parent", "usage_id"])
