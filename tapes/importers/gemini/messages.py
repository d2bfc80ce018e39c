"""A chat's messages -> turns. One message of Gemini's holds its tool calls together with their results: that makes two turns."""

from datetime import datetime
from typing import Any

from store.nodes import Cost, Usage
from tapes import prices
from tapes.importers.gemini.chat_log import ChatLog, Message
from tapes.importers.lines import Block, Record, compact
from tapes.importers.times import format_time, parse_time
from tapes.importers.tokens import bad_counts, count, from_inclusive
from tapes.importers.turns import Turn, call_block, kept_block, result_block, short_text, text_block
from tapes.importers.whole_session import Problem, Session

HARNESS = "gemini"
_COUNTS = ("input", "output", "cached", "thoughts", "tool", "total")
_PLACED = frozenset({"id", "type", "content", "toolCalls", "thoughts", "tokens", "model", "timestamp"})
_FAILED = ("error", "cancelled", "canceled")


def session_of(log: ChatLog, name: str, caller: str | None, project: str | None) -> Session:
    """The session that a folded chat is; `name` serves when the chat does not give its id."""
    session_id = short_text(log.meta.get("sessionId")) or name
    session = Session(
        id=session_id,
        turns=[],
        above=(caller,) if caller and caller != session_id else (),
        project=project,
        created_at=_time(log.meta.get("startTime")),
        extra={"meta": log.meta} if log.meta else {},
        problems=[Problem(line, what) for line, what in log.problems],
    )
    last: dict[str | None, str | None] = {None: None}  # message -> the key of its last turn
    for told, message in log.messages.items():
        turns = _turns(message, f"msg:{session_id}/{told}", last[message.after], project)
        if problem := _problem(message.record):
            session.problems.append(Problem(message.line, problem, skipped=False))
        session.turns.extend(turns)
        last[told] = turns[-1].key
    return session


def _turns(message: Message, key: str, parent_key: str | None, project: str | None) -> list[Turn]:
    record = message.record
    kind = short_text(record.get("type"))
    content = _content(record.get("content"))
    extra = {name: value for name, value in record.items() if name not in _PLACED and value is not None}
    at = parse_time(record.get("timestamp"))
    if kind != "gemini":
        # What the program said (info, error, warning) was no part of the model's conversation.
        role = "user" if kind == "user" else "system"
        named = "message" if kind == "user" else kind or "unknown"
        created_at = format_time(at)
        return [
            Turn(key, role, content, parent_key, named, project=project, created_at=created_at, extra=extra)
        ]
    calls = [call for call in _list(record.get("toolCalls")) if isinstance(call, dict)]
    model = short_text(record.get("model"))
    usage = usage_of(record.get("tokens"))
    said = Turn(
        key=key,
        role="assistant",
        content=[*map(_thought, _list(record.get("thoughts"))), *content, *map(_call, calls)],
        parent_key=parent_key,
        model=model,
        provider="google",
        usage=usage,
        cost=_cost(usage, model, at),
        usage_id=key.removeprefix("msg:"),
        project=project,
        created_at=format_time(at),
        extra=extra,
    )
    results = [block for call in calls for block in _results(call)]
    if not results:
        return [said]
    answered = Turn(
        f"{key}/results", "user", results, key, project=project, created_at=_time(calls[-1].get("timestamp"))
    )
    return [said, answered]


def usage_of(tokens: Any) -> Usage | None:
    """Normalise a `tokens` object: its input includes what was cached, its output leaves the thoughts out."""
    if not isinstance(tokens, dict):
        return None
    return from_inclusive(
        tokens,
        whole=count(tokens.get("input")),
        read=count(tokens.get("cached")),
        write=0,
        output=count(tokens.get("output")) + count(tokens.get("thoughts")),
    )


def _cost(usage: Usage | None, model: str, at: datetime | None) -> Cost | None:
    return None if usage is None else prices.computed(usage, model, "google", at)


def _problem(record: Record) -> str:
    tokens = record.get("tokens")
    if tokens is None:
        return ""
    if not isinstance(tokens, dict):
        return "tokens is not an object"
    bad = bad_counts(tokens, *_COUNTS)
    return f"tokens.{bad} is not a count" if bad else ""


def _content(content: Any) -> list[Block]:
    if content is None or content == "":
        return []
    return [_part(part) for part in (content if isinstance(content, list) else [content])]


def _part(part: Any) -> Block:
    if isinstance(part, str):
        return text_block(part)
    if isinstance(part, dict):
        if isinstance(part.get("text"), str):
            return {"type": "thinking" if part.get("thought") is True else "text", "text": part["text"]}
        data = part.get("inlineData")
        if (
            isinstance(data, dict)
            and isinstance(data.get("data"), str)
            and isinstance(data.get("mimeType"), str)
        ):
            return {"type": "image", "image_base64": data["data"], "media_type": data["mimeType"]}
    return kept_block(part, _part_kind(part))


def _part_kind(part: Any) -> str:
    """A part has no type; its first field says what it is (`functionCall`, `fileData`)."""
    return short_text(next(iter(part), "")) if isinstance(part, dict) else ""


def _thought(thought: Any) -> Block:
    if not isinstance(thought, dict):
        return kept_block(thought, "thinking")
    texts = [thought[name] for name in ("subject", "description") if isinstance(thought.get(name), str)]
    return {"type": "thinking", "text": "\n".join(texts)}


def _call(call: Record) -> Block:
    args = call.get("args")
    named = short_text(call.get("id")), short_text(call.get("name"))
    return call_block(*named, args if isinstance(args, dict) else {})


def _results(call: Record) -> list[Block]:
    """What a call answered; nothing while it runs."""
    parts, status = _list(call.get("result")), call.get("status")
    if not parts and status not in _FAILED:
        return []
    call_id = short_text(call.get("id"))
    texts = [text for text in map(_response_text, parts) if text is not None]
    others = [{**_part(part), "tool_result_id": call_id} for part in parts if _response_text(part) is None]
    return [result_block(call_id, "\n".join(texts), failed=status in _FAILED), *others]


def _response_text(part: Any) -> str | None:
    """A function's answer as text: its `output` or `error`, else all of it as JSON."""
    answered = part.get("functionResponse") if isinstance(part, dict) else None
    if not isinstance(answered, dict):
        return part if isinstance(part, str) else None
    response = answered.get("response")
    if isinstance(response, dict):
        for name in ("output", "error"):
            if isinstance(response.get(name), str):
                return str(response[name])
    return compact(response)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _time(value: Any) -> str | None:
    return format_time(parse_time(value))
