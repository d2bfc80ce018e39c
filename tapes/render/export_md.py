"""Sessions as one Markdown document. What was said stands in fences: never rendered, so it fetches and runs nothing."""

import json
import re
from collections.abc import Iterator
from typing import Final

from query.answers import Session
from query.records import About, about_record
from store.nodes import Node
from tapes.render import figures
from tapes.render.document_facts import session_facts
from tapes.render.plain_blocks import Piece, model_of, pieces_of, who
from tapes.render.safe import safe_line

_FENCE_MIN: Final = 3
_BACKTICKS: Final = re.compile("`+")
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|&~:])")


def md_start(about: About) -> str:
    """The document's front matter: JSON values are YAML values."""
    lines = [f"{name}: {json.dumps(value)}" for name, value in about_record(about).items()]
    return "\n".join(["---", *lines, "---", "", "# Sessions", ""])


def md_session(session: Session, nodes: list[Node]) -> Iterator[str]:
    """One session, a turn at a time."""
    yield f"\n## {_inline(session.project or 'session')} {figures.short_id(session.id)}\n\n"
    facts = session_facts(session, nodes)
    yield "".join(f"- {name}: {_inline(value)}\n" for name, value in facts.items())
    for node in nodes:
        details = " · ".join(filter(None, (who(node), node.created_at, model_of(node))))
        yield f"\n### {_inline(details)}\n"
        for piece in pieces_of(node):
            yield _piece(piece)


def _piece(piece: Piece) -> str:
    label = f"\n**{_inline(piece.label)}**\n" if piece.label else ""
    longest = max((len(run) for run in _BACKTICKS.findall(piece.text)), default=0)
    fence = "`" * max(_FENCE_MIN, longest + 1)
    return f"{label}\n{fence}{'diff' if piece.is_diff else 'text'}\n{piece.text}\n{fence}\n"


def _inline(text: str) -> str:
    return _MARKUP.sub(r"\\\1", safe_line(text))
