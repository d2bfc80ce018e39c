"""Members, devices, certificates, labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import labels, signing
from crypto.identities import (
    SecretKeys,
    certificate_holds,
    certify,
    device_id,
    invite_keys,
    member_id,
    member_keys,
    new_device_keys,
    unpack_secret_keys,
)

SECRET = bytes(range(32))


def test_ids_and_keys_of_a_fixed_secret_never_change() -> None:
    """A member recovered from the kit is the same member in every later version."""
    keys = member_keys(SECRET)

    assert "6afaa59aff160051" == member_id(keys.public).hex()[:16]
    assert "aef3c156a0da435f" == keys.public.ed25519.hex()[:16]
    assert "f1bc9253f55623f8" == keys.public.x25519.hex()[:16]


def test_purposes_never_share_a_key() -> None:
    """One secret as a member's and as an invite's gives unrelated keys, and signing and boxing ones differ."""
    member, invite = member_keys(SECRET), invite_keys(SECRET)

    assert 4 == len({member.sign_seed, member.box_seed, invite.sign_seed, invite.box_seed})
    assert member_id(member.public) != device_id(member.public)


def test_a_certificate_is_for_one_member_and_one_device() -> None:
    """A certificate cannot be moved to another device, another member, or another signer."""
    member, device, other = member_keys(SECRET), new_device_keys(), new_device_keys()
    certificate = certify(member, member_id(member.public), device.public)
    signer = member.public.ed25519

    assert certificate_holds(signer, member_id(member.public), device.public, certificate)
    assert not certificate_holds(signer, member_id(member.public), other.public, certificate)
    assert not certificate_holds(signer, bytes(32), device.public, certificate)
    assert not certificate_holds(other.public.ed25519, member_id(member.public), device.public, certificate)


@given(payload=st.binary(max_size=64))
def test_a_signature_means_one_label(payload: bytes) -> None:
    """A signature made as a join never passes as a commit, nor over other bytes."""
    keys = member_keys(SECRET)
    signature = keys.sign(labels.JOIN, payload)

    assert signing.verifies(keys.public.ed25519, labels.JOIN, payload, signature)
    assert not signing.verifies(keys.public.ed25519, labels.COMMIT, payload, signature)
    assert not signing.verifies(keys.public.ed25519, labels.JOIN, payload + b"\x00", signature)


@pytest.mark.parametrize("bad", [b"", bytes(31), bytes(32), bytes(64)])
def test_malformed_keys_and_signatures_are_a_plain_no(bad: bytes) -> None:
    """Bytes from a stranger's slot never raise out of signature checking."""
    assert not signing.verifies(bad, labels.COMMIT, b"x", bytes(64))
    assert not signing.verifies(member_keys(SECRET).public.ed25519, labels.COMMIT, b"x", bad)


def test_secret_keys_never_show_themselves() -> None:
    """Neither repr nor str of key material contains key bytes."""
    keys = SecretKeys(bytes(range(32)), bytes(range(32, 64)))

    assert "sign_seed" not in repr(keys)
    assert keys.sign_seed.hex() not in f"{keys!r}{keys!s}"
    assert keys.pack() == unpack_secret_keys(keys.pack()).pack()
