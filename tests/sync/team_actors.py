"""Who takes part in the team of tests/sync/team_machine.py: devices, and keys that lost their right."""

from dataclasses import dataclass, field
from pathlib import Path

from crypto.identities import SecretKeys
from store.nodes import Node
from sync.client import Client
from tests.actors import Person, client
from tests.faults.worlds import PRIVATE, CuttingStore, hurried
from tests.laptops import Laptop

TEAM = "team"
Space = str  # TEAM, or the name of the member whose private space it is


@dataclass
class Actor:
    """One device: its process now, and what it wrote down."""

    who: Person
    member: str
    home: Path
    gate: CuttingStore
    laptop: Laptop
    wrote: dict[Space, dict[str, Node]] = field(default_factory=dict)

    @property
    def client(self) -> Client:
        return self.laptop.client

    def has(self, space: Space) -> dict[str, Node]:
        return self.wrote.setdefault(space, {})


@dataclass(frozen=True)
class Gone:
    """Keys that lost the right to read the team space, and the newest epoch they could."""

    keys: tuple[SecretKeys, ...]
    epoch: int


def opened(who: Person, home: Path, gate: CuttingStore) -> Laptop:
    """A process of `who`: it does not wait between attempts, and no power cut is feared."""
    made = hurried(client(who, gate, home))
    laptop = Laptop(made, home, PRIVATE)
    for database in (made.replica._db, laptop.local._db):
        database.execute("PRAGMA synchronous = OFF")
    return laptop
