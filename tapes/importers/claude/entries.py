"""One log line as the importer sees it: what kind it is, who it is, what it follows, which message it is part of.

Ids come from a closed writer and from whoever edited its files, so none is trusted to be there, to be text, or to be short.
"""

from hashlib import sha256
from typing import Any, Literal, NamedTuple

from tapes.importers.claude.blocks import Blocks, map_content
from tapes.importers.claude.files import LogFile
from tapes.importers.claude.usage import output_tokens
from tapes.importers.lines import BadLine, Line, Record, compact

id_chars_max = 256
_global_id_chars_min = 16  # shorter ids of unknown make are counters of some proxy, not ids of the world
_api_id_prefix = "msg_"

Kind = Literal["user", "assistant", "side"]


class Entry(NamedTuple):
    """A line with its ids. Keys are what the local store remembers: `uuid:…` or, for a line without one, `line:…`."""

    line: Line
    record: Record
    kind: Kind
    key: str
    parent_key: str | None
    session: str
    agent: str | None  # set for a subagent's or sidechain's line; "" when it does not say whose
    message_key: str | None = None  # `msg:…`, shared by all lines of one model call
    blocks: Blocks | None = None
    output_tokens: int = -1  # -1: the line has no usage
    spliced: bool = False  # a queued prompt: it has no place in the tree but its place in the file

    @property
    def lane(self) -> str:
        """The session, or the subagent of it, that this line belongs to."""
        return self.session if self.agent is None else f"{self.session}/{self.agent}"

    @property
    def result_ids(self) -> frozenset[str]:
        """The tool calls that this line answers."""
        content = self.blocks.content if self.blocks and self.kind == "user" else ()
        return frozenset(block["tool_result_id"] for block in content if block["type"] == "tool_result")


def entry_of(line: Line, log: LogFile) -> Entry:
    """Classify a line; BadLine when it could not be read, or claims to be a turn and is none."""
    if line.record is None:
        raise BadLine(line.problem)
    record = line.record
    session = short_text(record.get("sessionId")) or log.session
    uuid = short_text(record.get("uuid"))
    parent = short_text(record.get("parentUuid"))
    key = f"uuid:{uuid}" if uuid else ""
    parent_key = f"uuid:{parent}" if parent else None
    agent = _agent(record, log)
    kind = record.get("type")
    if kind == "attachment" and (prompt := _queued_prompt(record)) is not None:
        return Entry(
            line,
            record,
            "user",
            key or _line_key(record),
            parent_key,
            session,
            agent,
            blocks=prompt,
            spliced=not uuid,
        )
    if kind not in ("user", "assistant"):
        return Entry(line, record, "side", key, parent_key, session, agent)
    message = record.get("message")
    blocks = map_content(message.get("content")) if isinstance(message, dict) else None
    if blocks is None or not isinstance(message, dict):
        raise BadLine(f"a line of type {kind} without a message that can be read")
    key = key or _line_key(record)
    if kind == "user":
        return Entry(line, record, "user", key, parent_key, session, agent, blocks=blocks)
    return Entry(
        line, record, "assistant", key, parent_key, session, agent,
        message_key=_message_key(message, record, session),
        blocks=blocks,
        output_tokens=output_tokens(message.get("usage")),
    )  # fmt: skip


def short_text(value: Any) -> str:
    """`value` when it can serve as an id or a label, else ""."""
    return value if isinstance(value, str) and len(value) <= id_chars_max else ""


def _agent(record: Record, log: LogFile) -> str | None:
    if record.get("isSidechain") is not True and log.agent is None:
        return None
    return short_text(record.get("agentId")) or log.agent or ""


def _line_key(record: Record) -> str:
    """A line without uuid is known by its content: the same words at the same time are the same line logged again.

    A replay rewrites the session id, so that is left out; without a time only the session tells two equal lines apart.
    """
    timed = isinstance(record.get("timestamp"), str)
    told = {name: value for name, value in record.items() if name != "sessionId"} if timed else record
    return f"line:{sha256(compact(told).encode()).hexdigest()[:32]}"


def _queued_prompt(record: Record) -> Blocks | None:
    """The prompt a user typed while the agent was busy; it stands in the log as an attachment and nowhere else."""
    attachment = record.get("attachment")
    if not isinstance(attachment, dict) or attachment.get("type") != "queued_command":
        return None
    prompt = attachment.get("prompt")
    return map_content(prompt) if isinstance(prompt, str | list) and prompt else None


def _message_key(message: Record, record: Record, session: str) -> str | None:
    """The key of a model call, the same for all its lines and replays.

    The API's message ids are unique in the world, and a replay may have lost its requestId: then the id alone is the key, or
    the call would be counted twice. Proxies also hand out ids like "1" or one constant; those only mean something together
    with the session and the request.
    """
    message_id = short_text(message.get("id"))
    if not message_id:
        return None
    if message_id.startswith(_api_id_prefix) or len(message_id) >= _global_id_chars_min:
        return f"msg:{message_id}"
    return f"msg:{message_id}@{session}/{short_text(record.get('requestId'))}"
