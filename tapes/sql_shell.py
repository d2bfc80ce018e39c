"""The shell of `tapes sql`: statements up to a `;`, a history, a few words with a dot; Ctrl-C ends a query, Ctrl-D the shell."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from crypto.errors import TapesError
from query.tables import EVERY, TableShape
from tapes.interrupts import interrupts_kept
from tapes.render.output import Output
from tapes.terminal import Channels

_FIRST: Final = "tapes> "
_FURTHER: Final = "   ..> "
_HELP: Final = (
    "A SELECT that ends with ; is answered. .tables  .schema [TABLE]  .help  .quit (or Ctrl-D). Ctrl-C cancels.\n"
    f"Tables: {', '.join(shape.name for shape in EVERY)}"
)
_UP_TO_SEMICOLON: Final = re.compile("[^;]*;|[^;]+")
_QUIT: Final = frozenset({".quit", ".exit", ".q"})
Answer = Callable[[str], None]


def statements(lines: Iterable[str]) -> Iterator[str]:
    """What a script says, cut at each `;` that ends a statement; the last one may go without."""
    rest = ""
    for line in lines:
        whole, rest = _cut(rest + line)
        yield from whole
    if any(line.strip() and not line.lstrip().startswith("--") for line in rest.splitlines()):
        yield rest


def _cut(text: str) -> tuple[list[str], str]:
    """The statements that a text ends, and what is left. A `;` in quotes or in a comment ends none."""
    whole, rest = [], ""
    for piece in _UP_TO_SEMICOLON.findall(text):
        rest += piece
        if piece.endswith(";") and sqlite3.complete_statement(rest):
            whole += [rest] if rest.strip("; \n\t") else []  # `;;` asks nothing
            rest = ""
    return whole, rest


def run_shell(out: Output, channels: Channels, history: Path, answer: Answer) -> None:
    """Ask and answer until somebody leaves. What goes wrong with a question is said, and the next one may be asked."""
    history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    history.touch(mode=0o600)  # queries quote what they look for
    words = {column.name for shape in EVERY for column in shape.columns} | {shape.name for shape in EVERY}
    session: PromptSession[str] = PromptSession(
        history=FileHistory(history),
        completer=WordCompleter(sorted(words)),
        complete_while_typing=False,
        input=create_input(channels.keys),
        output=Vt100_Output.from_pty(channels.screen),
        color_depth=ColorDepth.DEPTH_1_BIT if channels.plain else None,
    )
    out.say(_HELP)
    while (asked := _read(session)) is not None:
        if asked[0] in _QUIT:
            return
        if asked[0].startswith("."):
            out.lines(_told(asked[0]))
        else:
            _answer(out, asked, answer)


def _answer(out: Output, asked: list[str], answer: Answer) -> None:
    """What was asked in one go, up to the first that cannot be answered."""
    try:
        for statement in asked:
            with interrupts_kept():
                answer(statement)
    except KeyboardInterrupt:
        out.say("cancelled")
    except TapesError as error:
        out.warn(f"{error.message}\n{error.hint}" if error.hint else error.message)


def _read(session: "PromptSession[str]") -> list[str] | None:
    """The next statements, or one word with a dot; None at the end. Ctrl-C throws away what was typed."""
    text = ""
    while True:
        try:
            line = session.prompt(_FURTHER if text else _FIRST)
        except KeyboardInterrupt:
            text = ""
            continue
        except EOFError:
            return None
        if not text and line.strip().startswith("."):
            return [" ".join(line.split()).rstrip(";")]
        text += line + "\n" if line.strip() or text else ""
        whole, rest = _cut(text)
        if not rest.strip():
            text = ""
            if whole:
                return whole


def _told(asked: str) -> Iterator[str]:
    word, _, name = asked.partition(" ")
    shapes = [shape for shape in EVERY if not name or shape.name == name]
    if word == ".tables" and not name:
        yield from (f"{shape.name:<12} {shape.about}" for shape in EVERY)
    elif word == ".schema" and shapes:
        for shape in shapes:
            yield from _schema(shape)
    else:
        yield _HELP


def _schema(shape: TableShape) -> Iterator[str]:
    yield f"{shape.name}: {shape.about}"
    for column in shape.columns:
        yield f"  {column.name:<18} {column.sql_type:<24} {column.about}".rstrip()
