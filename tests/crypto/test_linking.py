"""A link code's derived values never change: two versions of tapes must find each other."""

import pytest

from crypto.errors import SealBroken
from crypto.identities import PublicKeys
from crypto.linking import fingerprint, link_id, new_link_secret, open_request, seal_request

SECRET = bytes(range(16))
TEAM = bytes(32)


def test_the_place_and_the_fingerprint_of_fixed_values_never_change() -> None:
    """Golden: the object's id, and what a person compares."""
    assert "41dd6a9e35ea56c034dd9874ac25d582" == link_id(SECRET).hex()
    assert "d401 5a24 8056 51a3 ae97" == fingerprint(PublicKeys(b"s" * 32, b"x" * 32))


def test_a_request_sealed_by_the_first_version_opens_for_ever() -> None:
    """Golden: nonce and all."""
    sealed = bytes.fromhex(
        "a41905ab2294622ff57b1267e3ebea9c0ce00deb5e77a5827faa989b7d480bf75b566591e4cb49e212f1974dfb354650"
    )

    assert b"who asks" == open_request(SECRET, TEAM, sealed, "golden")
    with pytest.raises(SealBroken, match="link code"):
        open_request(new_link_secret(), TEAM, sealed, "golden")


def test_two_requests_never_look_alike() -> None:
    """The same words are sealed under another nonce each time; a code is never the same twice."""
    assert seal_request(SECRET, TEAM, b"x") != seal_request(SECRET, TEAM, b"x")
    assert new_link_secret() != new_link_secret()
