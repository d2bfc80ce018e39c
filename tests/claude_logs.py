"""Claude Code logs, made up: real-shaped lines in every adversarial order, and the truth about them, told apart from the lines.

The truth is counted where a turn is invented (one call, its final usage; one prompt), never by reading lines back, so that an
importer which misreads the lines cannot agree with it by making the same mistake.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from store.facts import NodeFacts
from store.local import LocalStore

Record = dict[str, Any]
CLASSES = ("input_uncached", "cache_read", "cache_write", "cache_write_1h", "output")
MODELS = ("claude-sonnet-4-5-20250929", "claude-opus-4-6", "claude-haiku-4-5-20251001")
WORDS = (
    *("refactor", "the", "parser", "重构", "naïve", "Ω", "🦜", "tests", "please", "—", "now", "end"),
    *("<b>\u2028", "\\", '"', "tab\t", "nul\u0000", "</script>"),
)


@dataclass
class Truth:
    """What the logs hold, each thing once."""

    tokens: dict[str, Counter[str]] = field(default_factory=dict)  # model -> class -> tokens
    calls: int = 0
    prompts: int = 0  # every other turn: prompts, tool results, queued prompts
    roots: int = 0
    conversations: int = 0
    bad_lines: int = 0

    @property
    def nodes(self) -> int:
        """All nodes an import makes."""
        return self.calls + self.prompts + self.roots

    def count(self, model: str, usage: Record) -> None:
        """Count one call by its final usage."""
        self.calls += 1
        split = usage["cache_creation"]
        into = self.tokens.setdefault(model, Counter())
        into["input_uncached"] += usage["input_tokens"]
        into["cache_read"] += usage["cache_read_input_tokens"]
        into["cache_write"] += usage["cache_creation_input_tokens"]
        into["cache_write_1h"] += split["ephemeral_1h_input_tokens"]
        into["output"] += usage["output_tokens"]


@dataclass
class World:
    """The source of ids, times and choices; one seed gives the same logs on every machine."""

    rng: random.Random
    truth: Truth = field(default_factory=Truth)
    at: datetime = datetime(2026, 2, 14, 9, 30, tzinfo=UTC)
    request_ids: float = 1.0  # share of calls that carry a requestId

    def uuid(self) -> str:
        """A random id in the usual shape."""
        h = f"{self.rng.getrandbits(128):032x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def tick(self) -> str:
        """The next moment, as the logs write it."""
        self.at += timedelta(milliseconds=self.rng.randint(1, 90_000))
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def words(self) -> str:
        """Some text, with everything that breaks naive text handling."""
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(1, 12)))

    def usage(self) -> Record:
        """A call's final usage."""
        hour, five = self.rng.randint(0, 900), self.rng.randint(0, 900)
        return {
            "input_tokens": self.rng.randint(0, 5_000),
            "cache_creation_input_tokens": hour + five,
            "cache_read_input_tokens": self.rng.randint(0, 90_000),
            "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
            "output_tokens": self.rng.randint(20, 4_000),
            "service_tier": "standard",
        }


@dataclass
class Call:
    """One model call: its blocks and what each of its lines repeats."""

    message: Record
    usage: Record
    request: str | None
    blocks: list[Record]

    @property
    def tools(self) -> list[str]:
        """Ids of the tools it calls."""
        return [block["id"] for block in self.blocks if block["type"] == "tool_use"]


@dataclass
class Log:
    """One session's (or subagent's) file in the making."""

    world: World
    session: str
    cwd: str
    agent: str | None = None
    lines: list[Record | bytes] = field(default_factory=list)
    tip: str | None = None
    safe: list[int] = field(default_factory=list)  # line counts at which no call is half written

    def line(self, kind: str, **fields: Any) -> str:
        """Append an enveloped line at the tip; answers its uuid, which becomes the tip."""
        uuid = self.world.uuid()
        record = {
            "parentUuid": self.tip,
            "isSidechain": self.agent is not None,
            "userType": "external",
            "cwd": self.cwd,
            "sessionId": self.session,
            "version": "2.1.30",
            "gitBranch": "main",
            "type": kind,
            **({"agentId": self.agent} if self.agent else {}),
            **fields,
            "uuid": uuid,
            "timestamp": self.world.tick(),
        }
        self.lines.append(record)
        self.tip = uuid
        return uuid

    def prompt(self, content: Any = None, **fields: Any) -> str:
        """A user turn."""
        self.world.truth.prompts += 1
        words = self.world.words() if content is None else content
        return self.line("user", message={"role": "user", "content": words}, **fields)

    def queued(self) -> None:
        """A prompt typed while the agent was busy: an attachment without uuid or place in the tree."""
        self.world.truth.prompts += 1
        attachment = {"type": "queued_command", "prompt": self.world.words(), "commandMode": "prompt"}
        self.lines.append(
            {
                "type": "attachment",
                "attachment": attachment,
                "sessionId": self.session,
                "timestamp": self.world.tick(),
            }
        )

    def noise(self) -> None:
        """A line that is no turn; half of them stand in the chain of parents."""
        rng = self.world.rng
        if rng.random() < 0.5:
            kind = rng.choice(("system", "progress", "attachment", "hologram"))
            self.line(kind, content=self.world.words(), attachment={"type": "hook_success"}, subtype="info")
        else:
            kind = rng.choice(("file-history-snapshot", "queue-operation", "ai-title", "mode", "quux"))
            self.lines.append({"type": kind, "sessionId": self.session, "note": self.world.words()})

    def new_call(self, tools: int = 0) -> Call:
        """Invent a call, and count it."""
        world, rng = self.world, self.world.rng
        blocks: list[Record] = []
        if rng.random() < 0.5:
            blocks.append({"type": "thinking", "thinking": world.words(), "signature": world.uuid()})
        blocks.append({"type": "text", "text": f"{world.words()} {world.uuid()}"})
        for _ in range(tools):
            tool_id = f"toolu_{world.uuid()}"
            blocks.append(
                {"type": "tool_use", "id": tool_id, "name": "Bash", "input": {"command": world.words()}}
            )
        model, usage = rng.choice(MODELS), world.usage()
        world.truth.count(model, usage)
        request = f"req_{world.uuid()}" if rng.random() < world.request_ids else None
        message = {
            "id": f"msg_{world.uuid().replace('-', '')[:24]}",
            "type": "message",
            "role": "assistant",
            "model": model,
        }
        return Call(message, usage, request, blocks)

    def write(self, call: Call, index: int) -> str:
        """Write one block of a call: usage repeated, output_tokens growing up to the last line."""
        last = index == len(call.blocks) - 1
        output = (
            call.usage["output_tokens"]
            if last
            else self.world.rng.randint(1, call.usage["output_tokens"] // 2)
        )
        message = {
            **call.message,
            "content": [call.blocks[index]],
            "stop_reason": ("tool_use" if call.tools else "end_turn") if last else None,
            "usage": {**call.usage, "output_tokens": output},
        }
        fields = {"requestId": call.request} if call.request else {}
        return self.line("assistant", message=message, **fields)

    def call(self, tools: int = 0) -> list[str]:
        """A whole call, one line per block; answers the lines' uuids."""
        made = self.new_call(tools)
        uuids = [self.write(made, index) for index in range(len(made.blocks))]
        self._answer(made, uuids)
        return uuids

    def interleaved(self) -> None:
        """Two calls whose lines alternate."""
        left, right = self.new_call(), self.new_call()
        for index in range(max(len(left.blocks), len(right.blocks))):
            for call in (left, right):
                if index < len(call.blocks):
                    self.write(call, index)

    def _answer(self, call: Call, uuids: list[str]) -> None:
        """Results of parallel tools: each a line whose parent is the line of its own call."""
        by_tool = dict(zip(call.tools, uuids[-len(call.tools) :], strict=True)) if call.tools else {}
        for tool_id, parent in self.world.rng.sample(list(by_tool.items()), len(by_tool)):
            failed = {"is_error": True} if self.world.rng.random() < 0.2 else {}
            block = {"type": "tool_result", "tool_use_id": tool_id, "content": self.world.words(), **failed}
            self.tip = parent
            self.prompt([block], toolUseResult={"stdout": self.world.words()})

    def logged_again(self) -> None:
        """An earlier line once more, byte for byte."""
        records = [line for line in self.lines if isinstance(line, dict) and "uuid" in line]
        if records:
            self.lines.append(self.world.rng.choice(records[-4:]))

    def broken(self) -> None:
        """A line no reader can take."""
        self.world.truth.bad_lines += 1
        self.lines.append(
            self.world.rng.choice(
                [
                    b'{"type":"user","message":',
                    b"[1,2,3]",
                    b"\xff\xfe\xfa",
                    b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
                    b'{"type":"user","message":{"content":12},"uuid":"u"}',
                    b'{"type":"assistant","message":"hello","sessionId":7}',
                    b'{"type":"x","n":NaN}',
                    b'{"type":"x","n":1e999}',
                ]
            )
        )

    def turns(self, count: int) -> None:
        """Some rounds of everything that happens in a session."""
        rng = self.world.rng
        for _ in range(count):
            for _ in range(rng.randint(0, 2)):
                self.noise()
            if rng.random() < 0.1:
                self.tip = None  # compaction: the tree is cut, the story goes on
            self.prompt()
            if rng.random() < 0.2:
                self.queued()
            rng.choice([self.call, lambda: self.call(1), lambda: self.call(3), self.interleaved])()
            if rng.random() < 0.3:
                self.call()
            if rng.random() < 0.3:
                self.logged_again()
            if rng.random() < 0.15:
                self.broken()
            self.safe.append(len(self.lines))

    def forked(self, session: str) -> "Log":
        """A fork: the lines up to a safe point replayed under another session id, some without their requestId."""
        world = self.world
        cut = world.rng.choice(self.safe)
        copied: list[Record | bytes] = []
        for line in self.lines[:cut]:
            if isinstance(line, dict):
                copied.append({**line, "sessionId": session})
                if world.request_ids < 1 and world.rng.random() < 0.5:
                    copied[-1].pop("requestId", None)  # type: ignore[union-attr]  # it is the dict just made
        tips = [line["uuid"] for line in copied if isinstance(line, dict) and "uuid" in line]
        fork = Log(world, session, self.cwd, self.agent, copied, tips[-1])
        fork.safe = [cut for cut in self.safe if cut <= len(copied)]
        return fork

    def data(self, *, torn: bool = False) -> bytes:
        """The file's bytes; torn: the last line is cut."""
        rows = [line if isinstance(line, bytes) else encode(line) for line in self.lines]
        whole = b"".join(row + b"\n" for row in rows)
        return whole + b'{"type":"user","uuid":"torn","mess' if torn else whole


def encode(record: Record) -> bytes:
    """A line as Claude Code writes it."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def write_world(
    root: Path, seed: int, *, sessions: int = 3, turns: int = 4, request_ids: float = 0.7
) -> Truth:
    """Write a projects folder of sessions, subagents and forks, and say what is in it."""
    world = World(random.Random(seed), request_ids=request_ids)
    truth = world.truth
    for number in range(sessions):
        project = root / f"-home-kim-p{number}"
        log = Log(world, world.uuid(), f"/home/kim/p{number}")
        truth.roots += 1
        truth.conversations += 1
        log.turns(turns)
        _save(project / f"{log.session}.jsonl", log.data(torn=number == 0))
        _subagents(world, log, project)
        if number % 2 == 0:
            fork = log.forked(world.uuid())
            fork.turns(2)
            _save(project / f"{fork.session}.jsonl", fork.data())
    return truth


def _subagents(world: World, log: Log, project: Path) -> None:
    for depth in ("", "workflows/wf_1/")[: world.rng.randint(0, 2)]:
        agent = f"a{world.rng.getrandbits(32):08x}"
        sub = Log(world, log.session, log.cwd, agent)
        world.truth.roots += 1
        sub.turns(2)
        _save(project / log.session / "subagents" / f"{depth}agent-{agent}.jsonl", sub.data())


def _save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def stored(store: LocalStore) -> Iterator[NodeFacts]:
    """The nodes that count: those without a complete successor."""
    return (row.facts for row in store.facts() if not row.superseded)


def stored_tokens(store: LocalStore) -> dict[str, Counter[str]]:
    """Model -> class -> tokens, each call once, by its largest output."""
    best: dict[str, NodeFacts] = {}
    for facts in stored(store):
        if facts.usage_id and facts.output is not None:
            have = best.get(facts.usage_id)
            if have is None or have.output is None or facts.output > have.output:
                best[facts.usage_id] = facts
    totals: dict[str, Counter[str]] = {}
    for facts in best.values():
        into = totals.setdefault(facts.model or "", Counter())
        into.update({name: getattr(facts, name) or 0 for name in CLASSES})
    return totals
