"""Searching in tests: sessions out of texts, an index in a folder, hashes for answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from query.answers import Answer, Asked, Order, Scope
from query.catalog import Catalog
from query.grammar import parse_line
from query.index import WordIndex
from query.indexed import Indexed
from query.indexing import open_current
from query.moments import Clock
from query.scan import Scan
from query.search import search
from query.source import Source, open_source
from query.texts import Texts
from query.words import Words
from store.eras import make_node
from store.local import LocalStore
from store.nodes import Node
from sync.client import Client

KEY = bytes(range(32))
CLOCK = Clock(datetime(2026, 2, 15, 12, 0, tzinfo=UTC))


def said(
    text: str,
    parent: Node | None = None,
    minute: int = 0,
    tool: str | None = None,
    *,
    answer: bool = False,
    told: dict[str, str] | None = None,
) -> Node:
    """One turn with a text and perhaps a tool call; the user's, unless it calls or answers."""
    blocks = [{"type": "text", "text": text}]
    if tool is not None:
        blocks.append({"type": "tool_use", "tool_use_id": "t", "tool_name": tool, "tool_input": told or {}})  # type: ignore[dict-item]
    bucket = {
        "type": "message",
        "role": "assistant" if tool or answer else "user",
        "content": blocks,
        "model": "m",
        "provider": "p",
    }
    return make_node(
        bucket,
        parent.hash if parent is not None else None,
        project="alpha",
        created_at=f"2026-02-14T09:{minute:02d}:00.000000Z",
    )


def talk(texts: Sequence[str]) -> list[Node]:
    """A path of turns."""
    path: list[Node] = []
    for minute, text in enumerate(texts):
        path.append(said(text, path[-1] if path else None, minute % 60))
    return path


@contextmanager
def asking(local: LocalStore | None, client: Client | None, index: Path | None) -> Iterator["Desk"]:
    """A source with its texts, and words from an index brought up to date or, without a path, from the scan."""
    with open_source(local, client) as source:
        texts, notices = Texts(source), list[str]()
        if index is None:
            yield Desk(source, texts, Scan(texts), notices)
            return
        with open_current(index, KEY, texts, notices.append, lambda *_: None) as opened:
            yield Desk(source, texts, Indexed.of(opened, Catalog(source)), notices)


class Desk:
    """What `asking` gives."""

    def __init__(self, source: Source, texts: Texts, words: Words, notices: list[str]) -> None:
        self.source = source
        self.texts = texts
        self.words = words
        self.notices = notices

    def search(self, line: str, order: Order = "date", limit: int = 20, scope: Scope = "session") -> Answer:
        """A line, answered."""
        asked = Asked(parse_line(line), CLOCK, {}, order, limit, scope)
        return search(self.source, asked, self.words, self.texts)

    def turns(self, line: str) -> set[str]:
        """The hashes of all turns a line finds."""
        answer = self.search(line, limit=1000)
        return {hit.node for found in answer.found for hit in found.hits}

    @property
    def index(self) -> WordIndex:
        """The words, where they are an index."""
        assert isinstance(self.words, Indexed)
        return self.words.index
