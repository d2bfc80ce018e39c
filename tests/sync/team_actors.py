"""Who takes part in the team of tests/sync/team_machine.py: devices, and keys that lost their right."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes
from threading import get_ident

from crypto.identities import SecretKeys
from store import events
from store.commits import Leaf, ObjectRef, name_of
from store.nodes import Node
from sync.client import Client, ClientPaths
from sync.drafts import Content
from tests.actors import Person, client
from tests.faults.worlds import PRIVATE, CuttingStore, hurried
from tests.laptops import Laptop

TEAM = "team"
QUIET = "quiet"  # a project that nobody says anything of, unless told to
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
    withheld: set[str] = field(default_factory=lambda: {QUIET})  # projects of which only metadata goes out

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


def opened(who: Person, home: Path, gate: CuttingStore, withheld: Collection[str] = (QUIET,)) -> Laptop:
    """A process of `who`: it does not wait between attempts, and no power cut is feared."""
    made = hurried(client(who, gate, home))
    laptop = Laptop(made, home, PRIVATE, set(withheld))
    for database in (made.replica._db, laptop.local._db):
        database.execute("PRAGMA synchronous = OFF")
    return laptop


def cloud_client(actor: Actor) -> Client:
    """A client in an actor's home that keeps no ciphertext there."""
    home = actor.home
    made = Client(actor.who.identity, actor.gate, ClientPaths(home / "team.db", None, home / "evidence"))
    made.probe_once = lambda: None  # type: ignore[method-assign]
    return made


def in_this_thread(gate: CuttingStore, deed: Callable[[], object]) -> Callable[[], None]:
    """The deed, put off to the next request if an upload's thread makes this one: a rival's databases are of this thread."""
    here = get_ident()

    def race() -> None:
        if get_ident() == here:
            deed()
        else:
            gate.at = gate.requests

    return race


def junk_push(base: int) -> tuple[Content, str, bytes]:
    """A push whose manifest is nothing; the manifest's name and bytes."""
    junk = b"no manifest at all" + token_bytes(8)
    ref = ObjectRef(kind="manifest", base=base, sha256=sha256(junk).hexdigest(), bytes=len(junk))
    leaf = Leaf(kind=1, tag=token_bytes(16).hex(), c=token_bytes(32).hex())
    return Content([events.Push(type="push")], objects=[ref], appends=[leaf]), name_of(ref), junk


def path_to(nodes: dict[str, Node], node: Node | None) -> list[Node]:
    """A node and its ancestors, root first."""
    path: list[Node] = []
    while node is not None:
        path.insert(0, node)
        node = nodes[node.parent_hash] if node.parent_hash is not None else None
    return path
