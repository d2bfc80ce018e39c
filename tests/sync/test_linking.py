"""Linking a device: what a code is good for, once, for ten minutes; and what the bucket's operator cannot do with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import KeyNeeded, SealBroken, StoreRefused, UsageError, VerificationFailed
from crypto.identities import SecretKeys, device_id, new_device_keys
from crypto.linking import fingerprint, link_id, open_request, seal_request
from store.directory import DirectoryStore
from store.names import link_name, slot_name
from sync.client import Client
from sync.devices import devices, revoke_device
from sync.linking import (
    LinkCode,
    LinkRequest,
    NewDevice,
    Patience,
    admit,
    await_request,
    code_valid_ms,
    format_code,
    offer,
    parse_code,
)
from sync.log import LogReader
from sync.membership import Bucket
from sync.replica import Replica
from tests.actors import NOW_MS, founded, joined

BUCKET = Bucket("s3://bucket/prefix", "http://127.0.0.1:1", "eu")


@dataclass
class Clock:
    """A clock that only waiting moves; `then` happens while somebody waits for the first time."""

    ms: int = NOW_MS
    then: Callable[[], object] | None = None
    slept: list[float] = field(default_factory=list)

    @property
    def patience(self) -> Patience:
        return Patience(lambda: self.ms, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ms += int(seconds * 1000)
        if self.then is not None:
            happening, self.then = self.then, None
            happening()


@dataclass
class Table:
    """Two devices on one table, and the bucket between them."""

    store: DirectoryStore
    old: Client
    home: Path
    clock: Clock
    opened: list[Replica] = field(default_factory=list)

    def offer(self) -> LinkCode:
        return offer(self.old, BUCKET, self.clock.patience)

    def device(
        self, code: LinkCode, keys: SecretKeys | None = None, store: DirectoryStore | None = None
    ) -> NewDevice:
        """A new device that has been given `code`."""
        self.opened.append(Replica.open(self.home / f"new-{len(self.opened)}.db", bytes(32)))
        bucket = store or self.store
        log = LogReader(bucket, self.opened[-1], self.home / "evidence")
        return NewDevice(bucket, log, self.opened[-1], keys or new_device_keys(), code, self.clock.patience)

    def admit(self, code: LinkCode) -> LinkRequest:
        """The old device's half, without a person's look at the fingerprints."""
        request = await_request(self.old, code, self.clock.patience)
        assert admit(self.old, code, request, self.clock.patience) is None
        return request


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """A founded team and its owner's device."""
    store = DirectoryStore(tmp_path / "bucket")
    made = Table(store, founded(store, tmp_path / "ana"), tmp_path, Clock())
    yield made
    for replica in made.opened:
        replica.close()


def test_a_device_is_linked_and_no_secret_travels(table: Table) -> None:
    """Asked, compared, admitted; the request is gone, and no stored byte is a secret key, the code or the name."""
    code = table.offer()
    new = table.device(parse_code(format_code(code)))
    new.ask("ana's phone")
    [request_object] = [info.name for info in table.store.list("links/")]
    seen = table.store.get(request_object)
    request = table.admit(code)
    admitted = new.await_admission()

    assert fingerprint(request.keys) == fingerprint(new.keys.public)
    assert (table.old.identity.member, table.old.identity.device_id) == (
        admitted.member,
        admitted.certified_by,
    )
    assert [] == list(table.store.list("links/"))
    everything = seen + b"".join(table.store.get(info.name) for info in table.store.list(""))
    for secret in (new.keys.sign_seed, new.keys.box_seed, code.secret):
        assert secret not in everything
        assert secret.hex().encode() not in everything
    assert b"phone" not in everything
    assert ["ana's phone"] == [d.name for d in devices(table.old) if not d.is_this]


def test_waiting_ends_when_the_other_side_acts(table: Table) -> None:
    """Each side polls: the request that comes, and the admission that comes, are found at the next look."""
    code = table.offer()
    new = table.device(code)
    table.clock.then = lambda: new.ask("late")
    request = await_request(table.old, code, table.clock.patience)
    table.clock.then = lambda: admit(table.old, code, request, table.clock.patience)
    new.await_admission()

    assert 2 == len(table.clock.slept)


def test_nobody_waits_longer_than_ten_minutes(table: Table) -> None:
    """No request, no admission, a late answer: each ends with 4 and the way to a new code."""
    code = table.offer()
    new = table.device(code)
    new.ask("slow")
    request = await_request(table.old, code, table.clock.patience)
    with pytest.raises(KeyNeeded, match="no device admitted"):
        new.await_admission()
    with pytest.raises(KeyNeeded, match="expired"):
        admit(table.old, code, request, table.clock.patience)
    with pytest.raises(KeyNeeded, match="no device asked"):
        await_request(table.old, table.offer(), table.clock.patience)
    with pytest.raises(KeyNeeded, match="expired"):
        table.device(code).ask("too late")
    assert code_valid_ms == code.expires_at_ms - NOW_MS
    assert 1 == len(devices(table.old))


def test_a_used_code_admits_nobody_else(table: Table) -> None:
    """After the admission it is refused from the log, whether or not the request could be removed."""
    code = table.offer()
    table.device(code).ask("first")
    left = table.store.get(code.place)
    table.admit(code)
    with pytest.raises(KeyNeeded, match="was used"):
        table.device(code).ask("second")
    table.store.put_if_absent(code.place, left)  # the operator puts the answered request back
    with pytest.raises(KeyNeeded, match="was used"):
        table.device(code).ask("second")
    with pytest.raises(UsageError, match="admitted before"):
        admit(table.old, code, await_request(table.old, code, table.clock.patience), table.clock.patience)
    assert 2 == len(devices(table.old))


def test_two_devices_with_one_code_are_one_too_many(table: Table) -> None:
    """The second one's put is refused by the store, and it says so at once."""
    code = table.offer()
    table.device(code).ask("first")

    with pytest.raises(KeyNeeded, match="used by another device"):
        table.device(code).ask("second")


def test_an_interrupted_join_goes_on_as_the_same_device(table: Table) -> None:
    """The same keys and code again: neither the request that is there nor the admission is in the way, even after the time."""
    code, keys = table.offer(), new_device_keys()
    table.device(code, keys).ask("phone")
    table.device(code, keys).ask("phone")
    table.admit(code)
    table.clock.ms += 2 * code_valid_ms
    again = table.device(code, keys)
    again.ask("phone")

    assert table.old.identity.device_id == again.await_admission().certified_by
    assert 2 == len(devices(table.old))


def test_the_operator_cannot_put_its_own_device_in_place(table: Table) -> None:
    """Swapped for a request under another code, altered in any byte, cut or empty-handed: refused, and nobody is admitted."""
    code = table.offer()
    table.device(code).ask("phone")
    good = table.store.get(code.place)
    foreign = seal_request(bytes(16), code.team, b"{}")
    flipped = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 13)]
    for swapped in (foreign, good[:-1], good + b"\0", b"x", *flipped):
        table.store.delete(code.place)
        table.store.put_if_absent(code.place, swapped)
        with pytest.raises(SealBroken, match="lacks it"):
            await_request(table.old, code, table.clock.patience)
    assert 1 == len(devices(table.old))
    with pytest.raises(SealBroken, match="lacks it"):  # and the new device sees that its request was squatted
        table.device(code).ask("phone")


def test_a_request_is_of_one_team_and_one_code(table: Table) -> None:
    """Moved to another code's place, or sealed for another team under the same code, it does not open."""
    code = table.offer()
    sealed = seal_request(code.secret, code.team, b"request")

    assert b"request" == open_request(code.secret, code.team, sealed, "here")
    for secret, team in ((code.secret, bytes(32)), (bytes(16), code.team)):
        with pytest.raises(SealBroken):
            open_request(secret, team, sealed, "here")


def test_a_code_pins_the_log(table: Table, tmp_path: Path) -> None:
    """A bucket of another team, or one rolled back behind the code's head, is refused before anything is written."""
    code = table.offer()
    other = DirectoryStore(tmp_path / "other")
    founded(other, tmp_path / "eve", "eve")
    joined(table.old, table.store, tmp_path / "ben")
    newer = table.offer()
    old = DirectoryStore(tmp_path / "rolled-back")
    old.put_if_absent(slot_name(0), table.store.get(slot_name(0)))

    with pytest.raises(VerificationFailed, match="genesis"):
        table.device(code, store=other).ask("phone")
    with pytest.raises(VerificationFailed, match="made at"):
        table.device(newer, store=old).ask("phone")
    assert [] == [*other.list("links/"), *old.list("links/")]


def test_a_revoked_devices_code_is_dead(table: Table, tmp_path: Path) -> None:
    """A thief with a linked device makes a code; once the device is revoked nobody is admitted by it."""
    first = table.offer()
    stolen = table.device(first)
    stolen.ask("stolen")
    table.admit(first)
    admitted = stolen.await_admission()
    assert admitted.certified_by is not None
    code = replace(table.offer(), device=device_id(stolen.keys.public))
    revoke_device(table.old, device_id(stolen.keys.public), None)

    with pytest.raises(KeyNeeded, match="revoked"):
        table.device(code).ask("thief's second")


def test_whoever_stole_the_code_cannot_adopt_the_device(table: Table, tmp_path: Path) -> None:
    """Another member who saw the code admits the new device as its own: the device refuses to be somebody else's."""
    eve = joined(table.old, table.store, tmp_path / "eve", "eve")
    code = table.offer()
    new = table.device(code)
    new.ask("phone")
    request = await_request(eve, code, table.clock.patience)
    admit(eve, code, request, table.clock.patience)

    with pytest.raises(VerificationFailed, match="another member"):
        new.await_admission()


def test_a_request_that_may_not_be_removed_does_no_harm(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where members may not delete, linking succeeds and tells why the object stays."""

    def refused(_name: str) -> None:
        raise StoreRefused("403")

    code = table.offer()
    table.device(code).ask("phone")
    monkeypatch.setattr(table.old.store, "delete", refused)
    request = await_request(table.old, code, table.clock.patience)
    left = admit(table.old, code, request, table.clock.patience)

    assert isinstance(left, StoreRefused)
    assert 2 == len(devices(table.old))


@given(st.binary(min_size=16, max_size=16))
def test_the_requests_name_tells_nothing_of_the_code(secret: bytes) -> None:
    """The place is a one-way function of the code and a valid object name."""
    assert secret.hex() not in link_name(link_id(secret))
    assert 32 == len(link_name(link_id(secret)).removeprefix("links/"))


def test_a_code_survives_its_text_form_and_nothing_else(table: Table) -> None:
    """Read back it is the same code; cut or changed anywhere it is refused, and never repeated in the message."""
    code = table.offer()
    text = format_code(code)
    again = parse_code(f" {text}\n")

    assert (code.secret, code.team, code.bucket) == (again.secret, again.team, again.bucket)
    for at in range(0, len(text), 11):
        other = "A" if text[at] != "A" else "B"
        with pytest.raises(UsageError) as error:
            parse_code(text[:at] + other + text[at + 1 :])
        assert code.secret.hex() not in str(error.value)
    with pytest.raises(UsageError, match="link code"):
        parse_code(text[:-1])
    with pytest.raises(UsageError, match="not a tapes link code"):
        parse_code("tapes://join#" + text.removeprefix("tapes://link#"))
    assert code.secret.hex() not in repr(code)


@given(st.one_of(st.text(), st.text(alphabet="Aa0-_=").map(lambda text: "tapes://link#" + text)))
def test_any_other_text_is_refused_in_words(text: str) -> None:
    """Whatever is pasted: a usage error, never a traceback."""
    with pytest.raises(UsageError):
        parse_code(text)
