"""The same answers by this very process, where no other gave them: loads the engines, opens the home's files."""

from collections.abc import Mapping
from dataclasses import replace

from query.answers import Answer, Asked, Listed, SessionList
from query.facts import choose, totals_of
from query.filter import SessionFilter
from query.listing import listed
from query.moments import Clock
from query.search import search
from query.sessions import totals
from query.source import Source
from query.stats import Told, team_stats
from query.stats_answer import Ask, TeamStats
from query.texts import Texts
from sync.client import Client
from tapes.commands.at_desk import at_desk
from tapes.commands.context import Run
from tapes.commands.desk import Desk
from tapes.commands.names import names_of
from tapes.commands.wording import ask_words, warn_unread


def searched_here(run: Run, asked: Asked, *, scan: bool) -> tuple[Answer, Asked, list[str]]:
    """The answer, with the names of members, and the names of what could not be read. `scan`: ask no index."""

    def searched(desk: Desk) -> tuple[Answer, Asked, list[str]]:
        source = desk.source()
        texts, named = Texts(source), replace(asked, names=names_of(source.client))
        answer = ask_words(desk, texts, lambda found: search(source, named, found, texts), scan=scan)
        warn_unread(desk, texts)
        return answer, named, sorted(texts.unread)

    return at_desk(run, searched)


def listed_here(run: Run, asked: Asked) -> tuple[Listed, Mapping[str, str]]:
    """The list that was asked for, and the names of members by id."""

    def made(desk: Desk) -> tuple[Listed, Mapping[str, str]]:
        source = desk.source()
        named = replace(asked, names=names_of(source.client))
        return listed(source, named, Texts(source, here_only=True)), named.names

    return at_desk(run, made)


def listed_sessions(
    source: Source, chosen: SessionFilter, clock: Clock
) -> tuple[SessionList, dict[str, str]]:
    """The sessions that pass, and what all of them used; names are those of members by id."""
    names = names_of(source.client)
    passing = choose(source, chosen, clock, names)
    used = totals(source) if chosen == SessionFilter() else totals_of(source, passing)
    return SessionList(passing.facts, used), names


def counted_here(run: Run, asked: Ask) -> tuple[TeamStats, Mapping[str, str]]:
    """The dashboard's numbers, and the names of members by id."""

    def counted(desk: Desk) -> tuple[TeamStats, Mapping[str, str]]:
        source = desk.source()
        told = _told(run, source.client) if asked.team_only and source.client else None
        return team_stats(source, asked, told), names_of(source.client)

    return at_desk(run, counted)


def _told(run: Run, client: Client) -> Told:
    from tapes.commands.publishing import told_to  # noqa: PLC0415 - only the whole team's numbers need it

    return told_to(client, run.out.warn)
