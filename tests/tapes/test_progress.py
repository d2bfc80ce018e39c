"""How long work goes on, told on stderr: lines with an estimate where no terminal is."""

import io

import pytest
from rich.console import Console

from tapes.progress import _lines
from tapes.render.output import Output


def _told(steps: list[tuple[float, str, int, int]]) -> list[str]:
    """The lines for (time, what, done, total)."""
    at = [0.0]
    err = io.StringIO()
    tell = _lines(
        Output(Console(file=io.StringIO()), Console(file=err, width=200), json=False), lambda: at[0]
    )
    for now, *told in steps:
        at[0] = now
        tell(*told)  # type: ignore[arg-type]
    return err.getvalue().splitlines()


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ([(0, "pushing", 0, 400), (20, "pushing", 100, 400)], ["pushing: 100 of 400, about 1m00s left"]),
        ([(0, "pushing", 300, 400), (20, "pushing", 350, 400)], ["pushing: 350 of 400, about 20s left"]),
        (
            [(0, "pushing", 0, 10**6), (20, "pushing", 1000, 10**6)],
            ["pushing: 1000 of 1000000, about 5h33m left"],
        ),
        ([(0, "pushing", 0, 400), (20, "pushing", 0, 400)], ["pushing: 0 of 400"]),
        ([(0, "pushing", 0, 400), (20, "pushing", 400, 400)], ["pushing: 400 of 400"]),
        ([(0, "reading", 7, 0), (20, "reading", 9, 0)], ["reading: 9"]),
        (
            [
                (0, "importing a", 0, 9 << 20),
                (10, "importing b", 3 << 20, 9 << 20),
                (20, "importing c", 6 << 20, 9 << 20),
            ],
            ["importing c: 66 %, about 10s left"],
        ),
        (
            [(0, "reading", 9, 9), (100, "pushing", 0, 4), (120, "pushing", 1, 4)],
            ["pushing: 0 of 4", "pushing: 1 of 4, about 1m00s left"],
        ),
    ],
)
def test_lines_tell_how_much_is_left(steps: list[tuple[float, str, int, int]], lines: list[str]) -> None:
    """At the pace of the step in hand, not of one before it; no estimate without a pace or a total."""
    assert lines == _told(steps)
