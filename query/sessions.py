"""The session list: every path from a root to a leaf, what it used, and the totals in which each node counts once."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crypto.errors import UsageError
from query.answers import Session, SessionList, Tokens, Totals
from query.moments import rfc3339
from query.path_table import Paths
from query.paths import Head, Path
from query.source import Source
from store.storable import storable_text

prefix_chars_min = 4
_candidates_shown = 5
_TOTALS: Final = """
SELECT count(*), coalesce(sum(input_uncached), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0),
    coalesce(sum(output), 0), coalesce(sum(cost_usd_micro), 0), coalesce(sum(unpriced), 0)
FROM counts
"""
_ALIAS_IS: Final = "SELECT id FROM rows WHERE harness_session = ?"
_ALIAS_STARTS: Final = "SELECT id FROM rows WHERE starts_with(harness_session, ?)"


def list_sessions(source: Source) -> SessionList:
    """All sessions of a source. Equal rows give equal lists, in whatever order they came in."""
    paths = source.paths()
    return SessionList(tuple(map(session_of, paths.known)), totals(source))


def resolve(source: Source, prefix: str) -> str:
    """The head (64 hex digits) that a prefix of a head, a root, a conversation id or a harness session id names.

    What has several heads names its newest. UsageError when no head is meant, or several are.
    """
    check_length(prefix)
    found = sorted(_meant(source, prefix))
    if not found:
        raise UsageError(f"no session is named {prefix!r}", hint="`tapes sessions` lists what there is")
    if len(found) > 1:
        more = ", …" if len(found) > _candidates_shown else ""
        raise UsageError(
            f"{prefix!r} names {len(found)} sessions: {', '.join(found[:_candidates_shown])}{more}",
            hint="give more characters of the one you mean",
        )
    return found[0]


def check_length(prefix: str) -> None:
    """UsageError for a prefix that would mean half of all there is: to be asked before that is read."""
    if len(prefix) < prefix_chars_min:
        raise UsageError(
            f"{prefix!r} is too short for an id", hint=f"give at least {prefix_chars_min} characters"
        )


def _meant(source: Source, prefix: str) -> set[str]:
    """The heads that a prefix could mean. A whole name means what bears it, even where a longer name starts the same."""
    paths = source.paths()
    start = prefix.lower()
    newest: dict[str, str] = {}  # paths come newest first, so the first head seen of a name is its newest
    for path in paths.known:
        for name in (path.head.hash, path.head.conversation, path.whole.root):
            if name.startswith(start):
                newest.setdefault(name, path.head.hash)
    if start in newest:
        return {newest[start]}
    alias = storable_text(
        prefix
    )  # bytes of a command line that are no UTF-8 would be an error of the database's
    whole = _aliased(source, paths, _ALIAS_IS, alias)
    return whole or set(newest.values()) | _aliased(source, paths, _ALIAS_STARTS, alias)


def _aliased(source: Source, paths: Paths, query: str, alias: str) -> set[str]:
    """The newest head of each tree in which the agent's session id occurs, preferring heads of that very session to forks."""
    trees = {paths.forest.tree(node) for (node,) in source.engine.all(query, [alias])}
    newest: dict[int, Head] = {}
    for path in paths.known:
        if path.tree in trees:
            kept = newest.setdefault(path.tree, path.head)
            if not _of_session(kept, alias) and _of_session(path.head, alias):
                newest[path.tree] = path.head
    return {head.hash for head in newest.values()}


def _of_session(head: Head, alias: str) -> bool:
    return head.harness_session is not None and head.harness_session.startswith(alias)


def totals(source: Source, among: NDArray[np.int64] | None = None) -> Totals:
    """What all nodes used, or those of some rows (by id)."""
    if among is None and source.overlaid is not None:
        return source.overlaid.totals()
    if among is None:
        [(nodes, *used, cost, unpriced)] = source.engine.all(_TOTALS)
    else:
        with source.engine.table("among", pa.table({"id": pa.array(among, pa.int64())})):
            [(nodes, *used, cost, unpriced)] = source.engine.all(f"{_TOTALS} JOIN among USING (id)")
    return Totals(nodes, Tokens(*used), cost, unpriced)


def session_of(path: Path) -> Session:
    """A path as the list has it."""
    head, whole = path.head, path.whole
    return Session(
        id=head.hash,
        conversation=head.conversation,
        project=whole.project,
        agent=whole.agent,
        models=tuple(sorted(whole.models)),
        member=head.member,
        started_at=rfc3339(whole.started_us),
        ended_at=rfc3339(whole.ended_us),
        turns=whole.turns,
        tokens=whole.tokens,
        cost_usd_micro=whole.cost_usd_micro,
        unpriced_turns=whole.unpriced,
        space=head.space,
        synced=whole.synced,
        withheld_turns=whole.withheld,
    )
