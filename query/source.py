"""What can be asked: every manifest row this member can read and this device's own nodes, as one table `rows`.

`rows` has one row per node hash: the columns of store/manifest_schema.py (without `opening`) and

    id         BIGINT    a number below all rows that ever had one: 0, 1, 2, … without a gap where nothing was kept
    origin     INTEGER   whose row is shown: index into `Source.origins`
    arrival    BIGINT    its place among all rows, in log order
    seq        BIGINT    slot of the commit it is from; null: the node is only on this device
    first_seq  BIGINT    slot of the first commit that brought the node; null likewise
    space      VARCHAR   team if any commit put the node there, else private; null likewise
    counted    BOOLEAN   false where another row counts the same model call
    withheld   BOOLEAN   true where commits have nothing but metadata of the node
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from query.batches import committed_rows, origin_of, own_rows
from query.costs import lay_over
from query.engine import Engine
from query.intake import LOADED, Batch, Intake, Origin
from query.path_table import Paths, read_paths
from query.paths import read_parents
from query.rules import VIEWS
from store.local import LocalStore
from sync.client import Client
from sync.replica import PendingManifest

if TYPE_CHECKING:  # the types only: they load what reads one session, and what reads none, does without
    from query.catalog_keeper import Keeping
    from query.neighbourhood import Neighbourhood
    from query.overlaid_source import Overlaid

__all__ = ["Batch", "Origin", "Source", "fill", "open_source"]


class Source:
    """An open source; close it, or use it in a `with`. It does not see what store and log learn afterwards."""

    def __init__(self, engine: Engine, local: LocalStore | None = None, client: Client | None = None) -> None:
        self.local, self.client = local, client
        self.repriced = False  # costs are those of `tapes reprice`, where that found others
        self.origins: list[Origin] = []
        self.overlaid: Overlaid | None = None  # what is known without looking at rows
        self._paths: Paths | None = None
        self.tableless = engine  # for what needs none of the tables

    @property
    def engine(self) -> Engine:
        """The engine with the tables and views of query/rules.py."""
        if self.overlaid is not None:
            self.overlaid.attach()
        return self.tableless

    @property
    def lazy(self) -> "Overlaid | None":
        """What looks rows up where they are on the disk; None where they are in memory."""
        return None if self.overlaid is None or self.overlaid.settled else self.overlaid

    def settle(self) -> None:
        """Have what a search looks up in memory: for who searches again and again."""
        if self.overlaid is not None:
            self.overlaid.settle()

    def settle_rows(self) -> None:
        """Have all rows in memory: for who reads session after session."""
        if self.overlaid is not None:
            self.overlaid.settle_rows()

    def parents(self) -> "array[int]":
        """By row id: the id of its parent; `nowhere` where no row has it."""
        if self.overlaid is None and self._paths is None:
            return read_parents(self.tableless)
        return self.paths().parents

    def paths(self) -> Paths:
        """All sessions; folded once."""
        if self._paths is None:
            overlaid = self.overlaid
            self._paths = read_paths(self.tableless) if overlaid is None else overlaid.paths()
        return self._paths

    def begin_anew(self) -> None:
        """Forget what was made of a catalog that is of no use."""
        self.tableless.close()
        self.tableless = Engine()
        self.origins.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the tables; store and client stay open."""
        self.tableless.close()
        if self.overlaid is not None:
            self.overlaid.kept.close()


def open_source(
    local: LocalStore | None,
    client: Client | None,
    costs: pa.Table | None = None,
    *,
    about: str | None = None,
    keeping: "Keeping | None" = None,
) -> Source:
    """All manifests taken in by pull, and own nodes. Makes no request while the cache has the manifests.

    `costs` (query/costs.py) stand in for those that were computed or unknown. `about`: a session's name; only the rows that its
    reading depends on are there. `keeping`: where what was made of all that is kept, and looked for first.

    VerificationFailed when a manifest is gone from both cache and bucket; StoreError when the bucket is needed and away.
    """
    source, basis = Source(Engine(), local, client), None
    try:
        source.repriced = costs is not None
        if about is not None:
            near, pushed = _near(about, client, local)
            own = own_rows(local, client, near) if local else ()
            fill(source, _some(client, near, pushed) if client else (), own)
        elif keeping is None or not keeping.open(source, costs):
            basis = keeping.basis(source) if keeping else None
            own = own_rows(local, client) if local else ()
            fill(source, committed_rows(client) if client else (), own)
        if costs is not None and source.overlaid is None:
            lay_over(source.engine, costs)
        if keeping is not None and basis is not None:
            keeping.keep(source, basis)
    except BaseException:
        source.close()
        raise
    return source


def fill(source: Source, committed: Iterable[Batch], own: Iterable[Batch]) -> None:
    """Make `rows`. Committed batches come in log order; an own row is taken in only where no commit has the node."""
    intake = Intake(source.engine, source.origins)
    intake.committed(committed)
    intake.own(own)
    intake.judge()
    for view in VIEWS:
        source.engine.run(view)


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


def _some(client: Client, near: "Neighbourhood", pushed: Sequence[PendingManifest]) -> Iterator[Batch]:
    from sync.pull import open_kept_columns  # noqa: PLC0415 - as above

    for number, pending in enumerate(pushed):
        if near.touches(number):
            yield origin_of(client, pending), near.of(open_kept_columns(client, pending, LOADED))
