"""Fuzzy matching of what somebody types against a label: its letters in order, the closer together the better."""

from collections.abc import Sequence


def fuzzy_score(words: Sequence[str], label: str) -> int | None:
    """How well all words stand in a label, case apart: 0 is best, None: some word's letters are not in it in that order."""
    folded = label.casefold()
    gaps = [_gap(word.casefold(), folded) for word in words]
    return None if None in gaps else sum(gap for gap in gaps if gap is not None)


def _gap(word: str, label: str) -> int | None:
    """The fewest foreign letters inside a stretch of the label that has the word's letters in order."""
    best: int | None = None
    start = label.find(word[:1])
    while word and start != -1:
        end = _end(word, label, start)
        if end is None:
            break  # the letters do not follow from here, so from nowhere further on
        gap = end - start - len(word)
        best = gap if best is None else min(best, gap)
        start = label.find(word[0], start + 1)
    return best


def _end(word: str, label: str, start: int) -> int | None:
    for char in word:
        found = label.find(char, start)
        if found == -1:
            return None
        start = found + 1
    return start
