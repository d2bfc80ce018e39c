"""What both of opencode's stores hold, in one shape: a session, its messages, their parts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from store.nodes import Json
from tapes.importers.lines import Record


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session's own record. `above` are its callers' ids, outermost first; `stamp` changes whenever anything of it does."""

    id: str
    above: tuple[str, ...]
    directory: str | None
    record: Record
    stamp: list[Json]


@dataclass(slots=True)
class MessageRecord:
    """A message with its parts in order."""

    record: Record
    parts: list[Record] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stored:
    """A session that can be read. `problems` are filled while the messages are read."""

    session: SessionRecord
    messages: Callable[[list[str]], Iterator[MessageRecord]]


def callers(session_id: str, parents: dict[str, str]) -> tuple[str, ...]:
    """The chain of sessions above one, outermost first; a circle, which only damage makes, ends it."""
    found: list[str] = []
    step = parents.get(session_id, "")
    while step and step != session_id and step not in found:
        found.append(step)
        step = parents.get(step, "")
    return tuple(reversed(found))
