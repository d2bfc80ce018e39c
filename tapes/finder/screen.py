"""The finder's screen: a line to type, the sessions it means, what the one under the cursor says.

It is drawn on the terminal itself, never on stdout: that carries the ids, and may be a pipe.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from prompt_toolkit.application import Application, get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.data_structures import Point
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import (
    BufferControl,
    DynamicContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    VSplit,
    Window,
)
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

from query.answers import Found
from tapes.finder.view import HELP, preview, rows, status
from tapes.finder.worker import Broken, Message, Reply, Told, Worker
from tapes.render.safe import safe_line
from tapes.terminal import Channels

beside_columns_min: Final = 110  # on narrower screens the preview stands below the list
escape_seconds_max: Final = 0.05  # an Esc that no sequence follows by then is the key itself
page_rows: Final = 10
patience_seconds: Final = 0.4  # longer waits are said
_STYLE: Final = Style.from_dict(
    {
        "cursor": "reverse",
        "heading": "bold",
        "faint": "ansibrightblack",
        "match": "bold ansiyellow",
        "problem": "ansired",
    }
)


class Screen:
    """One run of the finder."""

    def __init__(self, channels: Channels, line: str, names: Mapping[str, str]) -> None:
        self.names = names
        self.worker: Worker | None = None
        self._found: tuple[Found, ...] = ()
        self._sessions: int | None = 0
        self._cursor = 0
        self._marked: dict[str, None] = {}  # in the order they were marked
        self._message = "opening …"
        self._problem = ""
        self._awaited: str | None = None  # the line that was typed last, until its answer is there
        self._buffer = Buffer(document=Document(line), multiline=False, on_text_changed=self._typed)
        self._app: Application[tuple[str, ...] | None] = Application(
            layout=self._layout(),
            key_bindings=self._keys(),
            style=None if channels.plain else _STYLE,
            full_screen=True,
            input=create_input(channels.keys),
            output=Vt100_Output.from_pty(channels.screen),
            color_depth=ColorDepth.DEPTH_1_BIT if channels.plain else None,
        )
        self._app.ttimeoutlen = escape_seconds_max

    def run(self) -> tuple[str, ...] | None:
        """The ids that were chosen, None when somebody left. Raises what the worker broke on."""
        return self._app.run(pre_run=lambda: self._typed(self._buffer))

    def deliver(self, message: Message) -> None:
        """From the worker's thread: shown as soon as the screen has time."""
        loop = self._app.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._take, message)

    # ── what comes in ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _typed(self, buffer: Buffer) -> None:
        if self.worker is not None:
            line = " ".join(buffer.text.split("\n"))
            self._awaited = line
            self.worker.ask(line)
            asyncio.get_running_loop().call_later(patience_seconds, self._say_that_it_takes, line)

    def _say_that_it_takes(self, line: str) -> None:
        """The list still belongs to another line, and would pass for this one's."""
        if self._awaited == line and not self._message:
            self._message = "looking …"
            self._app.invalidate()

    def _take(self, message: Message) -> None:
        match message:
            case Broken(error):
                if self._app.is_running:
                    self._app.exit(exception=error)
            case Told(what, done, total):
                self._message = f"{what}: {done}" + (f" of {total}" if total else "")
            case Reply(line, None, problem):
                self._problem, self._message = problem, ""  # the last list that meant something stays
                self._answered(line)
            case Reply(line, listing, _) if listing is not None:
                self._list(listing.found, listing.sessions)
                self._answered(line)
        self._app.invalidate()

    def _answered(self, line: str) -> None:
        if self._awaited == line:
            self._awaited = None

    def _list(self, found: tuple[Found, ...], sessions: int | None) -> None:
        """The cursor stays with its session, if that is still there."""
        under = self._under()
        ids = [one.session.id for one in found]
        self._found, self._sessions = found, sessions
        self._cursor = ids.index(under.session.id) if under is not None and under.session.id in ids else 0
        self._problem = self._message = ""

    def _under(self) -> Found | None:
        return self._found[self._cursor] if self._found else None

    # ── what is shown ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _layout(self) -> Layout:
        typed = Window(BufferControl(self._buffer, input_processors=[BeforeInput("> ")]), height=1)
        listed = Window(
            FormattedTextControl(
                lambda: rows(self._found, self._cursor, self._marked, get_app().output.get_size().columns),
                get_cursor_position=lambda: Point(0, self._cursor),
                show_cursor=False,
            ),
            height=Dimension(weight=2),
            width=Dimension(weight=1),
        )
        seen = Window(
            FormattedTextControl(lambda: preview(self._under(), self.names)),
            wrap_lines=True,
            height=Dimension(weight=1),
            width=Dimension(weight=1),
        )
        beside = VSplit([listed, Window(width=1, char="│"), seen])
        below = HSplit([listed, Window(height=1, char="─"), seen])
        middle = DynamicContainer(
            lambda: beside if get_app().output.get_size().columns >= beside_columns_min else below
        )
        state = Window(FormattedTextControl(self._state), height=1)
        keys = Window(FormattedTextControl(HELP, style="class:faint"), height=1)
        return Layout(HSplit([typed, state, middle, keys]), focused_element=typed)

    def _state(self) -> StyleAndTextTuples:
        if self._problem:
            return [("class:problem", safe_line(self._problem))]
        return [("class:faint", self._message or status(len(self._found), self._sessions, len(self._marked)))]

    # ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        for names, step in (
            (("up", "c-p"), -1),
            (("down", "c-n"), 1),
            (("pageup",), -page_rows),
            (("pagedown",), page_rows),
        ):
            for name in names:
                keys.add(name)(lambda _, step=step: self._move(step))
        keys.add("tab")(lambda _: self._mark(1))
        keys.add("s-tab")(lambda _: self._mark(-1))
        keys.add("enter")(self._enter)
        keys.add(Keys.BracketedPaste)(lambda event: self._buffer.insert_text(safe_line(event.data)))
        for name in ("escape", "c-c", "c-g"):
            keys.add(name, eager=True)(lambda event: event.app.exit(result=None))
        return keys

    def _move(self, step: int) -> None:
        self._cursor = max(0, min(len(self._found) - 1, self._cursor + step))

    def _mark(self, step: int) -> None:
        under = self._under()
        if under is not None:
            if under.session.id in self._marked:
                del self._marked[under.session.id]
            else:
                self._marked[under.session.id] = None
            self._move(step)

    def _enter(self, event: KeyPressEvent) -> None:
        """The marked ones, else the one under the cursor; with an empty list nothing happens."""
        under = self._under()
        ids = tuple(self._marked) or ((under.session.id,) if under is not None else ())
        if ids:
            event.app.exit(result=ids)
