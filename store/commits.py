"""A commit: one slot of the log. Canonical JSON (RFC 8785), signed by a device, chained to the last valid commit.

The signature covers `"tapes/v0/commit" 00 ‖ canonical JSON of the commit without "sig"`. A commit's hash is the SHA-256 of its
exact stored bytes, signature included.
"""

import re
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field, ValidationError

from crypto import labels, signing
from crypto.errors import FormatBroken
from crypto.labels import labelled
from crypto.signatures_ahead import Claim
from store.canonical import canonical, canonical_plain, parse_canonical
from store.events import Event, Genesis
from store.fields import Base64, Count, Hex16, Hex32, Hex64, Stored, int_json_max
from store.limits import commit_bytes_max, commit_leaves_max, commit_objects_max
from store.names import object_name

FORMAT = 0
leaf_append = 1
leaf_team = 2

_DEVICE: Final = re.compile(
    rb'\{"at":[0-9]{1,16},"device":"([0-9a-f]{64})"'
)  # canonical JSON sorts its members
_SIG: Final = re.compile(rb'"sig":"([0-9a-f]{128})",')


class NewerFormat(FormatBroken):
    """A slot that claims a format this version does not know. `fields` lets the reader check who signed the claim."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        super().__init__(name, f"has a newer format than {FORMAT}", hint="upgrade tapes")
        self.fields = fields


class ObjectRef(Stored):
    """An immutable object a commit names; `base` and `sha256` are the last two parts of its name."""

    kind: Literal["pack", "manifest", "stats", "share"]
    base: Count
    sha256: Hex32
    bytes: Annotated[int, Field(ge=1, le=int_json_max)]


def name_of(ref: ObjectRef) -> str:
    """Where the object lies in the bucket."""
    return object_name(ref.kind, ref.base, ref.sha256)


class Leaf(Stored):
    """What later becomes an entry of the transparency log (DESIGN §8)."""

    kind: Annotated[int, Field(ge=1, le=5)]
    tag: Hex16
    c: Hex32


class SeenCheckpoint(Stored):
    """The newest signed tree head the author had seen."""

    size: Count
    root: Hex32


class Commit(Stored):
    """One entry of the log; field by field in docs/formats.md."""

    format: Literal[0]
    team: Hex32
    seq: Count
    prev: Hex32 | None
    id: Hex16
    device: Hex32
    at: Count  # ms since 1970, the author's clock; never compared by the fold
    space: Hex16
    epoch: Count
    seen_checkpoint: SeenCheckpoint | None
    events: Annotated[list[Event], Field(min_length=1, max_length=256)]
    objects: Annotated[list[ObjectRef], Field(max_length=commit_objects_max)]
    leaves: Annotated[list[Leaf], Field(min_length=1, max_length=commit_leaves_max)]
    sealed: Base64 | None
    sig: Hex64


def team_id(genesis: Genesis) -> bytes:
    """The team's 32-byte id: the hash of its genesis event."""
    return sha256(labelled(labels.TEAM_ID, canonical(genesis.model_dump()))).digest()


def encode(unsigned: dict[str, Any], sign_seed: bytes) -> bytes:
    """Sign a commit's fields (all but `sig`) and give its stored bytes."""
    signature = signing.sign(sign_seed, labels.COMMIT, canonical(unsigned))
    return canonical({**unsigned, "sig": signature.hex()})


def parse(data: bytes, name: str) -> Commit:
    """The commit in a slot's bytes. FormatBroken for anything that is not exactly one canonical commit of a known format."""
    if len(data) > commit_bytes_max:
        raise FormatBroken(name, f"{len(data)} bytes exceed commit_bytes_max {commit_bytes_max}")
    try:
        fields = orjson.loads(data)
    except ValueError:  # its own refusal of deep nesting too
        raise FormatBroken(name, "is no JSON of our formats") from None
    try:
        commit = Commit.model_validate(fields)
    except ValidationError as error:
        _refuse_other_shape(data, name)
        raise FormatBroken(name, _first_problem(error)) from None
    # The model is closed and strict: what it lets through needs no second look before it is spelled again. orjson keeps the last
    # of equal keys and reads huge integers as doubles: neither comes out as it went in.
    if canonical_plain(fields) != data:
        raise FormatBroken(name, "is not canonical JSON (RFC 8785)")
    return commit


def _refuse_other_shape(data: bytes, name: str) -> None:
    """What is no commit of this format may be none of JSON either, or one of a newer format: that is said first."""
    fields = parse_canonical(data, name)
    if not isinstance(fields, dict):
        raise FormatBroken(name, "is no JSON object")
    stated = fields.get("format")
    if type(stated) is int and stated > FORMAT:
        raise NewerFormat(name, fields)


def is_signed(data: bytes, commit: Commit, public_ed25519: bytes) -> bool:
    """Whether a commit is signed by this key; `data` are the bytes it was parsed from."""
    payload = _without_signature(data, commit.sig.encode())
    return signing.verifies(public_ed25519, labels.COMMIT, payload, bytes.fromhex(commit.sig))


def stated_signature(data: bytes) -> tuple[str, Claim] | None:
    """The device that a slot's bytes, not parsed yet, say they are by, and the claim to check, its key still empty.

    To save time: whoever uses the answer has parsed the commit, and compares the key with the one it must be signed with. None
    where the bytes look like no commit.
    """
    device, sig = _DEVICE.match(data), _SIG.search(data)
    if device is None or sig is None:
        return None
    claim = Claim(b"", labels.COMMIT, _without_signature(data, sig[1]), bytes.fromhex(sig[1].decode()))
    return device[1].decode(), claim


def _without_signature(data: bytes, sig_hex: bytes) -> bytes:
    """What was signed: the stored bytes are canonical, so it is they themselves without one member.

    A quote inside a string is escaped and `sig` is the name of no other field: these bytes stand there once.
    """
    return data.replace(b'"sig":"' + sig_hex + b'",', b"", 1)


def signature_holds(fields: dict[str, Any], public_ed25519: bytes) -> bool:
    """Whether a commit, given as its JSON object, is signed by this key."""
    unsigned = {name: value for name, value in fields.items() if name != "sig"}
    try:
        signature = bytes.fromhex(fields["sig"])
    except (KeyError, TypeError, ValueError):
        return False
    return signing.verifies(public_ed25519, labels.COMMIT, canonical(unsigned), signature)


def commit_hash(data: bytes) -> bytes:
    """SHA-256 of a slot's exact bytes: what the next valid commit names as `prev`."""
    return sha256(data).digest()


def _first_problem(error: ValidationError) -> str:
    """Where and what, without the input: a slot may hold anything a stranger wrote."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"field {place or 'commit'}: {first['msg']}"
