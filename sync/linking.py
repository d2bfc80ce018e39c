"""Linking a further device: a code from screen to screen, a sealed request through the bucket, an admission in the log.

    old device   code {secret 16, team, device, head, bucket}             shown, 10 minutes
    new device   its public keys and name, sealed under the code     →    links/<id>, if absent
    both         the fingerprint of those keys                            compared by a person
    old device   certificate and wraps                               →    the log; the request is removed
    new device   reads the log until it is in it

No secret key ever leaves its device. A code is for one device: the request is put if absent, its maker answers one, and a code
that already admitted somebody is refused from the log. `expires_at` is judged by each side's own clock, by its maker's for good.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError

from crypto.errors import BlobNotFound, FormatBroken, KeyNeeded, StoreError, UsageError, VerificationFailed
from crypto.identities import PublicKeys, SecretKeys, device_id
from crypto.linking import link_id, new_link_secret, open_request, seal_request
from store import events
from store.blobs import BlobStore
from store.canonical import canonical, parse_canonical
from store.commits import parse
from store.events import Keys
from store.fields import Count, Hex16, Hex32, Stored
from store.names import link_name, slot_name
from store.retrying import put_immutable
from sync.client import Client
from sync.devices import add_device
from sync.fragments import of_fragment, to_fragment
from sync.housekeeping import keep_house
from sync.identity import stored_keys
from sync.log import LogReader
from sync.membership import Bucket
from sync.replica import Replica
from sync.roster import Roster

CODE_PREFIX = "tapes://link#"
code_valid_ms = 600_000
poll_seconds = 1.0
device_name_chars_max = 100
_AGAIN = "make a new code with `tapes device link`"


class _Code(Stored):
    v: Literal[0]
    secret: Hex16
    team: Hex32
    device: Hex32
    seq: Count
    head: Hex32
    expires_at: Count
    bucket: str
    endpoint: str | None
    region: str | None


class _Request(Stored):
    v: Literal[0]
    keys: Keys
    name: Annotated[str, StringConstraints(min_length=1, max_length=device_name_chars_max)]


@dataclass(frozen=True, slots=True, repr=False)
class LinkCode:
    """An opened code. Has no repr: whoever holds it can ask to be this member's device."""

    secret: bytes
    team: bytes
    device: bytes  # that made it
    head_seq: int
    head_hash: bytes
    expires_at_ms: int
    bucket: Bucket

    @property
    def place(self) -> str:
        """The request's object name."""
        return link_name(link_id(self.secret))


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """Who asks to be linked: public keys, and what the device calls itself."""

    keys: PublicKeys
    name: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a linked device learns from the log: its member's first keys, and its own certificate."""

    member: PublicKeys
    certified_by: bytes | None
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Patience:
    """How waiting is done; a test waits on a clock of its own."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep

    def expired(self, code: LinkCode) -> bool:
        """Whether the code's ten minutes are over on this device's clock."""
        return self.now_ms() >= code.expires_at_ms


def format_code(code: LinkCode) -> str:
    """The code as one text to copy."""
    body = _Code(
        v=0,
        secret=code.secret.hex(),
        team=code.team.hex(),
        device=code.device.hex(),
        seq=code.head_seq,
        head=code.head_hash.hex(),
        expires_at=code.expires_at_ms,
        bucket=code.bucket.url,
        endpoint=code.bucket.endpoint_url,
        region=code.bucket.region,
    )
    return to_fragment(CODE_PREFIX, body)


def parse_code(text: str) -> LinkCode:
    """Open a code; UsageError for anything that is not one, whole and unaltered. The text itself is never repeated."""
    body = of_fragment(CODE_PREFIX, text, _Code, "link code")
    return LinkCode(
        bytes.fromhex(body.secret),
        bytes.fromhex(body.team),
        bytes.fromhex(body.device),
        body.seq,
        bytes.fromhex(body.head),
        body.expires_at,
        Bucket(body.bucket, body.endpoint, body.region),
    )


# ── the device that is a member already ─────────────────────────────────────────────────────────────────────────────────


def offer(client: Client, bucket: Bucket, patience: Patience) -> LinkCode:
    """A fresh code for one further device. It pins the log as of now."""
    with client.alone():
        client.log.refresh()
        roster = client.require_membership()
        keep_house(client)
        head = client.log.point
    if head.prev is None or head.valid_seq is None:
        raise KeyNeeded("the log has no valid commit", hint="run `tapes storage sync` and try again")
    expires_at_ms = patience.now_ms() + code_valid_ms
    me = client.identity.device_id
    return LinkCode(new_link_secret(), roster.team, me, head.valid_seq, head.prev, expires_at_ms, bucket)


def await_request(client: Client, code: LinkCode, patience: Patience) -> LinkRequest:
    """Wait for the new device's request. KeyNeeded when the time is up; SealBroken when what came lacks the code."""
    while not patience.expired(code):
        try:
            sealed = client.store.get(code.place)
        except BlobNotFound:
            patience.sleep(poll_seconds)
            continue
        return _opened(code, sealed)
    raise KeyNeeded("no device asked to be linked within ten minutes", hint=_AGAIN)


def admit(client: Client, code: LinkCode, request: LinkRequest, patience: Patience) -> StoreError | None:
    """Commit the admission and remove the request; why it could not be removed, or None. It is worthless either way."""
    if patience.expired(code):
        raise KeyNeeded("the link code has expired", hint=_AGAIN)
    if device_id(request.keys) in client.roster.devices:
        raise UsageError("this device was admitted before", hint=_AGAIN)
    add_device(client, request.keys, request.name)
    return withdraw(client, code)


def withdraw(client: Client, code: LinkCode) -> StoreError | None:
    """Remove the request. Where members may not delete it stays, an unreadable object of a few hundred bytes."""
    try:
        client.store.delete(code.place)
    except StoreError as error:
        return error
    return None


def _opened(code: LinkCode, sealed: bytes) -> LinkRequest:
    plain = open_request(code.secret, code.team, sealed, code.place)
    try:
        body = _Request.model_validate(parse_canonical(plain, code.place))
    except ValidationError:
        raise FormatBroken(code.place, "is no link request of this version", hint="upgrade tapes") from None
    return LinkRequest(
        PublicKeys(bytes.fromhex(body.keys.ed25519), bytes.fromhex(body.keys.x25519)), body.name
    )


# ── the new device ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class NewDevice:
    """A device on its way in: it has keys, a code, and a log it reads but may not write yet."""

    store: BlobStore
    log: LogReader
    replica: Replica
    keys: SecretKeys
    code: LinkCode
    patience: Patience

    def ask(self, name: str) -> None:
        """Leave the request. Refuses a bucket that lacks the code's head, and a code that is expired or was used."""
        self.log.refresh()
        self.log.expect(self.code.team, self.code.head_seq, self.code.head_hash)
        if self._found() is not None:
            return  # a run of ours that was interrupted after it was admitted
        if self.patience.expired(self.code):
            raise KeyNeeded("the link code has expired", hint=f"{_AGAIN}; or this device's clock is wrong")
        self._refuse_dead()
        request = _Request(v=0, keys=stored_keys(self.keys.public), name=name)
        self._put(
            seal_request(self.code.secret, self.code.team, canonical(request.model_dump())), self.code.place
        )

    def await_admission(self) -> Admitted:
        """Read the log on until it admits this device. KeyNeeded when the code expires first."""
        while True:
            admitted = self._found()
            if admitted is not None:
                return admitted
            if self.patience.expired(self.code):
                raise KeyNeeded("no device admitted this one within ten minutes", hint=_AGAIN)
            self.patience.sleep(poll_seconds)
            self.log.catch_up()

    def _put(self, sealed: bytes, place: str) -> None:
        try:
            put_immutable(self.store, place, sealed)
        except (
            VerificationFailed
        ):  # something else lies there: an earlier request of ours, or the code was used
            if not self._is_ours(place):
                raise KeyNeeded("this link code was used by another device", hint=_AGAIN) from None

    def _is_ours(self, place: str) -> bool:
        try:
            return _opened(self.code, self.store.get(place)).keys == self.keys.public
        except BlobNotFound:  # answered and removed a moment ago
            return False

    def _refuse_dead(self) -> None:
        """A code whose maker is gone, or that admitted somebody: nobody would answer."""
        if self._roster.active_device(self.code.device) is None:
            raise KeyNeeded("the device that made this code was revoked", hint=_AGAIN)
        for seq, data in self.replica.team_slots():
            if seq > self.code.head_seq and any(
                isinstance(event, events.DeviceAdded) and event.device.by == self.code.device.hex()
                for event in parse(data, slot_name(seq)).events
            ):
                raise KeyNeeded("this link code was used, or is older than another device", hint=_AGAIN)

    @property
    def _roster(self) -> Roster:
        roster = self.log.point.roster
        if roster is None:
            raise VerificationFailed(slot_name(0), "holds no valid genesis")
        return roster

    def _found(self) -> Admitted | None:
        """This device as the log admits it; VerificationFailed when somebody else's member took it in."""
        roster, me = self._roster, device_id(self.keys.public)
        device = roster.active_device(me)
        if device is None:
            return None
        maker = roster.devices.get(self.code.device)
        if maker is None or device.member != maker.member:
            raise VerificationFailed(
                slot_name(device.admitted_seq), "admits this device for another member than the code's"
            )
        slot = self.replica.slot(device.admitted_seq)
        if slot is None:
            raise VerificationFailed(slot_name(device.admitted_seq), "is not in this device's replica")
        for event in parse(slot.data, slot_name(slot.seq)).events:
            if isinstance(event, events.DeviceAdded) and event.device.keys == stored_keys(self.keys.public):
                certificate = bytes.fromhex(event.device.certificate)
                member = roster.members[device.member].first_keys
                return Admitted(member, device.certified_by, certificate)
        raise VerificationFailed(slot_name(slot.seq), "does not hold the admission it was judged by")
