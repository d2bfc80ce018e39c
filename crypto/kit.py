"""The recovery kit's words: a member's 32-byte secret as 24 words with a checksum (BIP-39, English list)."""

from functools import lru_cache
from typing import TYPE_CHECKING

from crypto.errors import UsageError
from crypto.identities import PublicKeys, member_id

if TYPE_CHECKING:  # the type only: each sync asks for a kit's mark, hardly any for its words
    from mnemonic import Mnemonic

word_count = 24
_mark_digits = 8


@lru_cache(maxsize=1)
def _words() -> "Mnemonic":
    from mnemonic import Mnemonic  # noqa: PLC0415 - as above

    return Mnemonic("english")


def words_of(secret: bytes) -> list[str]:
    """The 24 words of a 32-byte secret."""
    if len(secret) != 32:
        raise ValueError("a kit holds 32 bytes")
    words: str = _words().to_mnemonic(secret)
    return words.split()


def secret_of(text: str) -> bytes:
    """The secret of 24 words in any case and spacing. A wrong word or checksum is a UsageError that repeats no word."""
    words = text.lower().split()
    if len(words) != word_count:
        raise UsageError(
            f"a recovery kit has {word_count} words, these are {len(words)}", hint="check the printed kit"
        )
    strangers = [number for number, word in enumerate(words, 1) if word not in _words().wordlist]
    if strangers:
        raise UsageError(
            f"word {strangers[0]} is not in the word list",
            hint="compare it with the printed kit letter by letter",
        )
    if not _words().check(" ".join(words)):
        raise UsageError(
            "the words' checksum does not fit",
            hint="two words are swapped or one is a different word of the list",
        )
    return bytes(_words().to_entropy(words))


def mark_of(public: PublicKeys) -> str:
    """Eight hex digits that tell a member's kits apart: on the page, and where a kit that counts no more is refused. Public."""
    return member_id(public).hex()[:_mark_digits]
