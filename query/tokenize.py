"""The one tokenizer: what a text's words are, for the index, for the scan and for queries alike.

`normal` gives a text as its words with single spaces between them. A word is a run of letters, digits and their marks; everything
else separates, so `snake_case`, `a/b.py` and `Foo::bar` are neighbouring words, and asking for them as written finds them as a
phrase. Case, compatibility forms and accents are folded. Scripts that are written without spaces, or with endings glued on,
are cut into single characters: any part of a sentence is then a phrase.
"""

import re
import unicodedata
from functools import cache
from typing import Final

tokenizer_version: Final = 2  # an index made by another one is rebuilt
word_chars_max: Final = 128  # longer ones (base64, minified code) are cut, so that none bloats the index

_ASCII: Final = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_LONG: Final = re.compile(rf"[^ ]{{{word_chars_max + 1},}}")
# Kana voicing, nukta and virama make other letters, they are no accents.
_KEPT_CLASSES: Final = frozenset({0, 7, 8, 9})
# Kangxi radicals to hangul, kana and ideographs; Thai and Lao; Myanmar; Khmer; compatibility ideographs; the further planes.
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3040-\u312f\u3131-\u318e\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_EACH: Final = re.compile(f"([{_UNSPACED}])")


def normal(text: str) -> str:
    """The words of a text, each once per occurrence, in order, joined by single spaces; no NUL, no newline."""
    if text.isascii():
        words = " ".join(text.translate(_ASCII).split())
    else:
        words = " ".join(_EACH.sub(r" \1 ", _separators().sub(" ", _folded(text))).split())
    return _LONG.sub(lambda long: long[0][:word_chars_max], words)


def _folded(text: str) -> str:
    """Compatibility forms and case folded; accents, Hebrew and Arabic points dropped; what is left composed again."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = [char for char in apart if char.isascii() or unicodedata.combining(char) in _KEPT_CLASSES]
    return unicodedata.normalize("NFC", "".join(kept))


@cache
def _separators() -> re.Pattern[str]:
    """Runs of what is in no word. Vowel signs of Indic scripts are marks, which are no letters to Python."""
    marks = [chr(code) for code in range(0x0300, 0x1D00) if unicodedata.category(chr(code)) in {"Mn", "Mc"}]
    return re.compile(rf"(?:[^\w{''.join(marks)}\u3099\u309a]|_)+")
