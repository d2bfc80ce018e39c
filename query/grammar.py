"""The one line that people type: filters and words, read into a SessionFilter and a Query.

    project:x model:*sonnet* cost:>0.5 since:7d status:error "exact phrase" retr* -word this OR that

Words next to each other must all be in one turn; OR (weaker than that) separates alternatives; `-` or NOT in front of a word or
phrase excludes turns with it; `*` at the end means any ending. AND may be written. There are no parentheses.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from crypto.errors import UsageError
from query.filter import SessionFilter, filter_of, gathered
from query.tokenize import normal

line_chars_max: Final = 4096
phrases_max: Final = 64
# A name of letters and a colon is a filter; `Foo::bar`, `a.py:12` and `https://…` are words.
_FIELD: Final = re.compile(r"([A-Za-z][A-Za-z_-]*):(?!:|//)(.*)", re.DOTALL)
_TOKEN: Final = re.compile(r'(?:[^\s"]|"[^"]*")+')
_SAVED: Final = re.compile(r"@([a-z0-9][a-z0-9-]{0,31})")
_QUOTE_HINT: Final = "put it in double quotes to look for the words themselves"


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in a row, as `normal` gives them; `prefix`: the last one may go on."""

    words: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Alternative:
    """A turn that has all of the one and none of the other."""

    present: tuple[Phrase, ...]
    absent: tuple[Phrase, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """A turn that is any of the alternatives."""

    alternatives: tuple[Alternative, ...]

    @property
    def sought(self) -> tuple[Phrase, ...]:
        """Every phrase that a hit may show."""
        return tuple(dict.fromkeys(phrase for one in self.alternatives for phrase in one.present))


def parse_line(line: str, saved: Callable[[str], SessionFilter] | None = None) -> SessionFilter:
    """Filters and words of one line; the words are checked too. UsageError that says what is wrong and what was meant.

    `saved` gives the filter behind `@name`, or a UsageError.
    """
    fields: list[tuple[str, str]] = []
    words: list[str] = []
    meant = SessionFilter()
    for piece in _tokens(line):
        if named := _SAVED.fullmatch(piece):
            if saved is None:
                raise UsageError(f"a saved filter cannot stand here: {piece}", hint=_QUOTE_HINT)
            meant = meant.merged(saved(named[1]))
            continue
        match = _FIELD.fullmatch(piece.removeprefix("-"))
        if match is not None and piece.startswith("-"):
            raise UsageError(f"a filter cannot be excluded: {piece}", hint=_QUOTE_HINT)
        if match is not None:
            fields.append((match[1].lower(), _value(match[1], match[2])))
        else:
            words.append(piece)
    chosen = filter_of(gathered(fields))
    text = " ".join(words)
    if chosen.text is not None and text:
        raise UsageError("words stand both beside the filters and in text:", hint="give them once")
    if text:
        chosen = chosen.merged(SessionFilter(text=text))
    chosen = _both(meant, chosen)
    if chosen.text is not None:
        parse_words(chosen.text)
    return chosen


def _both(saved: SessionFilter, typed: SessionFilter) -> SessionFilter:
    """A saved filter and what stands beside it. Words of both must all be said, unless OR would tear them apart."""
    if saved.text is None or typed.text is None:
        return saved.merged(typed)
    if "OR" in (*_tokens(saved.text), *_tokens(typed.text)):
        raise UsageError(
            "the saved filter has words too, and OR would part them", hint="leave its words or these out"
        )
    unworded = typed.model_copy(update={"text": None})
    return saved.model_copy(update={"text": f"{saved.text} {typed.text}"}).merged(unworded)


def parse_words(text: str) -> Query:
    """The words of a query. UsageError for one that names nothing to look for."""
    alternatives: list[tuple[list[Phrase], list[Phrase]]] = [([], [])]
    negated = False
    for piece in _tokens(text):
        if piece == "OR":
            if negated or not alternatives[-1][0]:
                raise _wrong("OR needs a word on both sides")
            alternatives.append(([], []))
        elif piece == "NOT":
            negated = True
        elif piece != "AND":
            minus = len(piece) > 1 and piece.startswith("-")
            phrases = alternatives[-1][1 if minus or negated else 0]
            phrases.append(_phrase(piece[1:] if minus else piece))
            negated = False
    if negated:
        raise _wrong("NOT needs a word after it")
    if not alternatives[-1][0]:
        raise _wrong(
            "OR needs a word on both sides" if len(alternatives) > 1 else "there is no word to look for"
        )
    if sum(len(present) + len(absent) for present, absent in alternatives) > phrases_max:
        raise _wrong(f"there are over {phrases_max} words")
    return Query(tuple(Alternative(tuple(present), tuple(absent)) for present, absent in alternatives))


def _tokens(line: str) -> Iterator[str]:
    if len(line) > line_chars_max:
        raise UsageError(f"a search is at most {line_chars_max} characters long")
    if line.count('"') % 2:
        raise _wrong('a " is not closed')
    yield from _TOKEN.findall(line)


def _value(name: str, written: str) -> str:
    value = written.replace('"', "")
    if not value:
        raise UsageError(f"{name}: has no value", hint=_QUOTE_HINT)
    return value


def _phrase(piece: str) -> Phrase:
    bare = piece.replace('"', " ").strip()
    prefix = bare.endswith("*") and bare[-2:-1].isalnum()  # in `foo_*` the word before the star is whole
    words = normal(bare)
    if not words:
        raise UsageError(f"there is nothing to look for in {piece!r}", hint="letters and digits are searched")
    return Phrase(words, prefix)


def _wrong(problem: str) -> UsageError:
    return UsageError(problem, hint='words, "phrases", prefix*, OR, -without; see docs/search.md')
