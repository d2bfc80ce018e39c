"""Random histories of a team against the model of tests/sync/team_machine.py, team_keys.py and team_content.py."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.worlds import impatient
from tests.sync.team_content import TeamWithContent


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        TeamWithContent,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_history_leaves_one_log_and_everybody_their_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random histories of members, faults, crashes, races and junk agree with the model of sets after every step."""
    impatient(monkeypatch.setitem)
    run(examples=15, steps=30)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_long_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, for minutes."""
    impatient(monkeypatch.setitem)
    run(examples=300, steps=60)
