"""Who is in the team, with which devices, keys and rights: the state that commits are judged by.

A pure projection of the log's valid commits; frozen, so that a refused commit leaves no trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from crypto.identities import PublicKeys, member_id
from store.events import Role

SpaceKind = Literal["team", "private"]
MemberState = Literal["active", "left", "removed"]


@dataclass(frozen=True, slots=True)
class Member:
    """A member; ids are 32 bytes. `keys` are those of the kit that counts now, `former` of those before, oldest first."""

    id: bytes  # of the first keys, for good
    keys: PublicKeys
    role: Role
    joined_seq: int
    state: MemberState = "active"
    former: tuple[PublicKeys, ...] = ()
    rekeyed_seq: int | None = None  # when `keys` came, if they are not the first

    @property
    def first_keys(self) -> PublicKeys:
        """The keys that the id is the hash of."""
        return self.former[0] if self.former else self.keys


@dataclass(frozen=True, slots=True)
class Device:
    """A device; `certified_by` None means the member key.

    A line is a device that the kit alone let in (genesis, join, recovery) and all that came in through it; `line_seq` is
    where the line began.
    """

    id: bytes
    keys: PublicKeys
    member: bytes
    certified_by: bytes | None
    admitted_seq: int
    line_seq: int
    revoked_seq: int | None = None


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One generation of a space's key, as its event gave it; `wraps` by recipient X25519 key, rewraps appended."""

    number: int
    commitment: bytes
    chain: bytes | None
    author: bytes  # device
    seq: int
    wraps: Mapping[bytes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Space:
    """Who can read: all members (`owner` None) or one member's devices. Epoch n is `epochs[n - 1]`."""

    id: bytes
    kind: SpaceKind
    owner: bytes | None
    epochs: tuple[EpochRecord, ...]

    @property
    def newest(self) -> EpochRecord:
        """The epoch that new objects are sealed under."""
        return self.epochs[-1]


@dataclass(frozen=True, slots=True)
class InviteRecord:
    """An invite's public half and how much of it is left."""

    id: bytes
    keys: PublicKeys
    author: bytes  # member
    limit: int
    expires_at_ms: int | None
    seq: int
    uses: int = 0
    open: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device's request for a sound wrap of one epoch: whether it waits, and which members have answered it ever."""

    pending: bool
    answered: frozenset[bytes] = frozenset()

    def open_to(self, member: bytes) -> bool:
        """Whether this member may still answer: once each, so that whoever answers with junk is not asked again."""
        return self.pending and member not in self.answered


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Who said that an object cannot be had any more, and where."""

    device: bytes
    seq: int

    def __str__(self) -> str:
        return f"given up by device {self.device.hex()[:16]} at commit {self.seq}"


@dataclass(frozen=True, slots=True)
class Roster:
    """The team as of one point of the log."""

    team: bytes
    team_space: bytes
    members: Mapping[bytes, Member] = field(default_factory=dict)
    devices: Mapping[bytes, Device] = field(default_factory=dict)
    spaces: Mapping[bytes, Space] = field(default_factory=dict)
    invites: Mapping[bytes, InviteRecord] = field(default_factory=dict)
    wanted: Mapping[tuple[bytes, int, bytes], Wanted] = field(default_factory=dict)  # space, epoch, device
    fence: int = 0  # objects with an older base must not be newly named
    given_up: Mapping[str, GivenUp] = field(default_factory=dict)  # by object name
    rotation_due: bool = False  # somebody asked to go: the next write must start a team epoch
    # Answers of `recipients`, asked for by every push; not copied by `replace`, so that they never outlive what they are about.
    _recipients: dict[bytes, frozenset[bytes]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def active_device(self, device: bytes) -> Device | None:
        """The device, if it and its member may write now."""
        found = self.devices.get(device)
        if found is None or found.revoked_seq is not None:
            return None
        return found if self.members[found.member].state == "active" else None

    def devices_of(self, member: bytes) -> list[Device]:
        """A member's unrevoked devices."""
        return [d for d in self.devices.values() if d.member == member and d.revoked_seq is None]

    def active_members(self) -> list[Member]:
        """Members who are neither removed nor leaving."""
        return [m for m in self.members.values() if m.state == "active"]

    def holder_of(self, keys: PublicKeys) -> Member | None:
        """The member whose kit gives these keys, or once gave them."""
        first = self.members.get(member_id(keys))
        later = (m for m in self.members.values() if m.former and keys in (m.keys, *m.former))
        return first or next(later, None)

    def private_space_of(self, member: bytes) -> Space | None:
        """The member's private space, once its first epoch exists."""
        return next((s for s in self.spaces.values() if s.owner == member), None)

    def recipients(self, space: Space) -> frozenset[bytes]:
        """The X25519 keys an epoch of `space` is wrapped to: devices, recovery keys and, for the team, open invites."""
        if space.id not in self._recipients:
            self._recipients[space.id] = self._recipients_of(space)
        return self._recipients[space.id]

    def _recipients_of(self, space: Space) -> frozenset[bytes]:
        if space.owner is not None:
            return self._keys_of([self.members[space.owner]])
        keys = frozenset(i.keys.x25519 for i in self.invites.values() if i.open)
        return keys | self._keys_of(self.active_members())

    def _keys_of(self, members: list[Member]) -> frozenset[bytes]:
        """Recovery keys and unrevoked devices; one look at each device, for teams have thousands."""
        ids = {member.id for member in members}
        devices = (d.keys.x25519 for d in self.devices.values() if d.member in ids and d.revoked_seq is None)
        return frozenset((*(member.keys.x25519 for member in members), *devices))

    def put(
        self, table: Literal["members", "devices", "spaces", "invites"], key: bytes, value: object
    ) -> Self:
        """A roster with one entry of one table added or replaced."""
        entries: Mapping[bytes, Any] = getattr(self, table)
        changes: dict[str, Any] = {table: {**entries, key: value}}
        return replace(self, **changes)
