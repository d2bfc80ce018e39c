"""Drafting commits: from what somebody wants to say to the exact bytes for one slot.

A draft is made for one point of the log and made again after every lost race, since the roster and the epoch may have changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any

from pydantic import Field, ValidationError

from crypto import leaves
from crypto.epochs import key_commitment, new_epoch_key, seal_chain, wrap_key
from crypto.errors import FormatBroken, VerificationFailed
from crypto.sealing import Kind, SealKey, open_sealed, seal
from store import commits, events
from store.canonical import canonical, parse_canonical
from store.commits import Commit, Leaf, ObjectRef
from store.fields import Hex32, Stored, from_base64, to_base64
from store.names import slot_name
from sync.identity import Identity
from sync.roster import Roster
from sync.validity import LogPoint


@dataclass(frozen=True, slots=True)
class DraftContext:
    """The point, the slot and the author a commit is drafted for; `at_ms` is the author's clock."""

    point: LogPoint
    seq: int
    commit_id: bytes
    at_ms: int
    identity: Identity

    @property
    def roster(self) -> Roster:
        """The team at this point; VerificationFailed before there is one."""
        if self.point.roster is None:
            raise VerificationFailed(
                slot_name(0), "holds no valid genesis", hint="is this the team's bucket and prefix?"
            )
        return self.point.roster


@dataclass(frozen=True, slots=True)
class Content:
    """What a commit says, beside its place: clear events, named objects, append leaves, and labels for the sealed field."""

    events: Sequence[events.Event]
    objects: Sequence[ObjectRef] = ()
    appends: Sequence[Leaf] = ()
    team_label: str | None = None
    member_labels: dict[bytes, str] = field(default_factory=dict)
    device_labels: dict[bytes, str] = field(default_factory=dict)


class SealedField(Stored):
    """The plaintext of a commit's `sealed`: the team leaf's opening, and labels. Nothing that may have to be erased."""

    r: Hex32
    team: str | None
    members: dict[str, str]
    devices: dict[Hex32, str] = Field(default_factory=dict)  # what each device is called by its member


def draft(context: DraftContext, team: bytes, key: SealKey, content: Content) -> bytes:
    """The signed bytes of a commit in `key`'s space and epoch."""
    sealed, team_leaves = _team_part(key, content)
    unsigned: dict[str, Any] = {
        "format": commits.FORMAT,
        "team": team.hex(),
        "seq": context.seq,
        "prev": context.point.prev.hex() if context.point.prev is not None else None,
        "id": context.commit_id.hex(),
        "device": context.identity.device_id.hex(),
        "at": context.at_ms,
        "space": key.space.hex(),
        "epoch": key.epoch,
        "seen_checkpoint": None,  # nobody publishes tree heads before proofs exist
        "events": [event.model_dump() for event in content.events],
        "objects": [ref.model_dump() for ref in content.objects],
        "leaves": [leaf.model_dump() for leaf in (*content.appends, *team_leaves)],
        "sealed": sealed,
    }
    return commits.encode(unsigned, context.identity.device.sign_seed)


def _team_part(key: SealKey, content: Content) -> tuple[str | None, list[Leaf]]:
    """The sealed field and the leaf over everything but pushes; nothing for a bare push."""
    told = [event for event in content.events if not isinstance(event, events.Push)]
    if not told:
        return None, []
    r = token_bytes(leaves.opening_bytes)
    plain = {
        "r": r.hex(),
        "team": content.team_label,
        "members": {member.hex(): name for member, name in content.member_labels.items()},
        "devices": {device.hex(): name for device, name in content.device_labels.items()},
    }
    c = leaves.team_leaf_commitment(r, canonical([event.model_dump() for event in content.events]))
    leaf = Leaf(kind=commits.leaf_team, tag=token_bytes(leaves.tag_bytes).hex(), c=c.hex())
    return to_base64(seal(key, Kind.COMMIT_FIELD, canonical(plain))), [leaf]


def open_sealed_field(commit: Commit, key: SealKey, name: str) -> SealedField:
    """Open and check a commit's sealed field against its team leaf."""
    if commit.sealed is None:
        raise FormatBroken(name, "has no sealed field")
    plain = open_sealed(key, Kind.COMMIT_FIELD, from_base64(commit.sealed), f"{name} sealed field")
    try:
        opened = SealedField.model_validate(parse_canonical(plain, name))
    except ValidationError:
        raise FormatBroken(name, "its sealed field is not of the known shape") from None
    told = canonical([event.model_dump() for event in commit.events])
    c = leaves.team_leaf_commitment(bytes.fromhex(opened.r), told).hex()
    if c not in [leaf.c for leaf in commit.leaves if leaf.kind == commits.leaf_team]:
        raise FormatBroken(name, "its team leaf does not open to its events")
    return opened


def wraps_for(key: SealKey, recipients: Iterable[bytes]) -> list[events.Wrap]:
    """Wraps of one key, in the order the format demands."""
    return [events.Wrap(to=to.hex(), wrap=to_base64(wrap_key(key, to))) for to in sorted(recipients)]


def grant(key: SealKey, recipients: Iterable[bytes]) -> events.Grant:
    """Wraps of an existing epoch's key for new recipients."""
    return events.Grant(space=key.space.hex(), epoch=key.epoch, wraps=wraps_for(key, recipients))


def new_epoch(
    team: bytes, space: bytes, older: SealKey | None, recipients: Iterable[bytes]
) -> tuple[events.Epoch, SealKey]:
    """An epoch event for exactly `recipients`, and its key."""
    key = new_epoch_key(team, space, older.epoch + 1 if older is not None else 1)
    event = events.Epoch(
        type="epoch",
        space=space.hex(),
        epoch=key.epoch,
        commitment=key_commitment(key).hex(),
        chain=to_base64(seal_chain(key, older)) if older is not None else None,
        wraps=wraps_for(key, recipients),
    )
    return event, key
