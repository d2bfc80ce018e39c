"""What a commit can say: the closed set of events of format 0 and their clear fields (docs/formats.md lists them).

Everything here is readable by the bucket's operator. So: types, random ids, public keys, wraps, digests of sealed things, roles,
limits, times. Never a name, e-mail, project, title, or the hash of a node, session or conversation.
"""

from typing import Annotated, Literal

from pydantic import Field

from store.fields import Base64, Count, Hex16, Hex32, Hex64, Stored

Role = Literal["owner", "admin", "member"]


class Keys(Stored):
    """The public halves of a member, device or invite."""

    ed25519: Hex32
    x25519: Hex32


class DeviceClaim(Stored):
    """A device's public keys and the certificate over (member, device); `by` is null for the member key, else a device id."""

    keys: Keys
    by: Hex32 | None
    certificate: Hex64


class Wrap(Stored):
    """An epoch key for the holder of X25519 key `to`."""

    to: Hex32
    wrap: Base64


class Grant(Stored):
    """Wraps of one space's epoch key, given outside the epoch's own event."""

    space: Hex16
    epoch: Count
    wraps: list[Wrap]


class Genesis(Stored):
    """The team's first event; the team id is its hash. Its author becomes the owner."""

    type: Literal["genesis"]
    nonce: Hex32
    space: Hex16  # the team space
    member: Keys
    device: DeviceClaim


class Epoch(Stored):
    """A new generation of a space's key, for exactly its current recipients. An unknown space is its author's private one."""

    type: Literal["epoch"]
    space: Hex16
    epoch: Count
    commitment: Hex32
    chain: Base64 | None  # the epoch before, sealed under this one; null for the first
    wraps: list[Wrap]


class RewrapWanted(Stored):
    """The author's device cannot open the wrap it was given of this epoch. Enacted by whoever writes next and holds the key."""

    type: Literal["rewrap_wanted"]
    space: Hex16
    epoch: Count


class Rewrap(Stored):
    """Wraps again, for recipients whose wrap was junk. Anybody who holds the key may."""

    type: Literal["rewrap"]
    grants: list[Grant]


class Invite(Stored):
    """A link's public halves. Whoever holds the link can read the team space until the invite is closed."""

    type: Literal["invite"]
    keys: Keys
    limit: Count
    expires_at: Count | None  # ms since 1970; told to joiners; takes effect only by a `closed` event
    grants: list[Grant]


class Closed(Stored):
    """The end of an invite, by its author, an owner or an admin."""

    type: Literal["closed"]
    invite: Hex32


class Join(Stored):
    """A new member, vouched for by the invite's key. Carries the author's own admission."""

    type: Literal["join"]
    invite: Hex32
    member: Keys
    device: DeviceClaim
    voucher: Hex64  # the invite key's signature over (team, invite, member, device)
    grants: list[Grant]


class DeviceAdded(Stored):
    """A further device of a member. Certified by the member key and first in its commit, it may be the author itself."""

    type: Literal["device_added"]
    member: Hex32
    device: DeviceClaim
    grants: list[Grant]


class MemberRekeyed(Stored):
    """The author's member goes on under the keys of another kit; the old kit is worthless from here on."""

    type: Literal["member_rekeyed"]
    keys: Keys
    old_signature: Hex64  # the old member key's over (team, member, old keys, new keys, author's device)
    new_signature: Hex64  # the new one's over the same: nobody takes up keys that are somebody else's


class DeviceRevoked(Stored):
    """The end of a device, and of what it certified in or after slot `lost_seq` (null: of nothing else)."""

    type: Literal["device_revoked"]
    device: Hex32
    lost_seq: Count | None


class MemberRemoved(Stored):
    """The end of a membership, by an owner or admin."""

    type: Literal["member_removed"]
    member: Hex32


class Left(Stored):
    """A member's wish to go; enacted with a new epoch by a remaining member's next write."""

    type: Literal["left"]


class RoleSet(Stored):
    """A member's role, set by an owner."""

    type: Literal["role_set"]
    member: Hex32
    role: Role


class GcFence(Stored):
    """Objects whose base lies before this, and that no commit names by now, may be deleted."""

    type: Literal["gc_fence"]
    base: Count


class ObjectName(Stored):
    """An object by its whole name: a digest may be claimed under any base."""

    kind: Literal["pack", "manifest", "stats"]
    base: Count
    sha256: Hex32


class ObjectsGivenUp(Stored):
    """Objects that commits name and nobody can have, by an owner or admin: their absence is no finding any more."""

    type: Literal["objects_given_up"]
    objects: list[ObjectName]


class Push(Stored):
    """The commit's objects hold nodes."""

    type: Literal["push"]


class StatsPublished(Stored):
    """The commit's object tells what its device used where the team cannot read."""

    type: Literal["stats_published"]


Event = Annotated[
    Genesis
    | Epoch
    | RewrapWanted
    | Rewrap
    | Invite
    | Closed
    | Join
    | DeviceAdded
    | MemberRekeyed
    | DeviceRevoked
    | MemberRemoved
    | Left
    | RoleSet
    | GcFence
    | ObjectsGivenUp
    | StatsPublished
    | Push,
    Field(discriminator="type"),
]
