"""What can be asked: every manifest row this member can read and this device's own nodes, as one table `rows`.

`rows` has one row per node hash: the columns of store/manifest_schema.py (without `opening`) and

    id         BIGINT    0, 1, 2, …
    origin     INTEGER   whose row is shown: index into `Source.origins`
    seq        BIGINT    slot of the commit it is from; null: the node is only on this device
    first_seq  BIGINT    slot of the first commit that brought the node; null likewise
    space      VARCHAR   team if any commit put the node there, else private; null likewise
    counted    BOOLEAN   false where another row counts the same model call
    withheld   BOOLEAN   true where commits have nothing but metadata of the node
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from crypto.errors import VerificationFailed
from query.costs import lay_over
from query.engine import Engine
from query.rules import STEPS
from store.local import LocalStore
from store.manifest_schema import MANIFEST_SCHEMA, own_table
from store.names import slot_name
from sync.client import Client
from sync.replica import PendingManifest

if TYPE_CHECKING:  # the type only: it loads all of Arrow's functions, for those who read one session
    from query.neighbourhood import Neighbourhood

_batch_rows = 100_000  # rows handed to DuckDB at once: thousands of one-row manifests cost few inserts
_NOBODY: Final = bytes(32)  # fills own_table's author columns, which are dropped: the origin says who
_LOADED: Final = [name for name in MANIFEST_SCHEMA.names if name not in {"member", "device", "opening"}]
_ORIGINS: Final = pa.schema(
    [
        ("origin", pa.int32()),
        ("seq", pa.int64()),
        ("team", pa.bool_()),
        ("member", pa.binary()),
        ("device", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says what a run of rows says: a commit's author, or (`seq` None) this device. Ids are 32 bytes.

    They are those of the signed commit, never a manifest's columns: nobody may put words into another's mouth.
    """

    member: bytes | None = None  # None: a home without an identity
    device: bytes | None = None
    seq: int | None = None
    team: bool = False  # committed to the team space, not to a private one
    manifest: PendingManifest | None = None


Batch = tuple[Origin, pa.Table]


@dataclass(slots=True)
class Source:
    """An open source; close it, or use it in a `with`. It does not see what store and log learn afterwards."""

    engine: Engine
    local: LocalStore | None = None
    client: Client | None = None
    repriced: bool = False  # costs are those of `tapes reprice`, where that found others
    origins: list[Origin] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the tables; store and client stay open."""
        self.engine.close()


def open_source(
    local: LocalStore | None,
    client: Client | None,
    costs: pa.Table | None = None,
    *,
    about: str | None = None,
) -> Source:
    """All manifests taken in by pull, and own nodes. Makes no request while the cache has the manifests.

    `costs` (query/costs.py) stand in for those that were computed or unknown. `about`: a session's name; only the rows that its
    reading depends on are there.

    VerificationFailed when a manifest is gone from both cache and bucket; StoreError when the bucket is needed and away.
    """
    source = Source(Engine(), local, client)
    try:
        committed, near = _everything(client) if client else (), None
        if about is not None:
            near, pushed = _near(about, client, local)
            committed = _some(client, near, pushed) if client else ()
        fill(source, committed, _own(local, client, near) if local else ())
        if costs is not None:
            lay_over(source.engine, costs)
            source.repriced = True
    except BaseException:
        source.close()
        raise
    return source


def fill(source: Source, committed: Iterable[Batch], own: Iterable[Batch]) -> None:
    """Make `rows`. Committed batches come in log order; an own row is taken in only where no commit has the node.

    Never the other way round: two laptops that pulled the same log must show the same, whatever each has of its own.
    """
    engine = source.engine
    with engine.table("batch", _numbered([_tagged(MANIFEST_SCHEMA.empty_table(), 0)], 0)):
        engine.run("CREATE TABLE every_row AS FROM batch")
    arrived = _take(source, committed, 0, "INSERT INTO every_row FROM batch")
    engine.run("CREATE TABLE known AS SELECT DISTINCT hash FROM every_row")
    _take(
        source, own, arrived, "INSERT INTO every_row SELECT batch.* FROM batch ANTI JOIN known USING (hash)"
    )
    with engine.table("origins", _origins_table(source.origins)):
        for step in STEPS:
            engine.run(step)


def _near(
    about: str, client: Client | None, local: LocalStore | None
) -> tuple["Neighbourhood", list[PendingManifest]]:
    """What to read of the manifests, of each of which four columns were looked at, and of the local store."""
    from query.neighbourhood import COLUMNS, Neighbourhood  # noqa: PLC0415 - as above
    from sync.pull import applied_columns  # noqa: PLC0415 - as below

    near, pushed = Neighbourhood(about), list[PendingManifest]()
    for pending, table in applied_columns(client, COLUMNS) if client is not None else ():
        near.look(table)
        pushed.append(pending)
    near.find(local)
    return near, pushed


def _everything(client: Client) -> Iterator[Batch]:
    from sync.pull import applied_columns  # noqa: PLC0415 - a home without a team starts without what reads one

    for pending, table in applied_columns(client, _LOADED):
        yield _origin(client, pending), table


def _some(client: Client, near: "Neighbourhood", pushed: Sequence[PendingManifest]) -> Iterator[Batch]:
    from sync.pull import open_kept_columns  # noqa: PLC0415 - as above

    for number, pending in enumerate(pushed):
        if near.touches(number):
            yield _origin(client, pending), near.of(open_kept_columns(client, pending, _LOADED))


def _origin(client: Client, pending: PendingManifest) -> Origin:
    """Who says what a manifest says."""
    roster = client.roster
    author = roster.devices.get(pending.device)
    if author is None:
        raise VerificationFailed(slot_name(pending.seq), "its author is in no roster")
    return Origin(author.member, author.id, pending.seq, pending.space == roster.team_space, pending)


def _own(local: LocalStore, client: Client | None, near: "Neighbourhood | None") -> Iterator[Batch]:
    identity = client.identity if client else None
    origin = Origin(identity.member_id, identity.device_id) if identity else Origin()
    # A superseded node that no commit has is never pushed: listing it here would make two laptops disagree for ever.
    facts = (row for row in (local.facts() if near is None else near.own()) if not row.superseded)
    while chunk := list(islice(facts, _batch_rows)):
        yield origin, own_table(chunk, _NOBODY, _NOBODY)


def _take(source: Source, batches: Iterable[Batch], arrived: int, insert: str) -> int:
    """Insert in few large steps: one per manifest would cost a lively team's reader a millisecond for each of its rows."""
    waiting: list[pa.Table] = []
    rows = 0
    for origin, table in batches:
        waiting.append(_tagged(table, len(source.origins)))
        source.origins.append(origin)
        rows += table.num_rows
        if rows >= _batch_rows:
            arrived += _insert(source.engine, waiting, arrived, insert)
            waiting, rows = [], 0
    if waiting:
        arrived += _insert(source.engine, waiting, arrived, insert)
    return arrived


def _insert(engine: Engine, tables: list[pa.Table], arrived: int, insert: str) -> int:
    batch = _numbered(tables, arrived)
    with engine.table("batch", batch):
        engine.run(insert)
    return int(batch.num_rows)


def _numbered(tables: list[pa.Table], arrived: int) -> pa.Table:
    whole = pa.concat_tables(tables)
    return whole.append_column("arrival", pa.array(range(arrived, arrived + whole.num_rows), pa.int64()))


def _tagged(table: pa.Table, origin: int) -> pa.Table:
    tags = pa.repeat(pa.scalar(origin, pa.int32()), table.num_rows)
    return table.select(_LOADED).append_column("origin", tags)


def _origins_table(origins: list[Origin]) -> pa.Table:
    columns = [
        list(range(len(origins))),
        [origin.seq for origin in origins],
        [origin.team for origin in origins],
        [origin.member for origin in origins],
        [origin.device for origin in origins],
    ]
    return pa.table(
        [pa.array(values, entry.type) for values, entry in zip(columns, _ORIGINS, strict=True)],
        schema=_ORIGINS,
    )
