"""The part of a text around what was looked for, and where in it that stands."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from query.answers import Snippet
from query.grammar import Phrase
from query.tokenize import normal

before_chars: Final = 60
snippet_chars: Final = 240
_RUN: Final = re.compile(r"\w+")
_SCRIPTED: Final = re.compile(
    r"[A-Za-z0-9]+|_+|[^A-Za-z0-9_]"
)  # a run with other letters, cut so that marks are exact


@dataclass(frozen=True, slots=True)
class _Word:
    word: str
    start: int
    end: int


def snippet_of(text: str, phrases: Sequence[Phrase]) -> Snippet:
    """The first place in a text where one of the phrases stands; its beginning if none is found again."""
    spans = _spans_in_ascii(text, phrases) if text.isascii() else _spans(text, phrases)
    start = max(0, spans[0][0] - before_chars) if spans else 0
    if start:
        gap = text.find(" ", start, spans[0][0])
        start = gap + 1 if gap != -1 else start
    return _cut(text, start, _joined(spans))


def _spans_in_ascii(text: str, phrases: Sequence[Phrase]) -> list[tuple[int, int]]:
    """Where phrases stand in the first place that has one: there `normal` is so simple that a regular expression does it."""
    patterns = [_pattern(phrase) for phrase in phrases]
    firsts = [match.start() for pattern in patterns if (match := pattern.search(text))]
    if not firsts:
        return []
    first = min(firsts)
    found = (pattern.finditer(text, first, first + snippet_chars) for pattern in patterns)
    return sorted(match.span() for matches in found for match in matches)


@lru_cache
def _pattern(phrase: Phrase) -> re.Pattern[str]:
    words = r"[^A-Za-z0-9]+".join(map(re.escape, phrase.words.split()))
    end = "[A-Za-z0-9]*" if phrase.prefix else ""
    return re.compile(rf"(?<![A-Za-z0-9]){words}{end}(?![A-Za-z0-9])", re.IGNORECASE | re.ASCII)


def _spans(text: str, phrases: Sequence[Phrase]) -> list[tuple[int, int]]:
    """The same for texts with other letters, word for word."""
    sought = [(phrase.words.split(), phrase.prefix) for phrase in phrases]
    spans: list[tuple[int, int]] = []
    seen: list[_Word] = []
    for word in _words(text):
        if spans and word.start > spans[0][0] + snippet_chars:
            break
        seen.append(word)
        spans.extend(_ending_here(seen, sought))
    return spans


def _ending_here(
    seen: Sequence[_Word], sought: Sequence[tuple[list[str], bool]]
) -> Iterator[tuple[int, int]]:
    for words, prefix in sought:
        last = seen[-len(words) :]
        if len(last) == len(words) and _same([one.word for one in last], words, prefix=prefix):
            yield last[0].start, last[-1].end


def _same(found: list[str], words: list[str], *, prefix: bool) -> bool:
    if prefix:
        return found[:-1] == words[:-1] and found[-1].startswith(words[-1])
    return found == words


def _words(text: str) -> Iterator[_Word]:
    """The words of a text with where they stand; near enough to `normal` for marking."""
    for run in _RUN.finditer(text):
        piece = run[0]
        if piece.isascii() or " " not in normal(piece):
            for part in re.finditer(r"[^_]+", piece):
                yield from _placed(part[0], run.start() + part.start(), run.start() + part.end())
        else:
            for part in _SCRIPTED.finditer(piece):
                yield from _placed(part[0], run.start() + part.start(), run.start() + part.end())


def _placed(piece: str, start: int, end: int) -> Iterator[_Word]:
    for word in normal(piece).split():
        yield _Word(word, start, end)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _cut(text: str, start: int, spans: Sequence[tuple[int, int]]) -> Snippet:
    end = min(len(text), start + snippet_chars)
    before, after = "…" if start else "", "…" if end < len(text) else ""
    line = re.sub(r"\s", " ", text[start:end])  # one for one: the marks stay where they are
    shift = len(before) - start
    marks = tuple((max(a, start) + shift, min(b, end) + shift) for a, b in spans if a < end and b > start)
    return Snippet(before + line + after, marks)
