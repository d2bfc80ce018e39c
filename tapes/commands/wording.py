"""Words for a command: the index, brought up to date, or the scan where there can be none."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

from query.catalog import Catalog
from query.index import IndexBroken, remove_index
from query.indexed import Indexed
from query.indexing import index_key, open_current
from query.scan import Scan
from query.texts import Texts
from query.words import Words
from tapes.commands.desk import Desk
from tapes.progress import Tell, progress
from tapes.render.search_results import unread_lines

_T = TypeVar("_T")


def index_path(desk: Desk) -> Path:
    """The index of a home."""
    return desk.run.home.index / "words.db"


def ask_words(
    desk: Desk, texts: Texts, ask: Callable[[Words], _T], *, scan: bool = False, tell: Tell | None = None
) -> _T:
    """What `ask` makes of the words. A damaged index is said to be so, made anew, and asked once more.

    A home without an identity has no key to seal an index with, and one that keeps nothing keeps no index: all texts are read
    through. `tell`: who shows the
    indexing's progress, if not a bar on stderr.
    """
    if scan or desk.is_cloud or not desk.run.home.identity.exists():
        return ask(Scan(texts))
    try:
        return _ask_index(desk, texts, ask, tell)
    except IndexBroken as broken:
        desk.run.out.warn(f"{broken.message}; it is made anew")
    remove_index(index_path(desk))
    return _ask_index(desk, texts, ask, tell)


def warn_unread(desk: Desk, texts: Texts) -> None:
    """Say what was not searched: silence would read as "nothing there"."""
    for line in unread_lines(problem.message for problem in texts.unread.values()):
        desk.run.out.warn(line)


def _ask_index(desk: Desk, texts: Texts, ask: Callable[[Words], _T], tell: Tell | None) -> _T:
    with (
        nullcontext(tell) if tell is not None else progress(desk.run.out) as told,
        open_current(index_path(desk), index_key(desk.identity), texts, desk.run.out.warn, told) as index,
    ):
        return ask(Indexed.of(index, Catalog(texts.source)))
