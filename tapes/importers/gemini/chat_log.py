"""Folding a chat's event log into the tree of its messages.

The log edits itself: the same id again replaces a message, `$rewindTo` takes the end of the chat back, `$set.messages` is a
checkpoint of all of it. What was taken back was said and paid for, and an import in the meantime would have stored it; so it
stays, as a branch, and whether the log was read once or in steps makes no difference.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from store.limits import MIB
from tapes.importers.lines import BadLine, Line, Record, decode, read_lines
from tapes.importers.turns import short_text

chat_bytes_max = 512 * MIB  # folding needs the whole chat in memory


@dataclass(slots=True)
class Message:
    """A message in its latest form; `after` is the message it was first said after."""

    record: Record
    after: str | None
    line: int


@dataclass(slots=True)
class ChatLog:
    """The fold: metadata, every message ever said in order of first appearance, the ids of those that stand."""

    meta: Record = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    standing: dict[str, None] = field(default_factory=dict)  # an ordered set
    problems: list[tuple[int, str]] = field(default_factory=list)

    def read(self, line: Line) -> None:
        """The next line; one that cannot be taken is a problem."""
        if line.record is None:
            self.problems.append((line.number, line.problem))
            return
        try:
            self.take(line.record, line.number)
        except BadLine as bad:
            self.problems.append((line.number, str(bad)))

    def take(self, record: Record, line: int) -> None:
        """The next record of the log. BadLine when it cannot be meant."""
        if "$rewindTo" in record:
            self._rewind(record["$rewindTo"])
        elif "$set" in record:
            self._set(record["$set"], line)
        elif "type" in record:
            self._say(record, line)
        elif "sessionId" in record or not self.meta:
            self._set(record, line)
        else:
            raise BadLine("neither a message nor a change of one")

    def _set(self, fields: Any, line: int) -> None:
        if not isinstance(fields, dict):
            raise BadLine("a change that is no object")
        messages = fields.get("messages")
        self.meta |= {name: value for name, value in fields.items() if name != "messages"}
        if isinstance(messages, list):
            self.standing.clear()
            for message in messages:
                try:
                    self._say(message, line)
                except BadLine as bad:
                    self.problems.append((line, str(bad)))

    def _say(self, record: Any, line: int) -> None:
        told = short_text(record.get("id")) if isinstance(record, dict) else ""
        if not told:
            raise BadLine("a message without an id")
        known = self.messages.get(told)
        if known is None:
            self.messages[told] = Message(record, next(reversed(self.standing), None), line)
        else:
            known.record, known.line = record, line
        self.standing[told] = None

    def _rewind(self, told: Any) -> None:
        """Take back that message and all after it; everything, when it does not stand."""
        if not isinstance(told, str) or told not in self.standing:
            self.standing.clear()
            return
        while self.standing.popitem()[0] != told:
            pass


def read_chat(path: Path) -> ChatLog:
    """The fold of a chat file, event log or legacy object. BadLine when it is too large; OSError when it cannot be read."""
    log = ChatLog()
    with path.open("rb") as file:
        if file.seek(0, 2) > chat_bytes_max:
            raise BadLine(f"larger than {chat_bytes_max // MIB} MiB")
        for line in _records(file, legacy=path.suffix == ".json"):
            log.read(line)
    return log


def _records(file: BinaryIO, *, legacy: bool) -> Iterable[Line]:
    return _legacy(file) if legacy else read_lines(file, 0, 1)


def _legacy(file: BinaryIO) -> Iterator[Line]:
    """The one object of a legacy chat, as one `$set`."""
    file.seek(0)
    raw = file.read()
    try:
        yield Line(1, 0, len(raw), {"$set": decode(raw.strip())})
    except BadLine as bad:
        yield Line(1, 0, len(raw), None, str(bad))
