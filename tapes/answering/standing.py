"""What the resident process knows: an open source with its catalog and index, as new as the home's files."""

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from query.answers import Answer, Asked, Listed
from query.catalog import Catalog
from query.filter import filter_of
from query.index import WordIndex
from query.indexed import Indexed
from query.indexing import index_key, open_current
from query.listing import listed
from query.moments import Clock
from query.search import search
from query.source import Source
from query.stats import team_stats
from query.stats_answer import Ask, TeamStats
from query.texts import Kept, Texts
from store.local import local_store_path
from tapes.answering.protocol import Question, Reply, spoken_version
from tapes.commands.context import Flags, begin
from tapes.commands.desk import Desk
from tapes.commands.names import names_of
from tapes.commands.publishing import told_to
from tapes.commands.wording import index_path

memory_mib_max: Final = 3072  # over that nothing is kept: commands then do the work themselves, one at a time
settled_seconds: Final = 2.0  # a file's time says nothing of a change within the same tick of the clock
_Stat = tuple[tuple[int, int, int] | None, ...]


class Refused(Exception):
    """Why the asker does the work itself."""


class Known:
    """One open source and what was made of it. Closed when the home has become another."""

    def __init__(self) -> None:
        self._closing = ExitStack()
        self.stat = stat_of_home()
        self.since = time.time()
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise

    def _open(self) -> None:
        desk = self._closing.enter_context(Desk(begin(Flags(no_input=True))))
        if not desk.run.home.identity.exists():
            raise Refused("a home without an identity has no index")
        if desk.is_cloud:
            raise Refused("a home that keeps nothing")
        self.standing = standing_of(desk)
        self.source: Source = desk.source()
        self.source.settle()
        self.catalog, self.texts = Catalog(self.source), Kept()
        self.names = names_of(self.source.client)
        texts = Texts(self.source)
        self.index: WordIndex = self._closing.enter_context(
            open_current(index_path(desk), index_key(desk.identity), texts, _nothing, _nothing)
        )
        if texts.unread:
            raise Refused("some turns could not be read; a command tries them again")
        self.words = Indexed.of(self.index, self.catalog)

    def close(self) -> None:
        """Forget it."""
        self._closing.close()

    def interrupt(self) -> None:
        """End the question that is being worked on, from another thread."""
        self.source.engine.interrupt()
        self.index.interrupt()

    def answer(self, question: Question) -> Reply:
        """The answer. A TapesError where a command would raise one."""
        clock = Clock(question.now.astimezone(UTC), ZoneInfo(question.zone) if question.zone else None)
        texts = Texts(self.source, kept=self.texts)
        made = _ANSWERS[question.about](self, question, clock, texts)
        unread = {name: problem.message for name, problem in texts.unread.items()}
        return Reply(version=spoken_version(), answer=made, names=self.names, unread=unread)


def stat_of_home() -> _Stat:
    """What changes when anything does that an answer depends on: times, sizes and numbers of a home's files."""
    home = begin(Flags(no_input=True)).home
    databases = (local_store_path(home.path), home.replica)
    files = [home.config, home.identity, home.costs]
    files += [database.with_name(database.name + end) for database in databases for end in ("", "-wal")]
    return tuple(map(_stat, files))


def standing_of(desk: Desk) -> str:
    """The same, by what the files say: a file is often touched without a change that matters."""
    config = desk.run.config
    parts: list[Any] = [
        [config.text("storage.provider"), config.text("storage.bucket"), str(desk.run.home.path)],
        [desk.local.count(), desk.local.last_change()],
        _stat(desk.run.home.costs),  # written anew each time, so its own number tells two apart
    ]
    if desk.uses_bucket and config.text("storage.bucket"):
        client = desk.client
        parts.append([client.replica.newest_seq(), sorted(names_of(client).items())])
        parts.append([[one.seq, one.ref.sha256] for one in client.replica.manifests("applied")])
    return json.dumps(parts)


def memory_mib() -> int:
    """What this process holds."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
    return 0


class Standing:
    """What is known, made when first asked for, and made anew when the home has changed."""

    def __init__(self) -> None:
        self.known: Known | None = None
        self._too_large_at: _Stat | None = None

    def answer(self, question: Question) -> Reply:
        """An answer that a command would give now. Refused where it has to do so itself."""
        if question.version != spoken_version():
            raise Refused(f"this is {spoken_version()}")
        if question.zone is None and question.machine_zone != os.environ.get("TZ"):
            raise Refused("another time zone")
        return self.refresh().answer(question)

    def refresh(self) -> Known:
        """What is known, as new as the files."""
        if self.known is not None and self._is_current(self.known):
            return self.known
        self.forget()
        if self._too_large_at == stat_of_home():
            raise Refused("there is too much of it")
        stat, self.known = stat_of_home(), Known()
        if memory_mib() > memory_mib_max:
            self.forget()
            self._too_large_at = stat
            raise Refused("there is too much of it")
        return self.known

    def forget(self) -> None:
        """Hold nothing."""
        if self.known is not None:
            self.known.close()
            self.known = None

    def _is_current(self, known: Known) -> bool:
        stat = stat_of_home()
        if stat == known.stat and time.time() - known.since > settled_seconds:
            return True
        since = time.time()
        with Desk(begin(Flags(no_input=True))) as desk:
            if standing_of(desk) != known.standing:
                return False
        known.stat, known.since = stat, min(since, known.since) if stat == known.stat else since
        return True


def _searched(known: Known, question: Question, clock: Clock, texts: Texts) -> str:
    chosen = filter_of(question.chosen)
    asked = Asked(chosen, clock, known.names, question.order, question.limit, question.scope)
    found = search(known.source, asked, known.words, texts, known.catalog)
    return TypeAdapter(Answer).dump_json(found).decode()


def _listed(known: Known, question: Question, clock: Clock, texts: Texts) -> str:
    asked = Asked(filter_of(question.chosen), clock, known.names, question.order, question.limit)
    found = listed(known.source, asked, replace(texts, here_only=True), known.catalog)
    return TypeAdapter(Listed).dump_json(found).decode()


def _counted(known: Known, question: Question, clock: Clock, _: Texts) -> str:
    problems: list[str] = []
    client = known.source.client if question.team_only else None
    told = told_to(client, problems.append) if client else None
    if problems:
        raise Refused(problems[0])  # a command tries again, and says it
    asked = Ask(clock, question.days, question.team_only, question.by_member, question.fold_small)
    return TypeAdapter(TeamStats).dump_json(team_stats(known.source, asked, told, known.catalog)).decode()


_ANSWERS: Final[dict[str, Callable[[Known, Question, Clock, Texts], str]]] = {
    "search": _searched,
    "sessions": _listed,
    "stats": _counted,
}


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _nothing(*_: object) -> None:
    """Progress and remarks of a process that nobody watches."""
