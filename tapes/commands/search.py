"""`tapes search`."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from cyclopts import Parameter

from crypto.errors import UsageError
from query.answers import Answer, Asked, Order, Scope, ranked_max
from tapes.commands.context import Flags, Run, begin, no_flags, nothing_yet
from tapes.commands.filters import FilterFlags, no_filters
from tapes.render.search_results import (
    answer_line,
    piped_results,
    terminal_results,
    unread_lines,
    withheld_line,
)

limit_max = 1000
limit_default = 20
listed_default = 100  # in the finder, where more are scrolled through


def search(
    *words: Annotated[str, Parameter(help='Words, "phrases", prefix*, OR, NOT, and filters as project:x.')],
    sort: Annotated[Order, Parameter(help="What comes first.")] = "date",
    limit: Annotated[
        int | None, Parameter(help=f"Sessions at most, up to {limit_max}; else {limit_default}.")
    ] = None,
    scope: Annotated[
        Scope, Parameter(help="session, or turn: each turn by itself; tool: only tool calls and results.")
    ] = "session",
    interactive: Annotated[
        bool, Parameter(name=["--interactive", "-i"], help="Choose on the screen; prints the ids.")
    ] = False,
    scan: Annotated[bool, Parameter(help="Read all texts instead of asking the index.")] = False,
    filters: FilterFlags = no_filters,
    flags: Flags = no_flags,
) -> int:
    """Find sessions by what was said in them; in a pipe, one per line with its id first."""
    if limit is not None and not 1 <= limit <= limit_max:
        raise UsageError(f"--limit is 1 to {limit_max}")
    if interactive:
        if scope != "session":
            raise UsageError("-i lists sessions", hint="leave --scope out")
        return _interactive(" ".join(words), sort, limit, filters, flags, scan=scan)
    chosen, clock = filters.chosen(" ".join(words)), filters.clock()
    if chosen.means_all:
        raise UsageError(
            "there is nothing to search for",
            hint="give words or filters; `tapes sessions --sort cost` lists all",
        )
    run = begin(flags)
    asked = Asked(chosen, clock, {}, sort, limit or limit_default, scope)
    answer, asked, unread = (None if scan else _resident(run, asked)) or _here(run, asked, scan=scan)
    # Without an index every match is ranked.
    indexed = not scan and run.home.identity.exists()
    ranked_newest = ranked_max if sort == "relevance" and indexed and chosen.text is not None else None
    if flags.json:
        run.out.answer("search", _fields(asked, answer, unread, ranked_newest))
        return 0
    if run.out.stdout.is_terminal:
        run.out.show(*terminal_results(answer, asked))
    else:
        run.out.lines(piped_results(answer, asked))
    run.out.say(answer_line(answer, asked, ranked_newest) if answer.known else nothing_yet(run))
    if answer.withheld:
        run.out.say(withheld_line(answer))
    return 0


def _resident(run: Run, asked: Asked) -> tuple[Answer, Asked, list[str]] | None:
    """The answer of the resident process, if there is one."""
    from tapes.answering.asking import ask, clock_fields  # noqa: PLC0415 - as in commands/filters.py
    from tapes.answering.protocol import Question  # noqa: PLC0415 - as above

    question = Question(
        about="search",
        chosen=asked.chosen.model_dump(exclude_defaults=True),
        order=asked.order,
        limit=asked.limit,
        scope=asked.scope,
        **clock_fields(asked.clock),
    )
    found = ask(run.home.answering, question, Answer)
    if found is None:
        return None
    answer, reply = found
    for line in unread_lines(reply.unread.values()):
        run.out.warn(line)
    return answer, replace(asked, names=reply.names), sorted(reply.unread)


def _here(run: Run, asked: Asked, *, scan: bool) -> tuple[Answer, Asked, list[str]]:
    from tapes.answering.here import searched_here  # noqa: PLC0415 - loads what an answered command does without

    return searched_here(run, asked, scan=scan)


def _interactive(
    line: str, sort: Order, limit: int | None, filters: FilterFlags, flags: Flags, *, scan: bool
) -> int:
    if flags.json or flags.no_input:
        raise UsageError("-i is for somebody at a terminal", hint="leave it out with --json and --no-input")
    from tapes.finder.finding import Wanted, find  # noqa: PLC0415 - the screen's library is for those who want a screen

    wanted = Wanted(line, filters.chosen(), filters.clock(), sort, limit or listed_default, scan)
    return find(begin(flags), wanted)


def _fields(asked: Asked, answer: Answer, unread: list[str], ranked_newest: int | None) -> dict[str, Any]:
    return {
        "filter": asked.chosen.model_dump(mode="json", exclude_defaults=True),
        "time_zone": asked.clock.stated,
        "scope": asked.scope,
        "order": asked.order,
        "ranked_newest": ranked_newest,
        "sessions": [
            {
                **asdict(one.session),
                "title": one.title,
                "matches": one.matches,
                "hits": [asdict(hit) for hit in one.hits],
            }
            for one in answer.found
        ],
        "total": {"sessions": answer.sessions, "matches": answer.matches, "more": answer.more},
        "unread": unread,
        "withheld": answer.withheld,
    }
