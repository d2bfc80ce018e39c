"""Gemini CLI chats, made up: an event log that edits itself, and the truth about it, told apart from the log."""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

Record = dict[str, Any]
MODELS = ("gemini-2.5-pro", "gemini-2.5-flash")
WORDS = ("refactor", "the", "parser", "重构", "Ω", "🦜", "tests", '"', "\\", "tab\t", "nul\u0000", "\u2028")


@dataclass
class Truth:
    """What the chats hold, each thing once."""

    tokens: dict[str, Counter[str]] = field(default_factory=dict)  # model -> class -> tokens
    nodes: int = 0
    bad_lines: int = 0


@dataclass
class Chat:
    """One chat in the making. `messages` are those that stand, in their latest form."""

    rng: random.Random
    session: str = ""
    truth: Truth = field(default_factory=Truth)
    lines: list[Record | bytes] = field(default_factory=list)
    messages: list[Record] = field(default_factory=list)
    at: datetime = datetime(2026, 2, 14, 9, 30, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.session = self.session or f"{self.rng.getrandbits(128):032x}"
        self.lines.append(
            {"sessionId": self.session, "projectHash": "x", "startTime": self._tick(), "kind": "main"}
        )
        self.truth.nodes += 1

    def _tick(self) -> str:
        self.at += timedelta(milliseconds=self.rng.randint(1, 90_000))
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def words(self) -> str:
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(1, 12)))

    def _say(self, kind: str, **fields: Any) -> Record:
        told = f"{self.rng.getrandbits(64):016x}"
        message = {"id": told, "timestamp": self._tick(), "type": kind, **fields}
        self.lines.append(message)
        self.messages.append(message)
        self.truth.nodes += 1
        return message

    def user(self) -> None:
        content: Any = [{"text": self.words()}] if self.rng.random() < 0.5 else self.words()
        self._say("user", content=content)

    def info(self) -> None:
        self._say(self.rng.choice(("info", "error", "warning")), content=self.words())

    def gemini(self, *, tool: bool) -> None:
        """A call: written once without figures, again with them, and with the tool's result."""
        model = self.rng.choice(MODELS)
        message = self._say(
            "gemini", content="", model=model, thoughts=[{"subject": "S", "description": self.words()}]
        )
        message = {**message, "content": self.words(), "tokens": self._count(model)}
        if tool:
            call = {
                "id": f"c{self.rng.getrandbits(40)}",
                "name": "read_file",
                "args": {"path": "a"},
                "status": "success",
            }
            self.lines.append({**message, "toolCalls": [{**call, "status": "executing"}]})
            response = {
                "functionResponse": {
                    "id": call["id"],
                    "name": "read_file",
                    "response": {"output": self.words()},
                }
            }
            message = {**message, "toolCalls": [{**call, "result": [response], "timestamp": self._tick()}]}
            self.truth.nodes += 1
        self.lines.append(message)
        self.messages[-1] = message

    def _count(self, model: str) -> Record:
        whole = self.rng.randint(1, 90_000)
        cached, output, thoughts = (
            self.rng.randint(0, whole),
            self.rng.randint(0, 900),
            self.rng.randint(0, 900),
        )
        into = self.truth.tokens.setdefault(model, Counter())
        into.update(input_uncached=whole - cached, cache_read=cached, output=output + thoughts)
        total = whole + output + thoughts
        return {
            "input": whole,
            "output": output,
            "cached": cached,
            "thoughts": thoughts,
            "tool": 0,
            "total": total,
        }

    def turn(self) -> None:
        self.user()
        for _ in range(self.rng.randint(0, 3)):
            self.gemini(tool=True)
        if self.rng.random() < 0.3:
            self.info()
        self.gemini(tool=False)

    def rewind(self) -> None:
        """Take a message back and all after it. Their calls were paid for."""
        at = self.rng.randrange(len(self.messages))
        self.lines.append({"$rewindTo": self.messages[at]["id"]})
        del self.messages[at:]

    def checkpoint(self) -> None:
        """All messages that stand, once more."""
        self.lines.append({"$set": {"messages": list(self.messages), "lastUpdated": self._tick()}})

    def junk(self) -> None:
        self.lines.append(self.rng.choice((b"{nonsense\n", b"\xff\n", b"7\n", b'{"type": "user"}\n')))
        self.truth.bad_lines += 1

    def data(self) -> bytes:
        return b"".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in self.lines
        )

    def legacy(self) -> bytes:
        """The chat as one object, as older versions kept it."""
        head = self.lines[0]
        assert isinstance(head, dict)
        return json.dumps({**head, "messages": self.messages}, indent=2).encode()


def live_chat(rng: random.Random) -> Chat:
    """A chat with everything in it."""
    chat = Chat(rng)
    for _ in range(rng.randint(2, 5)):
        chat.turn()
        rng.choice((chat.rewind, chat.checkpoint, chat.junk, chat.user))()
    return chat


def write_world(gemini: Path, seed: int) -> tuple[Truth, list[Chat]]:
    """A .gemini folder with two projects, one of them by the hash of its path, and a subagent."""
    rng = random.Random(seed)
    paths = {"/home/kim/src/heron": "heron", "/home/kim/src/old": "old-slug"}
    gemini.mkdir(parents=True, exist_ok=True)
    (gemini / "projects.json").write_text(json.dumps({"projects": paths}))
    chats = [live_chat(rng) for _ in range(3)]
    folders = ("heron", sha256(b"/home/kim/src/old").hexdigest())
    for number, chat in enumerate(chats[:2]):
        folder = gemini / "tmp" / folders[number] / "chats"
        folder.mkdir(parents=True)
        (folder / f"session-2026-02-14T09-3{number}-{chat.session[:8]}.jsonl").write_bytes(chat.data())
    below = gemini / "tmp" / "heron" / "chats" / chats[0].session
    below.mkdir()
    (below / f"{chats[2].session}.jsonl").write_bytes(chats[2].data() + b'{"id": "to')
    truth = Truth(
        nodes=sum(chat.truth.nodes for chat in chats), bad_lines=sum(chat.truth.bad_lines for chat in chats)
    )
    for chat in chats:
        for model, counts in chat.truth.tokens.items():
            truth.tokens.setdefault(model, Counter()).update(counts)
    return truth, chats
