"""`tapes sessions`."""

from dataclasses import asdict

from query.facts import choose, totals_of
from query.filter import SessionFilter
from query.moments import Clock
from query.sessions import SessionList, totals
from query.source import Source
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.commands.filters import FilterFlags, no_filters
from tapes.commands.names import names_of
from tapes.render.session_list import counted, piped_list, terminal_list, totals_line


def sessions(*, filters: FilterFlags = no_filters, flags: Flags = no_flags) -> int:
    """List sessions, your own and the team's; in a pipe, one per line with its id first."""
    chosen, clock = filters.chosen(), filters.clock()
    run = begin(flags)
    with Desk(run) as desk:
        found, names = listed_sessions(desk.source(), chosen, clock)
    if flags.json:
        run.out.answer("sessions", asdict(found))
    elif not found.sessions:
        nothing = chosen == SessionFilter()
        run.out.say(
            "No sessions yet. Next: tapes import claude" if nothing else "No session passes the filter."
        )
    elif run.out.stdout.is_terminal:
        run.out.show(*terminal_list(found, names, run.out.stdout.width))
    else:
        run.out.lines(piped_list(found.sessions, names))
        run.out.say(f"{counted(len(found.sessions))} · {totals_line(found.totals)}")
    if chosen.since or chosen.until or chosen.date:
        run.out.say(f"times in {clock.stated}")
    return 0


def listed_sessions(
    source: Source, chosen: SessionFilter, clock: Clock
) -> tuple[SessionList, dict[str, str]]:
    """The sessions that pass, and what all of them used; names are those of members by id."""
    names = names_of(source.client)
    passing = choose(source, chosen, clock, names)
    used = totals(source) if chosen == SessionFilter() else totals_of(source, passing)
    return SessionList(passing.facts, used), names
