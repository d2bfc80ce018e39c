"""The filters that commands share, as flags.

What they mean is imported when they are read: with pydantic there, cyclopts would check each flag with it once more.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from crypto.errors import UsageError
from query.moments import Clock, clock_now, time_forms
from tapes.home import current_home

if TYPE_CHECKING:  # the type only: see above
    from query.filter import SessionFilter


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class FilterFlags:
    """Which sessions; a flag may be repeated, then any of its values will do."""

    project: Annotated[
        tuple[str, ...], Parameter(help="Project; * and ? stand for anything, here and below.")
    ] = ()
    agent: Annotated[tuple[str, ...], Parameter(help="Agent.")] = ()
    provider: Annotated[tuple[str, ...], Parameter(help="Provider of a model.")] = ()
    model: Annotated[tuple[str, ...], Parameter(help="Model, such as 'claude-*'.")] = ()
    member: Annotated[tuple[str, ...], Parameter(help="Member, by name or beginning of the id.")] = ()
    tool: Annotated[tuple[str, ...], Parameter(help="Tool that is called; a beginning and a * will do.")] = ()
    space: Annotated[tuple[str, ...], Parameter(help="team, private or local.")] = ()
    status: Annotated[tuple[str, ...], Parameter(help="completed, failed, abandoned or unknown.")] = ()
    has: Annotated[
        tuple[str, ...], Parameter(help="error, tool, git, unpriced or unsynced; all of them.")
    ] = ()
    since: Annotated[str | None, Parameter(help=f"Went on at or after: {time_forms}.")] = None
    until: Annotated[str | None, Parameter(help="Began by; a day counts to its end.")] = None
    date: Annotated[str | None, Parameter(help="Went on during that day.")] = None
    cost: Annotated[tuple[str, ...], Parameter(help="US dollars, such as '>0.5'; all bounds hold.")] = ()
    tokens: Annotated[tuple[str, ...], Parameter(help="Tokens of all classes, such as '>10k'.")] = ()
    duration: Annotated[tuple[str, ...], Parameter(help="First turn to last, such as '<1h30m'.")] = ()
    turns: Annotated[tuple[str, ...], Parameter(help="Turns, such as '>20'.")] = ()
    filter: Annotated[
        tuple[str, ...], Parameter(help="A saved one, by its name (tapes filter); all of them hold.")
    ] = ()
    tz: Annotated[
        str | None, Parameter(help="Time zone of days and times, such as Europe/Vienna; else this machine's.")
    ] = None

    def chosen(self, line: str = "") -> "SessionFilter":
        """The filter of these flags and of a line in the search grammar. UsageError for what neither can mean."""
        from query.filter import filter_of  # noqa: PLC0415 - see the caption
        from query.grammar import parse_line  # noqa: PLC0415 - see the caption
        from tapes.saved_filters import SavedFilters  # noqa: PLC0415 - see the caption

        given = {name: value for name in _FILTERS if (value := getattr(self, name))}
        empty = [name for name in _FILTERS if getattr(self, name) == ""]
        if empty:
            raise UsageError(f"--{empty[0]} is empty")
        saved = SavedFilters(current_home().path)
        for name in self.filter:
            line = f"@{name} {line}"
        return parse_line(line, saved.named).merged(filter_of(given))

    def clock(self) -> Clock:
        """Now, in the zone asked for."""
        return clock_now(self.tz)


_FILTERS: Final = tuple(field.name for field in fields(FilterFlags) if field.name not in {"tz", "filter"})
no_filters: Final = FilterFlags()
