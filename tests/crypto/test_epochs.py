"""Epoch keys: wraps, commitments, chains."""

import pytest

from crypto.epochs import (
    key_commitment,
    new_epoch_key,
    open_chain,
    seal_chain,
    unwrap_key,
    wrap_bytes,
    wrap_key,
)
from crypto.errors import SealBroken
from crypto.identities import new_device_keys
from crypto.sealing import SealKey

TEAM, SPACE = bytes(32), bytes(range(16))


def test_a_recipient_opens_its_wrap() -> None:
    """The holder of the box key gets exactly the epoch's key."""
    key, device = new_epoch_key(TEAM, SPACE, 3), new_device_keys()
    wrap = wrap_key(key, device.public.x25519)

    assert wrap_bytes == len(wrap)
    assert key == unwrap_key(device.box_seed, TEAM, SPACE, 3, wrap, key_commitment(key))


@pytest.mark.parametrize(
    ("team", "space", "epoch"), [(bytes([1]) * 32, SPACE, 3), (TEAM, bytes(16), 3), (TEAM, SPACE, 4)]
)
def test_a_wrap_cannot_be_moved(team: bytes, space: bytes, epoch: int) -> None:
    """A wrap copied into another team, space or epoch does not open there, though the box itself would."""
    key, device = new_epoch_key(TEAM, SPACE, 3), new_device_keys()
    wrap = wrap_key(key, device.public.x25519)

    with pytest.raises(SealBroken, match="another place"):
        unwrap_key(device.box_seed, team, space, epoch, wrap, key_commitment(key))


def test_a_wrap_of_another_key_is_seen_at_once() -> None:
    """A hostile author who gives one member a different key is found by the public commitment."""
    key, other, device = new_epoch_key(TEAM, SPACE, 1), new_epoch_key(TEAM, SPACE, 1), new_device_keys()

    with pytest.raises(SealBroken, match="committed"):
        unwrap_key(
            device.box_seed, TEAM, SPACE, 1, wrap_key(other, device.public.x25519), key_commitment(key)
        )


def test_junk_wraps_are_refused() -> None:
    """Every flipped byte, cut or unknown type of a wrap is an error, never a wrong key."""
    key, device = new_epoch_key(TEAM, SPACE, 1), new_device_keys()
    wrap = wrap_key(key, device.public.x25519)
    broken = [wrap[:i] + bytes([wrap[i] ^ 1]) + wrap[i + 1 :] for i in range(len(wrap))]

    for bad in [*broken, wrap[:-1], wrap + b"\x00", b"", b"\x02" + wrap[1:]]:
        with pytest.raises(SealBroken):
            unwrap_key(device.box_seed, TEAM, SPACE, 1, bad, key_commitment(key))


def test_the_chain_leads_back_one_epoch() -> None:
    """Whoever holds epoch 2 can read epoch 1; a chain to a key that epoch 1 did not commit to is refused."""
    first, second = new_epoch_key(TEAM, SPACE, 1), new_epoch_key(TEAM, SPACE, 2)

    assert first == open_chain(second, seal_chain(second, first), key_commitment(first))
    liar = SealKey(TEAM, SPACE, 1, bytes(32))
    with pytest.raises(SealBroken, match="chains"):
        open_chain(second, seal_chain(second, liar), key_commitment(first))
