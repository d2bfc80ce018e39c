"""A filter as SQL over the table of sessions, with bound values only."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from query.filter import SessionFilter, bound
from query.moments import Clock, micros_of, span


@dataclass(frozen=True, slots=True)
class Condition:
    """A boolean SQL expression over the table `sessions` (query/path_table.py), with the values of its `?`."""

    sql: str
    values: tuple[object, ...]


def condition(chosen: SessionFilter, clock: Clock) -> Condition:
    """The filter without `text`, which texts answer, and `tool`, which rows of turns do. No part of a value ever becomes SQL."""
    terms = [*_labels(chosen), *_times(chosen, clock), *_amounts(chosen)]
    terms += [Condition(_FEATURES[feature], ()) for feature in chosen.has]
    if chosen.status:
        terms.append(_one_of("status", chosen.status))
    if chosen.space:
        terms.append(_one_of("coalesce(space, 'local')", chosen.space))
    if not terms:
        return Condition("true", ())
    return Condition(
        " AND ".join(f"coalesce({term.sql}, false)" for term in terms),
        tuple(value for term in terms for value in term.values),
    )


_FEATURES: Final = {
    "error": "tool_failures > 0",
    "tool": "tool_calls > 0",
    "git": "git_activity",
    "unpriced": "unpriced_turns > 0",
    "unsynced": "NOT synced",
}
_LABELS: Final = {
    "project": r"lower(project) LIKE lower(?) ESCAPE '\'",
    "agent": r"lower(agent) LIKE lower(?) ESCAPE '\'",
    # The names that fit are looked up once, not for every session.
    "provider": r"list_has_any(providers, (SELECT list(DISTINCT one) FROM (SELECT unnest(providers) AS one FROM sessions)"
    r" WHERE lower(one) LIKE lower(?) ESCAPE '\'))",
    "model": r"list_has_any(models, (SELECT list(DISTINCT one) FROM (SELECT unnest(models) AS one FROM sessions)"
    r" WHERE lower(one) LIKE lower(?) ESCAPE '\'))",
    "member": r"lower(member_name) LIKE lower(?) ESCAPE '\'",
}


def _labels(chosen: SessionFilter) -> Iterable[Condition]:
    for name, sql in _LABELS.items():
        wanted: tuple[str, ...] = getattr(chosen, name)
        terms = [Condition(sql, (like_pattern(value),)) for value in wanted]
        if name == "member":
            terms += [
                Condition("starts_with(member, lower(?))", (value,)) for value in wanted if _is_id(value)
            ]
        if terms:
            yield Condition(
                "(" + " OR ".join(f"coalesce({term.sql}, false)" for term in terms) + ")",
                tuple(value for term in terms for value in term.values),
            )


def like_pattern(glob: str) -> str:
    r"""`*` and `?` as LIKE's % and _; LIKE's own signs are taken literally, with `\` as the escape."""
    literal = re.sub(r"([\\%_])", r"\\\1", glob)
    return literal.replace("*", "%").replace("?", "_")


def _is_id(value: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{4,64}", value) is not None


def _times(chosen: SessionFilter, clock: Clock) -> Iterable[Condition]:
    """A session is in a span if any of its time is: one across midnight is in both days. Without times it is in none."""
    for words in (chosen.since, chosen.date):
        if words is not None:
            yield Condition("ended_us >= ?", (micros_of(span(words, clock)[0]),))
    for words in (chosen.until, chosen.date):
        if words is not None:
            start, end = span(words, clock)
            yield Condition("started_us <= ?" if start == end else "started_us < ?", (micros_of(end),))


def _amounts(chosen: SessionFilter) -> Iterable[Condition]:
    for name, column in _AMOUNTS.items():
        for text in getattr(chosen, name):
            sign, amount = bound(name, text)
            yield Condition(
                f"{column} {sign} ?", (amount,)
            )  # the sign is one of four, by the regular expression


_AMOUNTS: Final = {
    "cost": "cost_usd_micro",
    "tokens": "tokens",
    "duration": "duration_us",
    "turns": "turns",
}


def _one_of(column: str, values: tuple[str, ...]) -> Condition:
    return Condition(f"{column} IN ({', '.join('?' * len(values))})", values)
