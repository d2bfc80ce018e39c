"""The dashboard for people: tiles, a sparkline of the days, bars for models and projects; and as plain text, CSV or Markdown."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.columns import Columns
from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from query.answers import Tokens
from query.stats_answer import DayActivity, GroupUse, PeriodStats, TeamStats, days_max
from tapes.render import figures
from tapes.render.safe import safe_line
from tapes.render.tables import Column, terminal_table

_SPARKS: Final = "▁▂▃▄▅▆▇█"
_NO_SPARK: Final = "·"
_bar_columns: Final = 24
_spark_columns: Final = 60
_groups_shown_max: Final = 10
_UNKNOWN: Final = "(not known)"
_GROUP_COLUMNS: Final = (
    Column("", flexible=True, style="bold"),
    Column("cost", right=True),
    Column("before", right=True, drop=2),
    Column("turns", right=True),
    Column("output", right=True, drop=1),
    Column("", drop=3),
)
_CSV_COLUMNS: Final = (
    "kind",
    "name",
    "sessions",
    "turns",
    "input_uncached",
    "cache_read",
    "cache_write",
    "output",
    "cost_usd_micro",
    "unpriced_turns",
    "tool_calls",
    "tool_errors",
)


def terminal_stats(found: TeamStats, names: Mapping[str, str], width: int) -> Iterator[RenderableType]:
    """For people at a terminal."""
    yield Text(_heading(found), style="bold")
    tiles = [Panel(Text(f"{value}\n{was}"), title=title) for title, value, was in _tiles(found)]
    yield Columns(tiles, equal=True)
    yield from _activity([day.use.tokens.output for day in found.days], width)
    for title, groups in _groups(found, names):
        yield Text(f"\n{title}", style="bold")
        yield terminal_table(_GROUP_COLUMNS, list(_bars(groups)), width)
    yield Text()
    yield from map(Text, _notes(found))


def plain_stats(found: TeamStats, names: Mapping[str, str]) -> Iterator[str]:
    """For pipes: the same, a line each."""
    yield _heading(found)
    for title, value, was in _tiles(found):
        yield f"{title}: {value} ({was})"
    for title, groups in _groups(found, names):
        for name, cost, before, turns, output, _ in _bars(groups):
            yield f"{title}: {safe_line(name)}: {cost} ({before}), {turns} turns, {output} output tokens"
    yield from _notes(found)


def stats_md(found: TeamStats, names: Mapping[str, str]) -> str:
    """As Markdown tables."""
    lines = [f"# {_heading(found)}", "", "| | now | before |", "|---|---|---|"]
    lines += [
        f"| {title} | {value} | {was.removeprefix('before: ')} |" for title, value, was in _tiles(found)
    ]
    for title, groups in _groups(found, names):
        lines += ["", f"## {title}", "", "| name | cost | before | turns | output |", "|---|---|---|---|---|"]
        lines += ["| " + " | ".join(map(_md_cell, row[:5])) + " |" for row in _bars(groups)]
    return "\n".join([*lines, "", *_notes(found)]) + "\n"


def stats_csv(found: TeamStats, names: Mapping[str, str]) -> str:
    """One row per period, day and group, numbers in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    writer.writerow(["current", _span(found.current), found.current.sessions, *_numbers(found.current)])
    writer.writerow(["previous", _span(found.previous), found.previous.sessions, *_numbers(found.previous)])
    writer.writerows(["day", day.day, day.sessions, *_numbers(day)] for day in found.days)
    for kind, groups in (("model", found.models), ("project", found.projects), ("member", found.members)):
        writer.writerows([kind, _csv_name(group, names), "", *_numbers(group)] for group in groups)
    return out.getvalue()


def _numbers(part: PeriodStats | DayActivity | GroupUse) -> list[int]:
    use = part.use
    return [
        use.turns,
        *_classes(use.tokens),
        use.cost_usd_micro,
        use.unpriced_turns,
        use.tool_calls,
        use.tool_errors,
    ]


def _csv_name(group: GroupUse, names: Mapping[str, str]) -> str:
    name = names.get(group.name or "", group.name or "")
    # As in exports: a spreadsheet must not take a label for a formula.
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _heading(found: TeamStats) -> str:
    whose = "team" if found.team_only else "all I can read"
    return f"{_span(found.current)} · {whose} · days of {found.time_zone}"


def _span(period: PeriodStats) -> str:
    return f"{period.first_day} to {period.last_day}"


def _tiles(found: TeamStats) -> Iterator[tuple[str, str, str]]:
    """Title, value, and the same of the period before."""
    for (title, now), (_, then) in zip(_facts(found.current), _facts(found.previous), strict=True):
        yield title, now, f"before: {then}"


def _facts(period: PeriodStats) -> Iterator[tuple[str, str]]:
    use, tokens = period.use, _classes(period.use.tokens)
    yield "sessions", str(period.sessions)
    yield "cost", figures.money(use.cost_usd_micro, use.unpriced_turns)
    yield "session p50 / p90", f"{_cost(period.cost_per_session.p50)} / {_cost(period.cost_per_session.p90)}"
    yield "tokens", figures.count(sum(tokens))
    yield "cache hits", _percent(use.cache_hit_permille)
    yield "tool failures", _percent(use.tool_failure_permille)
    yield (
        "members",
        str(period.members) if period.members or not use.turns else "-",
    )  # nobody is one before a team


def _groups(found: TeamStats, names: Mapping[str, str]) -> Iterator[tuple[str, list[GroupUse]]]:
    for title, groups in (("models", found.models), ("projects", found.projects), ("members", found.members)):
        named = [
            GroupUse(names.get(g.name or "", g.name or _UNKNOWN), g.members, g.use, g.previous)
            for g in groups
        ]
        if named:
            yield title, named[:_groups_shown_max]


def _bars(groups: Sequence[GroupUse]) -> Iterator[tuple[str, str, str, str, str, str]]:
    most = max((group.use.cost_usd_micro for group in groups), default=0)
    for group in groups:
        use, before = group.use, group.previous
        length = use.cost_usd_micro * _bar_columns // most if most else 0
        yield (
            group.name or _UNKNOWN,
            figures.money(use.cost_usd_micro, use.unpriced_turns),
            figures.money(before.cost_usd_micro, before.unpriced_turns),
            str(use.turns),
            figures.count(use.tokens.output),
            "█" * length,
        )


def _notes(found: TeamStats) -> Iterator[str]:
    if not found.current.sessions and not found.current.use.turns:
        yield _nothing(found)
    yield "Costs are list prices of each call's day, not your bill."
    if found.current.use.unpriced_turns:
        yield f"{found.current.use.unpriced_turns} model calls have no known price and are in no cost."
    if (told := found.publishing) is not None:
        yield (
            f"{told.publishing} of {told.members} members publish totals of private sessions; the numbers hold"
            f" {told.sessions} such sessions, {told.use.turns} turns (by UTC day)."
        )
    if found.undated_turns:
        yield f"{found.undated_turns} turns have no time and are in no period."
    if found.missing_pushes:
        yield (
            f"{found.missing_pushes} pushes are not in these numbers: what they hold did not come or cannot be had"
            " (tapes storage sync, then tapes verify)."
        )
    if found.withheld_turns:
        yield f"{found.withheld_turns} turns are metadata only: they count, and what was said stayed with its author."


def _nothing(found: TeamStats) -> str:
    """Zeros alone would read as "no sessions at all"; most often they are older than the period."""
    if found.earlier_day is None:
        return "No session ended in these days, and none before: `tapes import all` brings those that agents logged."
    days = (found.current.last_day - found.earlier_day).days + 1
    wider = f": tapes stats --period {days}d" if days <= days_max else ""
    return f"No session ended in these days; the last one before them did on {found.earlier_day}{wider}"


def _activity(values: Sequence[int], width: int) -> Iterator[Text]:
    """What models wrote each day, as wide as there is room for."""
    places = max(1, min(_spark_columns, width))
    run = -(-len(values) // places)
    yield Text("output tokens" + (f", {run} days a sign" if run > 1 else ""), style="dim")
    yield Text(_sparkline(values, run), no_wrap=True)


def _sparkline(values: Sequence[int], run: int) -> str:
    """Oldest first, the sums of `run` values each. A day with little stands out from one with nothing."""
    sums = [sum(values[start : start + run]) for start in range(0, len(values), run)]
    most, steps = max(sums, default=0), len(_SPARKS) - 1
    return "".join(_SPARKS[-(-value * steps // most)] if value else _NO_SPARK for value in sums)


def _percent(permille: int | None) -> str:
    return "-" if permille is None else f"{permille / 10:.1f} %"


def _cost(usd_micro: int | None) -> str:
    return "-" if usd_micro is None else figures.money(usd_micro)


def _md_cell(text: str) -> str:
    return (
        safe_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("![", "!\\[")
    )


def _classes(tokens: Tokens) -> tuple[int, int, int, int]:
    return tokens.input_uncached, tokens.cache_read, tokens.cache_write, tokens.output
