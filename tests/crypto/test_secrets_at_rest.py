"""The kit's words, the passphrase, and the files that hold secrets."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import FormatBroken, KeyNeeded, TapesError, UsageError
from crypto.kit import secret_of, word_count, words_of
from crypto.passphrase import protect, unprotect
from crypto.vault import FileVault

QUICK_KIB = 8 * 1024


@given(secret=st.binary(min_size=32, max_size=32))
def test_the_words_hold_the_secret(secret: bytes) -> None:
    """24 words typed back in any case and spacing give the same 32 bytes."""
    words = words_of(secret)

    assert word_count == len(words)
    assert secret == secret_of("  \n".join(words).upper())


def test_published_words_of_zero() -> None:
    """The words are BIP-39's, so that a kit can be read by other tools too (Trezor's all-zero vector)."""
    assert ["abandon"] * 23 + ["art"] == words_of(bytes(32))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda words: words[:-1], "24 words"),
        (lambda words: [words[1], words[0], *words[2:]], "checksum"),
        (lambda words: ["notaword", *words[1:]], "word 1"),
    ],
)
def test_a_mistyped_kit_says_what_is_wrong_without_repeating_it(change, says: str) -> None:  # type: ignore[no-untyped-def]
    """A wrong count, a swap and a stranger word are told apart; no word of the kit is in the message."""
    words = words_of(bytes(range(32)))

    with pytest.raises(UsageError, match=says) as error:
        secret_of(" ".join(change(words)))
    assert words[2] not in f"{error.value} {error.value.hint}"


def test_a_passphrase_protects_and_a_wrong_one_is_named_so() -> None:
    """The right passphrase opens; a wrong one, or any altered byte, does not."""
    data = protect(b"secret", "right", operations=1, memory_kib=QUICK_KIB)

    assert b"secret" == unprotect(data, "right", "file")
    with pytest.raises(KeyNeeded):
        unprotect(data, "wrong", "file")
    with pytest.raises(KeyNeeded):
        unprotect(data[:-1] + bytes([data[-1] ^ 1]), "right", "file")


@pytest.mark.parametrize("parameters", [(1, 2**31), (1, 64), (2**31, QUICK_KIB), (0, QUICK_KIB)])
def test_tampered_parameters_are_refused_before_they_cost_anything(parameters: tuple[int, int]) -> None:
    """A file that asks for a terabyte, or for a trivial derivation, is refused."""
    operations, memory_kib = parameters
    data = protect(b"secret", "p", operations=1, memory_kib=QUICK_KIB)
    forged = data[:5] + operations.to_bytes(4, "big") + memory_kib.to_bytes(4, "big") + data[13:]

    with pytest.raises(FormatBroken):
        unprotect(forged, "p", "file")


def test_secret_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """The folder is 0700 and the file 0600; a file that others could read is refused with the command that mends it."""
    vault = FileVault(tmp_path / "keys")
    vault.save("device", b"k" * 64)
    path = tmp_path / "keys" / "device"

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert b"k" * 64 == vault.load("device")
    path.chmod(0o644)
    with pytest.raises(TapesError) as error:
        vault.load("device")
    assert "chmod 600" in error.value.hint


def test_a_protected_file_needs_its_passphrase(tmp_path: Path) -> None:
    """With a passphrase the file does not contain the secret, and without it nothing is loaded."""
    FileVault(tmp_path, "pass").save("device", b"k" * 64)

    assert b"kkkk" not in (tmp_path / "device").read_bytes()
    assert b"k" * 64 == FileVault(tmp_path, "pass").load("device")
    with pytest.raises(KeyNeeded):
        FileVault(tmp_path).load("device")


def test_replacing_and_forgetting_a_secret(tmp_path: Path) -> None:
    """Saving again replaces whole; deleting twice is fine; nothing is left beside."""
    vault = FileVault(tmp_path)
    vault.save("device", b"one")
    vault.save("device", b"two")

    assert b"two" == vault.load("device")
    assert ["device"] == [path.name for path in tmp_path.iterdir()]
    vault.delete("device")
    vault.delete("device")
    assert vault.load("device") is None
