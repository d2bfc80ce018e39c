"""Sessions as one HTML file without outside parts. Hostile content stays text: escaped, under a policy that runs nothing."""

import base64
import json
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Final

from query.answers import Session
from query.records import About, about_record
from store.nodes import Node
from tapes.render import figures
from tapes.render.document_facts import session_facts
from tapes.render.plain_blocks import Piece, model_of, pieces_of, who
from tapes.render.safe import safe_line

_CSS: Final = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}
h2{border-bottom:1px solid;margin-top:3rem;overflow-wrap:anywhere}
article{margin:1.2rem 0;padding-left:.8rem;border-left:3px solid #8888}
article.user{border-color:#2a7}
article.assistant{border-color:#27c}
header{font-size:.85rem;opacity:.75;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;font:inherit;margin:.4rem 0}
details pre,.other pre{font:.85rem/1.4 ui-monospace,monospace}
summary{cursor:pointer;font-size:.9rem;overflow-wrap:anywhere}
del,ins{text-decoration:none}
del{color:light-dark(#b22,#f88)}
ins{color:light-dark(#171,#7d7)}
details.error summary{color:#c33}
dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem;overflow-wrap:anywhere}
dd{margin:0}
"""
_STYLE_HASH: Final = base64.b64encode(sha256(_CSS.encode()).digest()).decode()
# Escaping is what makes it text; should a browser ever see otherwise, this leaves it nothing to run, load, submit or frame.
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"


def html_start(about: About) -> str:
    """The document up to its first session."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta name="tapes-export" content="{escape(json.dumps(about_record(about)))}">\n'
        f"<title>Sessions</title>\n<style>{_CSS}</style>\n</head>\n<body>\n<h1>Sessions</h1>\n"
        f"<p>Exported {escape(about.exported_at)} by {escape(about.tool)}.</p>\n"
    )


def html_session(session: Session, nodes: list[Node]) -> Iterator[str]:
    """One session, a turn at a time."""
    yield f"<section>\n<h2>{_line(session.project or 'session')} {figures.short_id(session.id)}</h2>\n<dl>\n"
    facts = session_facts(session, nodes)
    yield "".join(f"<dt>{name}</dt><dd>{_line(value)}</dd>\n" for name, value in facts.items())
    yield "</dl>\n"
    for node in nodes:
        yield from _turn(node)
    yield "</section>\n"


def html_end() -> str:
    """The document's end."""
    return "</body>\n</html>\n"


def _turn(node: Node) -> Iterator[str]:
    role = who(node)
    known = role if role in {"user", "assistant"} else "turn"  # a class name from outside could be anything
    details = " · ".join(filter(None, (role, node.created_at, model_of(node), figures.short_id(node.hash))))
    yield f'<article class="{known}">\n<header>{_line(details)}</header>\n'
    for piece in pieces_of(node):
        yield _piece(piece)
    yield "</article>\n"


def _piece(piece: Piece) -> str:
    body = f"<pre>{_diff(piece.text) if piece.is_diff else escape(piece.text)}</pre>"
    if piece.kind == "said":
        return body + "\n"
    return f'<details class="{piece.kind}"><summary>{_line(piece.label)}</summary>{body}</details>\n'


def _diff(text: str) -> str:
    """What goes and what comes, marked as such also for who sees no colours."""
    marks = {"- ": "del", "+ ": "ins"}
    lines = ((marks.get(line[:2]), escape(line)) for line in text.split("\n"))
    return "\n".join(f"<{mark}>{line}</{mark}>" if mark else line for mark, line in lines)


def _line(text: str) -> str:
    return escape(safe_line(text))
