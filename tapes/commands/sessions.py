"""`tapes sessions`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from cyclopts import Parameter, validators

from query.answers import Asked, Listed, unlimited
from tapes.commands.context import Flags, Run, begin, no_flags, nothing_yet
from tapes.commands.filters import FilterFlags, no_filters
from tapes.render.session_list import piped_list, shown_of, terminal_list, totals_line, untitled_line


def sessions(
    *,
    sort: Annotated[
        Literal["date", "cost", "duration", "tokens"], Parameter(help="What comes first.")
    ] = "date",
    limit: Annotated[
        int | None,
        Parameter(help="The first so many; else all.", validator=validators.Number(gte=1)),
    ] = None,
    filters: FilterFlags = no_filters,
    flags: Flags = no_flags,
) -> int:
    """List sessions, your own and the team's; in a pipe, one per line with its id first."""
    chosen, clock = filters.chosen(), filters.clock()
    run = begin(flags)
    asked = Asked(chosen, clock, {}, sort, limit or unlimited)
    found, names = _resident(run, asked) or _here(run, asked)
    if flags.json:
        run.out.answer("sessions", _fields(found))
    elif not found.sessions:
        nothing = chosen.means_all
        run.out.say(nothing_yet(run) if nothing else "No session passes the filter.")
    elif run.out.stdout.is_terminal:
        run.out.show(*terminal_list(found, names, run.out.stdout.width, clock.zone))
    else:
        run.out.lines(piped_list(found, names, clock.zone))
        run.out.say(f"{shown_of(len(found.sessions), found.passing)} · {totals_line(found.totals)}")
    if found.untitled and not flags.json:
        kept = run.config.text("storage.provider") != "cloud"
        run.out.say(untitled_line(found.untitled, kept=kept))
    if chosen.timed or clock.zone is not None:
        run.out.say(f"times in {clock.stated}")
    return 0


def _resident(run: Run, asked: Asked) -> tuple[Listed, Mapping[str, str]] | None:
    """The list of the resident process, if there is one."""
    from tapes.answering.asking import ask, clock_fields  # noqa: PLC0415 - as in commands/filters.py
    from tapes.answering.protocol import Question  # noqa: PLC0415 - as above

    filtered = asked.chosen.model_dump(exclude_defaults=True)
    question = Question(
        about="sessions", chosen=filtered, order=asked.order, limit=asked.limit, **clock_fields(asked.clock)
    )
    found = ask(run.home.answering, question, Listed)
    return None if found is None else (found[0], found[1].names)


def _here(run: Run, asked: Asked) -> tuple[Listed, Mapping[str, str]]:
    from tapes.answering.here import listed_here  # noqa: PLC0415 - loads what an answered command does without

    return listed_here(run, asked)


def _fields(found: Listed) -> dict[str, Any]:
    titled = zip(found.sessions, found.titles, strict=True)
    return {
        "sessions": [{**asdict(session), "title": title} for session, title in titled],
        "totals": asdict(found.totals),
    }
