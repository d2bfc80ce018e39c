"""Leaf commitments: hiding, binding, and no two field lists alike."""

import hmac
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import labels
from crypto.leaves import LeafFields, batch_root, leaf_commitment, leaf_tag, node_commitment

FIELDS = LeafFields(bytes(16), bytes(32), bytes(32), 0, bytes(32), b"", bytes(32), 1, b"null")


def test_a_node_commitment_is_the_documented_hmac() -> None:
    """An outside verifier recomputes it from opening, hash and stored bytes with a stock HMAC."""
    opening, node_hash, stored = b"o" * 32, b"h" * 32, b'{"hash":"x"}'
    expected = hmac.new(
        labels.NODE_COMMITMENT, opening + node_hash + sha256(stored).digest(), sha256
    ).digest()

    assert expected == node_commitment(opening, node_hash, stored)


@pytest.mark.parametrize(
    "change",
    [
        {"space": b"s" * 16}, {"conversation": b"c" * 32}, {"device": b"d" * 32}, {"j": 1}, {"k_tag": b"k" * 32},
        {"prev_c": b"p" * 32}, {"batch_root": b"b" * 32}, {"node_count": 2}, {"seen_checkpoint": b"{}"},
    ],
)  # fmt: skip
def test_c_binds_every_field(change: dict[str, object]) -> None:
    """No field of a leaf can be told differently later under the same c."""
    assert leaf_commitment(bytes(32), FIELDS) != leaf_commitment(bytes(32), replace(FIELDS, **change))  # type: ignore[arg-type]


def test_c_hides_without_its_opening() -> None:
    """Equal content under different openings looks unrelated: the operator cannot confirm a guess."""
    assert leaf_commitment(bytes(32), FIELDS) != leaf_commitment(b"r" * 32, FIELDS)


@given(
    items=st.lists(st.binary(min_size=32, max_size=32), max_size=12),
    extra=st.binary(min_size=32, max_size=32),
)
def test_the_batch_root_depends_on_every_node_and_their_order(items: list[bytes], extra: bytes) -> None:
    """Adding, doubling or swapping a node changes the root: no odd node is ever counted twice."""
    root = batch_root(items)

    assert root != batch_root([*items, extra])
    if items:
        assert root != batch_root([*items, items[-1]])
        assert root != batch_root(items[:-1])
    if len(items) > 1 and items[0] != items[1]:
        assert root != batch_root([items[1], items[0], *items[2:]])


def test_tags_of_one_conversation_are_found_only_with_its_key() -> None:
    """With K_tag all tags of a device can be listed; they differ by j, by device and by key."""
    tags = {
        leaf_tag(k, d, j) for k in (bytes(32), b"k" * 32) for d in (bytes(32), b"d" * 32) for j in range(3)
    }

    assert 12 == len(tags)
