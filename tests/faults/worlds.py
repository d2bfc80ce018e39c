"""A small team that is set up once and copied for every row of a fault table, and stores that end the process."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from store.blobs import BlobInfo, BlobStore, PutOutcome
from store.retrying import RetryPolicy, put_immutable
from sync.client import Client
from sync.committer import Committer
from sync.verify import VerifyReport, verify
from tests.actors import Person, client, founded, joined, person
from tests.fakes.strict_store import Snapshot, StrictStore
from tests.laptops import Laptop, conversation

T = TypeVar("T")
PRIVATE = {"secret"}
TEAM_NODES = [*conversation("hello", 4), *conversation("other", 3, "beta")]
PRIVATE_NODES = conversation("hidden", 2, "secret")
BENS_NODES = conversation("from ben", 2, "gamma")


class PowerCut(BaseException):
    """The process ends here: no `except Exception` may survive it."""


def power_cut() -> None:
    """End the process as far as a test can without ending itself."""
    raise PowerCut


@dataclass(slots=True)
class CuttingStore:
    """A store that ends the process at request `at`, before the request happens or right after."""

    inner: BlobStore
    at: int
    after: bool
    prefix: str = ""  # count only requests to create something under this prefix; empty: all requests
    cut: Callable[[], None] = power_cut
    requests: int = field(default=0)

    def describe(self) -> str:
        return self.inner.describe()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        counts = name.startswith(self.prefix)
        return self._cut(lambda: self.inner.put_if_absent(name, data), counts=counts)

    def put_projection(self, name: str, data: bytes) -> None:
        self._cut(lambda: self.inner.put_projection(name, data))

    def get(self, name: str) -> bytes:
        return self._cut(lambda: self.inner.get(name), counts=not self.prefix)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self._cut(lambda: self.inner.get_range(name, offset, length), counts=not self.prefix)

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        return iter(self._cut(lambda: [*self.inner.list(prefix, start_after)], counts=not self.prefix))

    def delete(self, name: str) -> None:
        self._cut(lambda: self.inner.delete(name), counts=not self.prefix)

    def _cut(self, request: Callable[[], T], *, counts: bool = True) -> T:
        if not counts:
            return request()
        number, self.requests = self.requests, self.requests + 1
        if number == self.at and not self.after:
            self.cut()
        try:
            return request()
        finally:
            if number == self.at and self.after:
                self.cut()


def valid_commits(made: Client) -> int:
    """How many valid commits the bucket has, read on to its end."""
    made.log.catch_up()
    return sum(slot.void_reason is None for slot in made.replica.slots())


def hurried(made: Client) -> Client:
    """The same client with a committer that does not wait between attempts."""
    made.committer = Committer(made.store, made.replica, made.log, made.identity, sleep=lambda _: None)
    return made


def impatient(monkeypatch_setitem: Callable[..., None]) -> None:
    """Uploads that retry at once."""
    policy = RetryPolicy(wait_first_s=0.0, wait_max_s=0.0)
    monkeypatch_setitem(put_immutable.__kwdefaults__, "policy", policy)


@dataclass(frozen=True)
class World:
    """Three members of one team over a strict store: Ana has nodes to push, Ben reads, Cat has never synced."""

    store: StrictStore
    root: Path
    people: dict[str, Person]

    def laptop(
        self,
        name: str,
        store: BlobStore | None = None,
        home: str | None = None,
        withheld: set[str] | None = None,
    ) -> Laptop:
        """A process of that person; the same home again after a crash, or a fresh one."""
        place = self.root / (home or name)
        made = hurried(client(self.people[name], store or self.store, place))
        laptop = Laptop(made, place, PRIVATE, withheld)
        for database in (made.replica._db, laptop.local._db):
            database.execute(
                "PRAGMA synchronous = OFF"
            )  # no power is cut here, and a table has hundreds of rows
        return laptop

    def check_from_nothing(self) -> VerifyReport:
        """What Cat's fresh client makes of the bucket after reading all of it, every object included."""
        fresh = self.laptop("cat", home="cat-afresh")
        fresh.provider.pull()
        report = verify(fresh.client)
        fresh.close()
        return report


@dataclass(frozen=True)
class Template:
    """A world at rest, to be copied."""

    snapshot: Snapshot
    root: Path
    people: dict[str, Person]

    def copy(self, to: Path) -> World:
        """The same world again, with homes and a bucket of its own."""
        for home in self.root.iterdir():
            shutil.copytree(home, to / home.name)
        store = StrictStore()
        store.restore(self.snapshot)
        return World(store, to, self.people)


def template(root: Path) -> Template:
    """Found the team, let two join, and give Ana what she will push."""
    store = StrictStore()
    ana = founded(store, root / "ana", "ana")
    ben = joined(ana, store, root / "ben", "ben")
    cat = joined(ana, store, root / "cat", "cat")
    people = {
        name: replace(person(name), identity=made.identity)
        for name, made in (("ana", ana), ("ben", ben), ("cat", cat))
    }
    bens, anas = Laptop(ben, root / "ben"), Laptop(ana, root / "ana", PRIVATE)
    bens.provider.put(BENS_NODES)
    bens.provider.sync()
    anas.provider.put([*TEAM_NODES, *PRIVATE_NODES])
    for made in (anas, bens, cat):
        made.close()
    return Template(store.snapshot(), root, people)
