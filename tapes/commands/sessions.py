"""`tapes sessions`."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated

from cyclopts import Parameter, validators

from query.answers import Listed, SessionList
from query.filter import SessionFilter
from query.moments import Clock
from tapes.answering.asking import ask, clock_fields
from tapes.answering.protocol import Question
from tapes.commands.context import Flags, Run, begin, no_flags, nothing_yet
from tapes.commands.filters import FilterFlags, no_filters
from tapes.render.session_list import piped_list, shown_of, terminal_list, totals_line


def sessions(
    *,
    limit: Annotated[
        int | None,
        Parameter(help="The newest so many; else all.", validator=validators.Number(gte=1)),
    ] = None,
    filters: FilterFlags = no_filters,
    flags: Flags = no_flags,
) -> int:
    """List sessions, your own and the team's; in a pipe, one per line with its id first."""
    chosen, clock = filters.chosen(), filters.clock()
    run = begin(flags)
    found, names = _resident(run, chosen, clock) or _here(run, chosen, clock)
    passing, found = len(found.sessions), replace(found, sessions=found.sessions[:limit])
    if flags.json:
        run.out.answer("sessions", asdict(found))
    elif not found.sessions:
        nothing = chosen == SessionFilter()
        run.out.say(nothing_yet(run) if nothing else "No session passes the filter.")
    elif run.out.stdout.is_terminal:
        run.out.show(*terminal_list(found, names, run.out.stdout.width, clock.zone, passing))
    else:
        run.out.lines(piped_list(found.sessions, names, clock.zone))
        run.out.say(f"{shown_of(len(found.sessions), passing)} · {totals_line(found.totals)}")
    if chosen.timed or clock.zone is not None:
        run.out.say(f"times in {clock.stated}")
    return 0


def _resident(run: Run, chosen: SessionFilter, clock: Clock) -> tuple[SessionList, Mapping[str, str]] | None:
    """The list of the resident process, if there is one."""
    filtered = chosen.model_dump(exclude_defaults=True)
    question = Question(about="sessions", chosen=filtered, **clock_fields(clock))
    found = ask(run.home.answering, question, Listed)
    return None if found is None else (SessionList(found[0].sessions, found[0].totals), found[1].names)


def _here(run: Run, chosen: SessionFilter, clock: Clock) -> tuple[SessionList, Mapping[str, str]]:
    from tapes.answering.here import listed_here  # noqa: PLC0415 - loads what an answered command does without

    return listed_here(run, chosen, clock)
