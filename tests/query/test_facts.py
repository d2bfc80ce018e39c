"""Facts of sessions: status case by case, durations and counts against a plain walk."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.answers import SessionFacts
from query.facts import choose, totals_of
from query.filter import SessionFilter, filter_of
from query.moments import rfc3339
from query.sessions import totals
from query.source import open_source
from store.eras import make_node
from store.local import LocalStore
from store.nodes import Node
from tests.query.made_rows import Commit, Said, name, source_of
from tests.query.searching import CLOCK

ERROR = {"type": "tool_result", "tool_result_id": "t", "tool_output": "no", "is_error": True}
FINE = {"type": "tool_result", "tool_result_id": "t", "tool_output": "yes"}
COMMIT = {
    "type": "tool_use",
    "tool_use_id": "t",
    "tool_name": "Bash",
    "tool_input": {"command": "git --no-pager commit -m y"},
}
READ = {"type": "tool_use", "tool_use_id": "t", "tool_name": "Read", "tool_input": {"path": "git commit"}}
WORDS = {"type": "text", "text": "words"}
Step = tuple[str, dict[str, Any], str | None]  # role, block, stop reason


def path_of(steps: list[Step], minutes: list[int | None] | None = None) -> list[Node]:
    """Nodes on one path."""
    path: list[Node] = []
    for number, (role, block, stop_reason) in enumerate(steps):
        minute = minutes[number] if minutes is not None else number
        bucket = {"type": "message", "role": role, "content": [block], "model": "m", "provider": "p"}
        when = None if minute is None else f"2026-02-14T{minute // 60:02d}:{minute % 60:02d}:00.000000Z"
        parent = path[-1].hash if path else None
        path.append(make_node(bucket, parent, stop_reason=stop_reason, created_at=when))
    return path


def facts(folder: Path, nodes: list[Node]) -> SessionFacts:
    """The one session of these nodes."""
    with LocalStore.open(folder / "tapes.db") as local:
        local.add(nodes)
        with open_source(local, None) as source:
            [one] = choose(source, SessionFilter(), CLOCK, {}).facts
            return one


ASKED: Step = ("user", WORDS, None)


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([ASKED, ("assistant", WORDS, "end_turn")], "completed"),
        ([ASKED, ("assistant", WORDS, "END_TURN ")], "completed"),
        ([ASKED, ("assistant", WORDS, "stop")], "completed"),
        ([ASKED, ("assistant", WORDS, "eos")], "completed"),
        ([ASKED, ("assistant", WORDS, "max_tokens")], "failed"),
        ([ASKED, ("assistant", WORDS, "length")], "failed"),
        ([ASKED, ("assistant", WORDS, "content_filter")], "failed"),
        ([ASKED, ("assistant", WORDS, "api_error_529")], "failed"),
        ([ASKED, ("assistant", READ, "tool_use")], "failed"),
        ([ASKED, ("assistant", WORDS, None)], "unknown"),
        ([ASKED, ("assistant", WORDS, "pause")], "unknown"),
        ([ASKED], "abandoned"),
        ([ASKED, ("assistant", READ, "tool_use"), ("user", FINE, None)], "abandoned"),
        ([ASKED, ("assistant", COMMIT, "tool_use"), ("user", FINE, None)], "completed"),
        (
            [
                ASKED,
                ("assistant", COMMIT, "tool_use"),
                ("user", ERROR, None),
                ("assistant", WORDS, "end_turn"),
            ],
            "failed",
        ),
        ([ASKED, ("assistant", READ, "tool_use"), ("user", ERROR, None)], "failed"),
    ],
)
def test_status_follows_the_rules_in_their_order(tmp_path: Path, steps: list[Step], status: str) -> None:
    """Each rule of docs/search.md, and which of two wins."""
    assert facts(tmp_path, path_of(steps)).status == status


def test_calls_failures_and_git_are_counted(tmp_path: Path) -> None:
    """Calls and failed results over the whole path; git only where a shell command says it."""
    read = facts(tmp_path, path_of([ASKED, ("assistant", READ, "tool_use"), ("user", ERROR, None)]))

    assert (read.tool_calls, read.tool_failures, read.git_activity) == (1, 1, False)
    assert read.providers == ("p",)


@settings(max_examples=30)
@given(st.lists(st.none() | st.integers(0, 40), min_size=1, max_size=8))
def test_durations_are_what_a_walk_says(
    tmp_path_factory: pytest.TempPathFactory, minutes: list[int | None]
) -> None:
    """Pauses of up to five minutes are activity; longer ones, steps back and missing times are not."""
    steps: list[Step] = [("user", {"type": "text", "text": str(n)}, None) for n in range(len(minutes))]
    one = facts(tmp_path_factory.mktemp("walk"), path_of(steps, minutes))
    known = [minute for minute in minutes if minute is not None]
    gaps = [b - a for a, b in pairwise(minutes) if a is not None and b is not None]

    assert one.active_seconds == 60 * sum(gap for gap in gaps if 0 <= gap <= 5)
    assert one.duration_seconds == (60 * (max(known) - min(known)) if known else None)


def test_totals_of_some_sessions_count_shared_turns_once() -> None:
    """Two forks of one conversation share a root: what both used is the root once, and all sessions use what all nodes do."""
    rows = [
        Said("root", used=(1, 0, 0, 0), project="x"),
        Said("a", parent="root", used=(10, 0, 0, 0)),
        Said("b", parent="root", used=(100, 0, 0, 0)),
        Said("other", used=(1000, 0, 0, 0), project="y"),
    ]
    with source_of([Commit(tuple(rows))]) as source:
        some = totals_of(source, choose(source, filter_of({"project": "x"}), CLOCK, {}))
        everything = totals_of(source, choose(source, SessionFilter(), CLOCK, {}))
        whole = totals(source)

    assert (some.nodes, some.tokens.total) == (3, 111)
    assert everything == whole


def test_times_outside_the_calendar_are_no_times() -> None:
    """A row may claim any number; showing it must not end the list."""
    assert rfc3339(2**62) is None
    assert rfc3339(None) is None
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"


def test_rows_with_absurd_times_are_listed_and_filtered() -> None:
    """Times a million years apart neither overflow a sum nor pass a filter by accident."""
    far = 2**62 // 60_000_000
    rows = [Said("a", minute=-far), Said("b", parent="a", minute=far)]
    with source_of([Commit(tuple(rows))]) as source:
        [one] = choose(source, SessionFilter(), CLOCK, {}).facts
        within = choose(source, filter_of({"duration": "<1h"}), CLOCK, {}).facts

    assert (one.id, one.started_at, one.active_seconds) == (name("b"), None, 0)
    assert within == ()
