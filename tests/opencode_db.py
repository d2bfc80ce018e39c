"""opencode's stores, made up: the database edited in place, the JSON files of before, and the truth about both."""

import json
import random
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]
MODELS = (("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-5"), ("local", "qwen-some"))
WORDS = ("refactor", "the", "parser", "重构", "Ω", "🦜", "tests", '"', "\\", "tab\t", "nul\u0000", "\u2028")
DDL = """
CREATE TABLE project (id TEXT PRIMARY KEY, worktree TEXT);
CREATE TABLE session (id TEXT PRIMARY KEY, project_id TEXT, parent_id TEXT, directory TEXT, title TEXT,
    time_created INTEGER, time_updated INTEGER);
CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER, time_updated INTEGER, data TEXT);
CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, time_created INTEGER, time_updated INTEGER, data TEXT);
INSERT INTO project VALUES ('global', '/');
"""


@dataclass
class Message:
    """A message with its parts by id."""

    id: str
    data: Record
    parts: dict[str, Record] = field(default_factory=dict)


@dataclass
class Session:
    """A session in the making. Its messages can be put into either store, again after each change."""

    rng: random.Random
    directory: str = "/home/kim/src/heron"
    parent: str | None = None
    messages: list[Message] = field(default_factory=list)
    tokens: dict[str, Counter[str]] = field(default_factory=dict)
    nodes: int = 1
    at_ms: int = 1_771_061_400_000

    def __post_init__(self) -> None:
        self.id = self._id("ses")

    def _id(self, kind: str) -> str:
        self.at_ms += self.rng.randint(1, 90_000)
        return f"{kind}_{self.at_ms:012x}{self.rng.getrandbits(48):012x}"

    def words(self) -> str:
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(1, 12)))

    def _message(self, role: str, **data: Any) -> Message:
        told = self._id("msg")
        message = Message(told, {"role": role, "time": {"created": self.at_ms}, **data})
        self.messages.append(message)
        self.nodes += 1
        return message

    def _part(self, message: Message, kind: str, **data: Any) -> str:
        told = self._id("prt")
        message.parts[told] = {"type": kind, **data}
        return told

    def user(self) -> None:
        self._part(self._message("user"), "text", text=self.words())

    def begin(self) -> Message:
        """An assistant's message that has only begun: a tool runs, no figures yet."""
        provider, model = self.rng.choice(MODELS)
        zero = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
        path = {"cwd": self.directory, "root": "/"}
        message = self._message(
            "assistant", providerID=provider, modelID=model, cost=0, tokens=zero, path=path
        )
        self._part(message, "step-start")
        self._part(message, "reasoning", text=self.words())
        state = {"status": "running", "input": {"command": "ls"}}
        self._part(message, "tool", tool="bash", callID=f"call_{message.id}", state=state)
        return message

    def finish(self, message: Message, steps: int = 1) -> None:
        """The message is done: the tool's row is edited in place, its steps have figures, and so has the message."""
        for part in message.parts.values():
            if part["type"] == "tool":
                part["state"] = {
                    **part["state"],
                    "status": "completed",
                    "output": self.words(),
                    "metadata": {"exit": 1},
                }
        self.nodes += 1
        self._part(message, "text", text=self.words())
        used = [self._step(message) for _ in range(steps)]
        message.data |= {"tokens": used[-1], "finish": "stop"}  # some versions keep the last step only
        message.data["time"] = {**message.data["time"], "completed": self.at_ms}

    def _step(self, message: Message) -> Record:
        rng = self.rng
        read, write, reasoning = rng.randint(0, 9_000), rng.randint(0, 900), rng.randint(0, 300)
        tokens = {"input": rng.randint(1, 900), "output": rng.randint(1, 900), "reasoning": reasoning}
        into = self.tokens.setdefault(message.data["modelID"], Counter())
        into.update(input_uncached=tokens["input"], cache_read=read, cache_write=write)
        if rng.random() < 0.5:  # a provider whose output includes the reasoning says so by its total
            whole = {**tokens, "output": tokens["output"] + reasoning}
            tokens = {**whole, "total": whole["input"] + whole["output"] + read + write}
            into["output"] += whole["output"]
        else:
            into["output"] += tokens["output"] + reasoning
        used = {**tokens, "cache": {"read": read, "write": write}}
        self._part(message, "step-finish", tokens=used, cost=0)
        return used

    def turn(self) -> None:
        self.user()
        for _ in range(self.rng.randint(1, 3)):
            self.finish(self.begin(), self.rng.choice((1, 1, 2, 3)))


def save(db: sqlite3.Connection, session: Session) -> None:
    """Bring the database up to what the session is now: rows are edited in place, as opencode does."""
    now = session.at_ms + 1
    row = (session.id, "global", session.parent, session.directory, "A title", 1, now)
    db.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    for message in session.messages:
        made = (message.id, session.id, message.data["time"]["created"], now, json.dumps(message.data))
        db.execute("INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)", made)
        for told, part in message.parts.items():
            kept = (told, message.id, session.id, now, now, json.dumps(part))
            db.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)", kept)
    db.commit()


def new_database(path: Path) -> sqlite3.Connection:
    """An empty database in WAL mode, left open as by a running opencode: its newest rows are in the WAL only."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(DDL)
    return db


def save_legacy(storage: Path, session: Session) -> None:
    """The session as JSON files."""
    info = {"id": session.id, "directory": session.directory, "projectID": "global"}
    if session.parent:
        info["parentID"] = session.parent
    _write(storage / "session" / "global" / f"{session.id}.json", info)
    for message in session.messages:
        data = {**message.data, "id": message.id, "sessionID": session.id}
        _write(storage / "message" / session.id / f"{message.id}.json", data)
        for told, part in message.parts.items():
            _write(
                storage / "part" / message.id / f"{told}.json", {**part, "id": told, "messageID": message.id}
            )


def _write(file: Path, value: Record) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def world(seed: int) -> list[Session]:
    """A session, a subagent of it, a subagent of that, and one of another project."""
    rng = random.Random(seed)
    first = Session(rng)
    sessions = [first, Session(rng, parent=first.id), Session(rng, directory="/home/kim/src/kite")]
    sessions.append(Session(rng, parent=sessions[1].id))
    for session in sessions:
        for _ in range(rng.randint(1, 3)):
            session.turn()
    return sessions


def truth(sessions: list[Session]) -> dict[str, Counter[str]]:
    """Model -> class -> tokens of all sessions."""
    totals: dict[str, Counter[str]] = {}
    for session in sessions:
        for model, counts in session.tokens.items():
            totals.setdefault(model, Counter()).update(counts)
    return {model: +counts for model, counts in totals.items()}
