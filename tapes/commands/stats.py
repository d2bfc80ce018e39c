"""`tapes stats`."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Final

from cyclopts import Parameter

from crypto.errors import UsageError
from query.moments import clock_now
from query.stats_answer import Ask, TeamStats, Use, days_max
from tapes.commands.context import Flags, Run, begin, no_flags
from tapes.render.dashboard import plain_stats, stats_csv, stats_md, terminal_stats
from tapes.render.output import write

_PERIOD: Final = re.compile(r"(\d{1,4})([dw])")
_DAYS: Final = {"d": 1, "w": 7}


def stats(
    *,
    period: Annotated[str, Parameter(help="Days up to and with today, as 30d or 4w.")] = "30d",
    team: Annotated[bool, Parameter(help="Only what the whole team can read.")] = False,
    members: Annotated[bool, Parameter(help="Also who used what.")] = False,
    fold_small: Annotated[
        bool, Parameter(help="Models and projects of fewer than three members become others.")
    ] = False,
    tz: Annotated[
        str | None, Parameter(help="Time zone of the days, as Europe/Vienna; else this machine's.")
    ] = None,
    csv: Annotated[bool, Parameter(help="Answer as CSV.")] = False,
    md: Annotated[bool, Parameter(help="Answer as Markdown.")] = False,
    flags: Flags = no_flags,
) -> int:
    """What sessions cost and used, beside the period before."""
    if csv + md + flags.json > 1:
        raise UsageError("one answer at a time", hint="--json, --csv or --md")
    if members and fold_small:
        raise UsageError("every member is a group of one", hint="--members or --fold-small")
    ask = Ask(clock_now(tz), _days(period), team, members, fold_small)
    run = begin(flags)
    found, names = _resident(run, ask) or _here(run, ask)
    if flags.json:
        run.out.answer("stats", stats_fields(found))
    elif csv or md:
        write((stats_csv if csv else stats_md)(found, names))
    elif run.out.stdout.is_terminal:
        run.out.show(*terminal_stats(found, names, run.out.stdout.width))
    else:
        run.out.lines(plain_stats(found, names))
    return 0


def _resident(run: Run, asked: Ask) -> tuple[TeamStats, Mapping[str, str]] | None:
    """The numbers of the resident process, if there is one."""
    from tapes.answering.asking import ask, clock_fields  # noqa: PLC0415 - as in commands/filters.py
    from tapes.answering.protocol import Question  # noqa: PLC0415 - as above

    question = Question(
        about="stats",
        days=asked.days,
        team_only=asked.team_only,
        by_member=asked.by_member,
        fold_small=asked.fold_small,
        **clock_fields(asked.clock),
    )
    found = ask(run.home.answering, question, TeamStats)
    return None if found is None else (found[0], found[1].names)


def _here(run: Run, asked: Ask) -> tuple[TeamStats, Mapping[str, str]]:
    from tapes.answering.here import counted_here  # noqa: PLC0415 - loads what an answered command does without

    return counted_here(run, asked)


def stats_fields(found: TeamStats) -> dict[str, Any]:
    """As `stats --json` gives it: days as text, and the shares of each period."""
    fields: dict[str, Any] = _plain(asdict(found))
    for name, use in (("current", found.current.use), ("previous", found.previous.use)):
        fields[name]["use"] |= _shares(use)
    return fields


def _shares(use: Use) -> dict[str, int | None]:
    return {
        "cache_hit_permille": use.cache_hit_permille,
        "tool_failure_permille": use.tool_failure_permille,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _days(period: str) -> int:
    match = _PERIOD.fullmatch(period.strip().lower())
    days = int(match[1]) * _DAYS[match[2]] if match else 0
    if not 1 <= days <= days_max:
        raise UsageError(f"{period!r} is no period", hint=f"1d to {days_max}d, or weeks, as 4w")
    return days
