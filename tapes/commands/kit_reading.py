"""Reading a recovery kit: the printed page as a file, its words on stdin, or typed at the terminal."""

import re
import sys
from pathlib import Path
from typing import Final

from crypto.errors import UsageError
from crypto.identities import SecretKeys, member_keys
from crypto.kit import secret_of, word_count
from tapes.commands.context import Run
from tapes.commands.prompts import ask, can_ask

_kit_chars_max: Final = 65_536
_NUMBERED: Final = re.compile(r"(?<![0-9A-Za-z])([0-9]{1,2})[ .):\t]+([A-Za-z]+)")
_HOW: Final = "--kit FILE, or --kit - for stdin, or at a terminal without --kit"


def read_kit(run: Run, path: Path | None) -> SecretKeys:
    """The member keys of a kit. UsageError for anything that is not its 24 words; no word is ever repeated."""
    return member_keys(secret_of(_words(_text(run, path))))


def _text(run: Run, path: Path | None) -> str:
    if path is None:
        if not can_ask(run):
            raise UsageError("there is no kit and no terminal to type it at", hint=_HOW)
        return ask(run, f"The {word_count} words of the kit:")
    if str(path) == "-":
        return sys.stdin.read(_kit_chars_max)
    try:
        with path.expanduser().open(encoding="utf-8") as file:
            return file.read(_kit_chars_max)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}", hint=_HOW) from None


def _words(text: str) -> str:
    """The numbered words of a printed page in their order; else the text is taken to be the words alone."""
    numbered = {int(number): word for number, word in _NUMBERED.findall(text)}
    if sorted(numbered) == list(range(1, word_count + 1)):
        return " ".join(numbered[number] for number in sorted(numbered))
    return text
