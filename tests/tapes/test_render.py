"""What is shown: nothing drives the terminal, nothing is hidden, everything fits."""

import io
import re
import unicodedata
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from query.answers import Listed, SessionFacts, Tokens, Totals
from store.eras import make_node
from store.nodes import Cost, Node, Usage
from tapes.render import figures
from tapes.render.blocks import ALL, Folding
from tapes.render.edits import command_output, diff_lines
from tapes.render.plain_blocks import Piece, pieces_of
from tapes.render.safe import safe, safe_line
from tapes.render.session_list import terminal_list
from tapes.render.tables import Column, plain_lines, terminal_table
from tapes.render.transcript import render_transcript

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _printed(nodes: list[Node], folding: Folding = ALL, *, terminal: bool = True, width: int = 80) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        force_terminal=terminal,
        color_system=None,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for part in render_transcript("ab" * 32, nodes, folding):
        console.print(part, soft_wrap=not terminal)
    return file.getvalue()


def _node(content: Any, **metadata: Any) -> Node:
    bucket = {"type": "message", "role": "assistant", "content": content, "model": "m", "provider": "p"}
    return make_node(bucket, None, **metadata)


@given(text=st.text(st.characters(), max_size=200))
def test_no_control_character_survives(text: str) -> None:
    """Of all of Unicode only newline and tab steer; the rest is visible, encodable and left as it was."""
    shown = safe(text)

    steering = [char for char in shown if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t"]
    assert steering == []
    assert not set("\u202a\u202e\u2066\u2069\u200f\u061c") & set(shown)
    shown.encode()
    assert "\n" not in safe_line(text)


def test_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    """Clearing the screen, setting the title, 8-bit CSI, overwriting with backspace or a bare return: all visible."""
    assert "a␛[2J" == safe("a\x1b[2J")
    assert "␛]0;title␇" == safe("\x1b]0;title\x07")
    assert "<U+009B>31m" == safe("\x9b31m")
    assert "rm␈␈ls" == safe("rm\b\bls")
    assert "one\ntwo" == safe("one\rtwo")
    assert "user<U+202E>" == safe("user\u202e")


@given(content=anything, terminal=st.booleans(), width=st.integers(20, 120))
def test_any_stored_content_can_be_shown(content: Any, terminal: bool, width: int) -> None:  # noqa: FBT001 - a property's input
    """A transcript of a hostile or foreign bucket never fails and never carries a control character out."""
    node = Node("0" * 64, None, None, {"type": 3, "role": content, "content": content, "model": content})

    shown = _printed([node], terminal=terminal, width=width)

    assert "UNVERIFIED" in shown.replace("\n", "")
    assert not [char for char in shown if unicodedata.category(char) in {"Cc", "Cs"} and char != "\n"]


def test_a_turn_says_who_when_with_what_and_for_how_much() -> None:
    """Model, tokens, cost and the odd stop reason stand in the turn's line; the tool's input and error below it."""
    node = _node(
        [
            {"type": "thinking", "text": "hm"},
            {"type": "tool_use", "tool_name": "Bash", "tool_input": {"command": "ls -l"}},
            {"type": "tool_result", "tool_output": "no such file", "is_error": True},
        ],
        usage=Usage(input_uncached=10, cache_read=90, output=20),
        cost=Cost(12_345, "computed"),
        stop_reason="max_tokens",
        created_at="2026-02-14T09:30:00.000000Z",
    )

    shown = _printed([node], terminal=False)

    for expected in (
        "assistant",
        " · m · ",
        "100 in, 20 out",
        "$0.01",
        "stopped: max_tokens",
        node.hash[:12],
    ):
        assert expected in shown
    assert "thinking: hm" in shown
    assert "▸ Bash  ls -l" in shown
    assert "✗ error: no such file" in shown
    assert "UNVERIFIED" not in shown


@pytest.mark.parametrize(
    "fields",
    [
        {
            "file_path": "a.py",
            "old_string": "one\ntwo\nthree",
            "new_string": "one\n2\nthree",
            "replace_all": True,
        },
        {
            "filePath": "a.py",
            "oldString": "one\ntwo\nthree",
            "newString": "one\n2\nthree",
            "replace_all": True,
        },
        {
            "path": "a.py",
            "edits": [{"old_string": "one\ntwo\nthree", "new_string": "one\n2\nthree"}],
            "replace_all": True,
        },
    ],
)
def test_an_edit_is_shown_as_a_diff(fields: dict[str, Any]) -> None:
    """Claude's, Gemini's and opencode's edits alike: what goes, what comes, what stays; other fields as they are."""
    shown = _printed([_node([{"type": "tool_use", "tool_name": "Edit", "tool_input": fields}])])

    assert "\n      one\n    - two\n    + 2\n      three\n" in shown
    assert "replace_all: true" in shown
    assert "a.py" in shown
    assert "string" not in shown.lower()


def test_documents_show_an_edit_as_the_terminal_does() -> None:
    """Markdown and HTML pieces: other fields by name, several lines set in, and the diff that `show` has."""
    told = {
        "file_path": "a.py",
        "why": "so\nfile_path: b.py",
        "old_string": "one\ntwo",
        "new_string": "one\n2",
    }
    block = {"type": "tool_use", "tool_name": "Edit", "tool_input": told}
    about, change = pieces_of(_node([block]))

    assert about == Piece("call", "Edit", "file_path: a.py\nwhy:\n  so\n  file_path: b.py")
    assert change == Piece("call", "Edit", "  one\n- two\n+ 2", is_diff=True)
    assert all(line in _printed([_node([block])]) for line in change.text.split("\n"))


_texts = st.text(st.sampled_from("ab\n"), max_size=30)


@given(old=_texts, new=_texts)
def test_a_diff_holds_both_texts(old: str, new: str) -> None:
    """Without what comes it is the old text, without what goes the new one: no line of either is lost."""
    lines = list(diff_lines(old, new))

    assert "\n".join(line[2:] for line in lines if line[0] != "+") == old
    assert "\n".join(line[2:] for line in lines if line[0] != "-") == new


def test_a_command_s_output_comes_out_of_its_json() -> None:
    """Codex's results read as the command said them, with the code it failed with; other JSON stays whole."""
    kept = '{"output": "Fähre\\n1", "metadata": {"exit_code": 2, "duration_seconds": 0.1}}'
    assert command_output('{"output": "x", "metadata": {"exit_code": null}}') == "x"
    assert command_output(kept) == "exit code 2\nFähre\n1"
    for other in (
        '{"output": "x", "more": 1}',
        '{"output": 1}',
        "{",
        '{"output": "x", "metadata": {"y": 1}}',
    ):
        assert command_output(other) == other


def test_long_results_are_folded_and_say_how_much_is_left_out() -> None:
    """Folded by lines and by characters; `--full` shows every line."""
    long = _node([{"type": "tool_result", "tool_output": "\n".join(f"line {n}" for n in range(100))}])
    wide = _node([{"type": "tool_result", "tool_output": "x" * 5000}])

    assert "… 88 more lines" in _printed([long], Folding())
    assert "line 99" in _printed([long], ALL)
    assert "… 3000 more characters" in _printed([wide], Folding(), terminal=False)


def test_what_people_said_is_never_folded() -> None:
    """Text of a turn is shown whole, however long."""
    said = "\n".join(f"sentence {n}" for n in range(200))

    assert "sentence 199" in _printed([_node([{"type": "text", "text": said}])], Folding())


def test_lines_stay_whole_in_a_pipe_and_wrap_at_a_terminal() -> None:
    """So that a search in piped output finds what spans eighty columns, and a screen shows no broken words."""
    said = " ".join(["word"] * 60)
    node = _node([{"type": "text", "text": said}])

    assert f"  {said}\n" in _printed([node], terminal=False)
    assert max(map(len, _printed([node], width=60).splitlines())) <= 60


_COLUMNS = (
    Column("id"),
    Column("project", flexible=True),
    Column("models", flexible=True, drop=2),
    Column("n", drop=1),
)
_cells = st.text(st.characters(max_codepoint=0x17F) | st.sampled_from("漢字仮名"), min_size=1, max_size=40)


@given(
    rows=st.lists(st.tuples(st.just("a" * 12), _cells, _cells, _cells), max_size=4),
    width=st.integers(50, 120),
)
@example(rows=[("a" * 12, "0" * 18 + "\x80" * 2, "0" * 20 + "\x80" * 4, "0")], width=57)
def test_a_table_fits_its_terminal(rows: list[tuple[str, ...]], width: int) -> None:
    """No line is wider than the terminal, and the id is always there in full."""
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=False).print(terminal_table(_COLUMNS, rows, width))

    lines = file.getvalue().splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert len(rows) == sum("a" * 12 in line for line in lines)


@pytest.mark.parametrize(
    "title", ["The beam flickers on CI / fix it", "灯台の光線が揺れる件について", "🎉🎉🎉 ship it 🚀"]
)
@pytest.mark.parametrize("width", [60, 76, 80, 100, 160])
def test_the_session_list_cuts_no_figure(width: int, title: str) -> None:
    """On eighty columns project and title are cut with an ellipsis; a cost and who can read it are there in full."""
    session = SessionFacts(
        id="a" * 64,
        conversation="b" * 64,
        project="kochbuch (Bäckerei)",
        agent="codex",
        models=("gpt-5.1-codex-mini", "some-local-model"),
        member=None,
        started_at="2026-02-14T09:31:37Z",
        ended_at="2026-02-14T10:10:39Z",
        turns=9,
        tokens=Tokens(29_044, 79_090, 14_315, 5_910),
        cost_usd_micro=1_342,
        unpriced_turns=3,
        space="team",
        synced=True,
        withheld_turns=0,
        status="completed",
        providers=("openai",),
        duration_seconds=60,
        active_seconds=60,
        tool_calls=0,
        tool_failures=0,
        git_activity=False,
    )
    totals = Totals(1, session.tokens, 1300, 3)
    file = io.StringIO()
    Console(file=file, width=width).print(
        *terminal_list(Listed((session,), (title,), totals, 1, 0), {}, width)
    )
    row = next(line for line in file.getvalue().splitlines() if line.startswith("a" * 12))

    assert "$0.0013 + 3 unpriced" in row
    assert "  team  " in row
    assert title[:6] in row
    assert cell_len(row.rstrip()) <= width


@given(rows=st.lists(st.tuples(st.text("aß9漢", min_size=1), _cells, _cells, _cells), max_size=4))
def test_piped_lines_begin_with_the_id_and_are_one_per_row(rows: list[tuple[str, ...]]) -> None:
    """`tapes sessions | while read id rest` works whatever the other cells hold."""
    lines = list(plain_lines(_COLUMNS, rows))

    assert [row[0] for row in rows] == [line.split(" ")[0] for line in lines]


def test_piped_cells_stand_below_each_other_in_any_script() -> None:
    """A Chinese character takes two places on a screen, and a pipe's lines are looked at too."""
    first, second = plain_lines(_COLUMNS, [("1", "灯台", "x", "9"), ("2", "lamp", "x", "9")])

    assert first.index("x") + 2 == second.index("x")
    assert cell_len(first) == cell_len(second)


def test_a_transcript_says_which_time_it_is() -> None:
    """The beginning is shown with the offset of that day, so that what is pasted elsewhere stays true."""
    shown = figures.stated_moment("2026-02-14T09:30:00Z")

    assert re.fullmatch(r"2026-02-1\d \d\d:\d\d[+-]\d\d:\d\d", shown)
    assert datetime.fromisoformat(shown) == datetime.fromisoformat("2026-02-14T09:30:00+00:00")
    assert figures.stated_moment("no time") == "-"


def test_one_is_not_many() -> None:
    """`1 turn`, `2 turns`, and plurals that an s does not make."""
    assert [figures.several(n, "turn") for n in (0, 1, 2)] == ["0 turns", "1 turn", "2 turns"]
    assert [figures.several(n, "push", "pushes") for n in (1, 12_345)] == ["1 push", "12.3k pushes"]


@pytest.mark.parametrize(
    ("usd_micro", "unpriced", "shown"),
    [
        (0, 0, "$0.00"),
        (586, 0, "$0.0006"),
        (1_234_567_890, 0, "$1,234.57"),
        (0, 2, "unpriced"),
        (500_000, 2, "$0.50 + 2 unpriced"),
        (None, 1, "unpriced"),
        (None, 0, "-"),
    ],
)
def test_an_unknown_price_is_never_zero_dollars(usd_micro: int | None, unpriced: int, shown: str) -> None:
    """Money says what it leaves out."""
    assert shown == figures.money(usd_micro, unpriced)


def test_numbers_and_times_as_people_read_them() -> None:
    """Counts, sizes and spans keep their magnitude; what is no time is a dash."""
    assert ["9999", "10.0k", "1.2M"] == [figures.count(n) for n in (9_999, 10_000, 1_234_567)]
    assert ["999 B", "1.5 KiB", "2.0 GiB"] == [figures.size(n) for n in (999, 1536, 2**31)]
    start = "2026-02-14T09:30:00Z"
    ends = ("2026-02-14T09:30:45Z", "2026-02-14T09:42:00Z", "2026-02-14T12:35:00Z", "2026-02-16T13:30:00Z")
    assert ["45s", "12m", "3h05m", "2d4h"] == [figures.duration(start, end) for end in ends]
    assert "-" == figures.duration(start, "yesterday") == figures.moment(None)
