"""Work at a desk, begun once more where the kept catalog turns out to be damaged while it is read."""

from collections.abc import Callable
from typing import TypeVar

from query.sealed_sections import SectionsBroken
from tapes.commands.context import Run
from tapes.commands.desk import Desk

_T = TypeVar("_T")


def at_desk(run: Run, work: Callable[[Desk], _T]) -> _T:
    """What the work gives. Damage is said; the file is gone by then, so the second time does without it.

    Nothing that cannot be taken back may leave before all that the work reads of the catalog was read.
    """
    try:
        with Desk(run) as desk:
            return work(desk)
    except SectionsBroken as broken:
        say_damaged(run, broken)
    with Desk(run) as desk:
        return work(desk)


def say_damaged(run: Run, broken: SectionsBroken) -> None:
    """A word about the file that was of no use."""
    run.out.warn(f"{broken.message}; it is made anew")
