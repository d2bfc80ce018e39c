"""Foreign text made harmless for a terminal: a hostile session must neither drive it nor hide what it says."""

import re
from typing import Final

# C0 but tab and newline, DEL, C1: escape sequences (also 8-bit ones), bells, backspaces that overwrite, titles, clipboard writes.
# Bidirectional marks reorder what is shown (CVE-2021-42574); lone surrogates cannot be encoded and would end the program;
# line and paragraph separators, and tag characters that carry text nobody sees.
_HARMFUL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
_NEWLINES: Final = re.compile("\r\n?")
_PICTURE_OF_NUL: Final = 0x2400
_PICTURE_OF_DEL: Final = "\u2421"


def safe(text: str) -> str:
    """`text` with every control character as a visible sign; newlines and tabs stay."""
    return _HARMFUL.sub(_visible, _NEWLINES.sub("\n", text))


def safe_line(text: str) -> str:
    """As `safe`, on one line."""
    return " ".join(safe(text).split())


def _visible(match: re.Match[str]) -> str:
    char = match.group()
    if char < " ":
        return chr(_PICTURE_OF_NUL + ord(char))
    return _PICTURE_OF_DEL if char == "\x7f" else f"<U+{ord(char):04X}>"
