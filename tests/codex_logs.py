"""Codex rollouts, made up: token counts where any version puts them, forks, subagents; and the truth, told apart from them.

The truth is counted where a call is invented, never by reading lines back.
"""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import zstandard

Record = dict[str, Any]
MODELS = ("gpt-5-codex", "gpt-5.1-codex-mini", "some-local-model")
ORDERS = (
    "after",
    "before",
    "late",
)  # where a call's token count stands: after its items, before them, after the answers
WORDS = ("refactor", "the", "parser", "重构", "Ω", "🦜", "tests", '"', "\\", "tab\t", "nul\u0000", "\u2028")


@dataclass
class Truth:
    """What the rollouts hold, each thing once."""

    tokens: dict[str, Counter[str]] = field(default_factory=dict)  # model -> class -> tokens
    calls: int = 0
    inputs: int = 0
    roots: int = 0
    bad_lines: int = 0

    @property
    def nodes(self) -> int:
        """All nodes an import makes."""
        return self.calls + self.inputs + self.roots


@dataclass
class World:
    """The source of ids, times and choices; one seed gives the same logs on every machine."""

    rng: random.Random
    truth: Truth = field(default_factory=Truth)
    at: datetime = datetime(2026, 2, 14, 9, 30, tzinfo=UTC)

    def uuid(self) -> str:
        h = f"{self.rng.getrandbits(128):032x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def tick(self) -> str:
        self.at += timedelta(milliseconds=self.rng.randint(1, 90_000))
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def words(self) -> str:
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(1, 12)))


@dataclass
class Rollout:
    """One rollout in the making."""

    world: World
    cwd: str = "/home/kim/src/heron"
    order: str = "after"
    lines: list[Record | bytes] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    id: str = ""
    name: str = ""
    model: str = MODELS[0]
    turns: list[tuple[str, int, int]] = field(
        default_factory=list
    )  # (turn id, first line, one past the last)

    def begin(self, **meta: Any) -> "Rollout":
        """The first line, in a file named as Codex names it."""
        self.id = self.world.uuid()
        at = self.world.tick()
        self.name = f"rollout-{at[:19].replace(':', '-')}-{self.id}"
        meta = {"id": self.id, "timestamp": at, "cwd": self.cwd, "originator": "codex_cli_rs", **meta}
        self.line(
            "session_meta", {"cli_version": "0.98.0", "source": "cli", "model_provider": "openai", **meta}
        )
        return self

    def line(self, kind: str, payload: Record) -> None:
        self.lines.append({"timestamp": self.world.tick(), "type": kind, "payload": payload})

    def item(self, kind: str, **fields: Any) -> None:
        self.line("response_item", {"type": kind, **fields})

    def event(self, kind: str, **fields: Any) -> None:
        self.line("event_msg", {"type": kind, **fields})

    def said(self, text: str, role: str = "user") -> None:
        """A message to the model, and its echo for the screen."""
        self.item("message", role=role, content=[{"type": "input_text", "text": text}])
        if role == "user":
            self.event("user_message", message=text, images=[])
        self.world.truth.inputs += 1

    def turn(self, calls: int = 2) -> str:
        """A user's turn: a prompt, calls with tools, a last answer."""
        first, turn_id = len(self.lines), self.world.uuid()
        model = self.model = self.world.rng.choice(MODELS)
        self.event("task_started", turn_id=turn_id, model_context_window=272_000)
        self.line("turn_context", {"turn_id": turn_id, "cwd": self.cwd, "model": model, "effort": "high"})
        self.said(self.world.words())
        for number in range(calls):
            self.call(model, tool=number < calls - 1)
        self.event("task_complete", turn_id=turn_id, last_agent_message="done")
        self.turns.append((turn_id, first, len(self.lines)))
        return turn_id

    def call(self, model: str, *, tool: bool) -> None:
        """One model call: reasoning, then a tool call with its answer, or words; its token count where the version puts it."""
        usage = self.count(model)
        if self.order == "before":
            self.token_count(usage)
        self.item(
            "reasoning",
            summary=[{"type": "summary_text", "text": self.world.words()}],
            encrypted_content="gAAA",
        )
        self.event("agent_reasoning", text="as above")
        call_id = f"call_{self.world.rng.getrandbits(64):016x}"
        if tool:
            self._tool_call(call_id)
        else:
            text = self.world.words()
            self.item("message", role="assistant", content=[{"type": "output_text", "text": text}])
            self.event("agent_message", message=text)
        if self.order == "after" or (self.order == "late" and not tool):
            self.token_count(usage)
        if tool:
            self._answer(call_id)
            if self.order == "late":
                self.token_count(usage)

    def count(self, model: str) -> Record:
        """Invent a call's usage, and count it."""
        rng = self.world.rng
        whole = rng.randint(1, 90_000)
        read = rng.randint(0, whole)
        write = rng.choice((0, 0, rng.randint(0, whole - read)))
        output = rng.randint(1, 4_000)
        self.world.truth.calls += 1
        into = self.world.truth.tokens.setdefault(model, Counter())
        into.update(input_uncached=whole - read - write, cache_read=read, cache_write=write, output=output)
        return {
            "input_tokens": whole,
            "cached_input_tokens": read,
            "cache_write_input_tokens": write,
            "output_tokens": output,
            "reasoning_output_tokens": output // 3,
            "total_tokens": whole + output,
        }

    def token_count(self, usage: Record) -> None:
        """The event, sometimes without the last call's own figures, mostly written again when rate limits change."""
        self.totals.update(usage)
        info = {"total_token_usage": dict(self.totals), "model_context_window": 272_000}
        if self.world.rng.random() < 0.8:
            info["last_token_usage"] = usage
        for _ in range(self.world.rng.choice((1, 1, 2, 3))):
            self.event("token_count", info=info, rate_limits={"primary": {"used_percent": 3.0}})
        if self.world.rng.random() < 0.3:
            self.event("token_count", info=None, rate_limits=None)

    def _tool_call(self, call_id: str) -> None:
        if self.world.rng.random() < 0.5:
            arguments = json.dumps({"command": ["bash", "-lc", self.world.words()]})
            self.item("function_call", name="shell", arguments=arguments, call_id=call_id)
        else:
            self.item(
                "custom_tool_call",
                status="completed",
                name="apply_patch",
                input="*** Begin Patch\n",
                call_id=call_id,
            )

    def _answer(self, call_id: str) -> None:
        failed = self.world.rng.random() < 0.3
        output = json.dumps({"output": self.world.words(), "metadata": {"exit_code": int(failed)}})
        self.item("function_call_output", call_id=call_id, output=output)
        self.world.truth.inputs += 1

    def compaction(self) -> None:
        """The history is replaced by a summary, whose call has no items; the history repeated is no new turn."""
        self.token_count(self.count(self.model))
        history = [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "again"}]}
        ] * 3
        self.line("compacted", {"message": self.world.words(), "replacement_history": history})

    def replayed(self, turns: int | None = None) -> "list[Record | bytes]":
        """What a fork or a subagent of this thread copies: its first turns, stamped anew."""
        end = self.turns[-1 if turns is None else turns - 1][2]
        at = self.world.tick()
        return [{**line, "timestamp": at} for line in self.lines[:end] if isinstance(line, dict)]

    def child(self, *, subagent: bool = False, turns: int | None = None) -> "Rollout":
        """A fork or a subagent, with the replay at its top."""
        spawn = {"source": {"subagent": {"thread_spawn": {"parent_thread_id": self.id, "depth": 1}}}}
        made = Rollout(self.world, self.cwd, self.order).begin(
            **(spawn if subagent else {"forked_from_id": self.id})
        )
        made.lines += self.replayed(turns)
        for line in made.lines:
            if isinstance(line, dict) and line["payload"].get("info"):
                made.totals = Counter(line["payload"]["info"]["total_token_usage"])
        if subagent:  # what precedes the first turn belongs to none, so nothing tells that it is the parent's
            self.world.truth.roots += 1
            leading = [line for line in self.lines[: self.turns[0][1]] if isinstance(line, dict)]
            self.world.truth.inputs += sum(line["type"] == "response_item" for line in leading)
        return made

    def data(self) -> bytes:
        """The file's bytes."""
        return b"".join(encode(line) for line in self.lines)

    def write(self, home: Path, *, packed: bool = False) -> Path:
        """The file below a Codex home."""
        folder = home / "sessions" / self.name[8:12] / self.name[13:15] / self.name[16:18]
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.name}.jsonl{'.zst' if packed else ''}"
        file.write_bytes(zstandard.compress(self.data()) if packed else self.data())
        return file


def encode(line: Record | bytes) -> bytes:
    """A line as it stands in the file."""
    return (
        line
        if isinstance(line, bytes)
        else json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    )


def write_world(home: Path, seed: int, *, children: bool = True) -> Truth:
    """A Codex home with everything in it."""
    world = World(random.Random(seed))
    for order in ORDERS:
        rollout = Rollout(world, cwd=f"/home/kim/src/{order}", order=order).begin()
        world.truth.roots += 1
        rollout.said("<environment_context>…</environment_context>", role="developer")
        for _ in range(world.rng.randint(2, 4)):
            rollout.turn(world.rng.randint(1, 4))
            if world.rng.random() < 0.4:
                rollout.compaction()
            if world.rng.random() < 0.4:
                rollout.lines.append(world.rng.choice((b"{nonsense\n", b"\xff\xfe\n", b"[1, 2]\n")))
                world.truth.bad_lines += 1
        made = [rollout, *(_children(rollout) if children else ())]
        made[-1].lines.append(b'{"timestamp": "2026-02-14T10:0')  # torn: a kill while writing
        for each in made:
            each.write(home, packed=world.rng.random() < 0.3)
    return world.truth


def _children(rollout: Rollout) -> list[Rollout]:
    fork = rollout.child(turns=1)
    fork.turn()
    again = fork.child()
    again.turn(1)
    subagent = rollout.child(subagent=True, turns=2)
    subagent.turn(3)
    return [fork, again, subagent]
