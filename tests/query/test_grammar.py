"""The one line: filters and words apart, operators where they belong, slips answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import UsageError
from query.grammar import Alternative, Phrase, Query, parse_line, parse_words
from query.index import match_of


def test_a_line_is_filters_and_words() -> None:
    """The line of the documentation, field by field."""
    chosen = parse_line(
        'project:x model:*sonnet* cost:>0.5 since:7d status:error tool:Bash "exact phrase" -word OR retr*'
    )

    assert chosen.model_dump(exclude_defaults=True) == {
        "text": '"exact phrase" -word OR retr*',
        "project": ("x",),
        "model": ("*sonnet*",),
        "cost": (">0.5",),
        "since": "7d",
        "status": ("failed",),
        "tool": ("Bash",),
    }


def test_words_are_alternatives_of_phrases() -> None:
    """OR is weaker than standing together; - and NOT hold for one word or phrase."""
    assert parse_words('a AND "b c" NOT d OR -"e f" g_h*') == Query(
        (
            Alternative((Phrase("a"), Phrase("b c")), (Phrase("d"),)),
            Alternative((Phrase("g h", prefix=True),), (Phrase("e f"),)),
        )
    )


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("snake_case", "snake case"),
        ("a/b.py:12", "a b py 12"),
        ("Foo::bar", "foo bar"),
        ("https://x.y/z", "https x y z"),
        ('"error: x"', "error x"),
        ("Ärger", "arger"),
        ("東京", "東 京"),
    ],
)
def test_code_and_any_script_are_words_not_filters(written: str, words: str) -> None:
    """What people paste is looked for as it stands."""
    chosen = parse_line(written)

    assert chosen.text == written
    assert parse_words(written).sought == (Phrase(words),)


@pytest.mark.parametrize(
    "line",
    [
        "prjoect:x",
        "-project:x",
        "project:",
        "a OR",
        "OR a",
        "NOT",
        "a NOT OR b",
        "-a",
        '"a',
        "...",
        "x" * 5000,
    ],
)
def test_what_cannot_be_meant_is_refused(line: str) -> None:
    """An error with what to do, never a search for something else."""
    with pytest.raises(UsageError) as refused:
        parse_line(line)

    assert refused.value.message


def test_a_value_may_be_quoted() -> None:
    """Projects have spaces in their names."""
    assert parse_line('project:"my thing" x').project == ("my thing",)


def test_words_beside_a_text_field_are_refused() -> None:
    """Which of the two were meant is not guessed."""
    with pytest.raises(UsageError, match="text:"):
        parse_line("text:a b")


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused(line: str) -> None:
    """No input raises anything but a usage error, and no phrase carries a sign that FTS5 could take as its own."""
    try:
        chosen = parse_line(line)
        query = parse_words(chosen.text) if chosen.text is not None else None
    except UsageError:
        return

    for phrase in query.sought if query else ():
        assert all(char == " " or not char.isascii() or char.isalnum() for char in phrase.words)
        assert f'"{phrase.words}"' in match_of(Query((Alternative((phrase,)),)))
