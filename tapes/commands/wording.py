"""Words for a command: the index, brought up to date, or the scan where there can be none."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from query.index import IndexBroken, remove_index
from query.indexing import index_key, open_current
from query.scan import Scan
from query.texts import Texts
from query.words import Words
from tapes.commands.desk import Desk
from tapes.progress import progress

_T = TypeVar("_T")


def index_path(desk: Desk) -> Path:
    """The index of a home."""
    return desk.run.home.path / "index" / "words.db"


def ask_words(desk: Desk, texts: Texts, ask: Callable[[Words], _T], *, scan: bool = False) -> _T:
    """What `ask` makes of the words. A damaged index is said to be so, made anew, and asked once more.

    A home without an identity has no key to seal an index with; its few own sessions are read through.
    """
    if scan or not desk.run.home.identity.exists():
        return ask(Scan(texts))
    try:
        return _ask_index(desk, texts, ask)
    except IndexBroken as broken:
        desk.run.out.warn(f"{broken.message}; it is made anew")
    remove_index(index_path(desk))
    return _ask_index(desk, texts, ask)


def warn_unread(desk: Desk, texts: Texts) -> None:
    """Say what was not searched: silence would read as "nothing there"."""
    for problem in sorted({problem.message for problem in texts.unread.values()}):
        desk.run.out.warn(f"not searched: {problem}")


def _ask_index(desk: Desk, texts: Texts, ask: Callable[[Words], _T]) -> _T:
    with (
        progress(desk.run.out) as tell,
        open_current(index_path(desk), index_key(desk.identity), texts, desk.run.out.warn, tell) as index,
    ):
        return ask(index)
