"""From ids, as people and pipes give them, to sessions."""

from collections.abc import Iterable, Sequence

from crypto.errors import UsageError
from query.answers import Session
from query.sessions import list_sessions, resolve
from query.source import Source


def sessions_named(source: Source, names: Iterable[str]) -> list[Session]:
    """The sessions that ids, prefixes or aliases name, each once, in order of their id. UsageError for what names none."""
    known = {session.id: session for session in list_sessions(source).sessions}
    # Pipes give whole ids by the thousand; only what a person typed needs the long way.
    heads = {name if name in known else resolve(source, name) for name in names}
    return [known[head] for head in sorted(heads)]


def ids_of_lines(lines: Iterable[str]) -> Sequence[str]:
    """The first word of each line: what `tapes sessions` and `tapes search` print. UsageError when there is none."""
    ids = [line.split(maxsplit=1)[0] for line in lines if line.strip()]
    if not ids:
        # A search that found nothing must not become an export of everything.
        raise UsageError("no session ids came in", hint="--all means all sessions")
    return ids
