"""opencode's messages -> turns. An assistant's message holds its tool calls together with their results: that makes two turns."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from store.nodes import Cost, Usage
from tapes import prices
from tapes.importers.lines import Block, Record
from tapes.importers.opencode.records import MessageRecord, Stored
from tapes.importers.project import project_of
from tapes.importers.times import format_time
from tapes.importers.tokens import count
from tapes.importers.turns import Turn, call_block, kept_block, result_block, short_text, text_block
from tapes.importers.whole_session import Problem, Session

HARNESS = "opencode"
_PLACED = frozenset({"id", "sessionID", "role", "time", "modelID", "providerID", "cost", "tokens", "finish"})
_SILENT_PARTS = frozenset(
    {"step-start", "step-finish", "snapshot", "patch"}
)  # bookkeeping, kept beside the turn


def session_of(stored: Stored) -> Session:
    """The session that a stored one is, read whole."""
    problems: list[str] = []
    record = stored.session
    turns: list[Turn] = []
    for message in stored.messages(problems):
        turns += _turns(message, record.id, record.directory, turns[-1].key if turns else None)
    return Session(
        id=record.id,
        turns=turns,
        above=record.above,
        project=project_of(record.directory),
        created_at=turns[0].created_at if turns else None,
        extra={"session": record.record} if record.record else {},
        problems=[Problem(0, what) for what in problems],
    )


def _turns(
    message: MessageRecord, session: str, directory: str | None, parent_key: str | None
) -> Iterator[Turn]:
    record, key = message.record, f"msg:{session}/{message.record['id']}"
    path = record.get("path")
    # The project "global" has the worktree "/": where the message was written tells more.
    project = project_of(path.get("cwd") if isinstance(path, dict) else None) or project_of(directory)
    at = _moment(record.get("time"))
    extra = _extra(message)
    if record.get("role") != "assistant":
        role = short_text(record.get("role")) or "user"
        blocks = _blocks(message.parts)
        yield Turn(key, role, blocks, parent_key, project=project, created_at=format_time(at), extra=extra)
        return
    model, provider = short_text(record.get("modelID")), short_text(record.get("providerID"))
    usage, recorded = _usage(message)
    yield Turn(
        key=key,
        role="assistant",
        content=_blocks(message.parts),
        parent_key=parent_key,
        model=model,
        provider=provider,
        stop_reason=short_text(record.get("finish")) or None,
        usage=usage,
        cost=_cost(usage, recorded, model, provider, at),
        usage_id=key.removeprefix("msg:"),
        project=project,
        created_at=format_time(at),
        extra=extra,
    )
    results = [block for part in message.parts for block in _results(part)]
    if results:
        yield Turn(
            f"{key}/results", "user", results, key, project=project, created_at=format_time(_ended(message))
        )


def _usage(message: MessageRecord) -> tuple[Usage | None, float]:
    """What the message used, and the USD opencode wrote down for it.

    The message's own figures and its steps' describe the same calls. A message of several steps shows only the last one in some
    versions, and steps may be lost, so the one that saw more counts; never both.
    """
    steps = [part for part in message.parts if part.get("type") == "step-finish"]
    whole = _normalised([message.record])
    summed = _normalised(steps)
    if summed is not None and (whole is None or _size(summed) > _size(whole)):
        return summed, _money(steps)
    return whole, _money([message.record]) or _money(steps)


def _normalised(records: list[Record]) -> Usage | None:
    """The sum of the records' `tokens`; `input` leaves out what was cached, `output` the reasoning unless `total` says else."""
    tokens = [record["tokens"] for record in records if isinstance(record.get("tokens"), dict)]
    if not tokens:
        return None
    raw = tokens[0] if len(tokens) == 1 else {"steps": tokens}
    caches = [each["cache"] if isinstance(each.get("cache"), dict) else {} for each in tokens]
    return Usage(
        input_uncached=sum(count(each.get("input")) for each in tokens),
        cache_read=sum(count(cache.get("read")) for cache in caches),
        cache_write=sum(count(cache.get("write")) for cache in caches),
        output=sum(map(_output, tokens, caches)),
        raw=raw,
    )


def _output(tokens: Record, cache: Record) -> int:
    output, reasoning = count(tokens.get("output")), count(tokens.get("reasoning"))
    without = count(tokens.get("input")) + count(cache.get("read")) + count(cache.get("write")) + output
    return output if count(tokens.get("total")) == without else output + reasoning


def _size(usage: Usage) -> int:
    return usage.input_uncached + usage.cache_read + usage.cache_write + usage.output


def _money(records: list[Record]) -> float:
    costs = [record.get("cost") for record in records]
    return sum(
        cost for cost in costs if isinstance(cost, int | float) and not isinstance(cost, bool) and cost > 0
    )


def _cost(
    usage: Usage | None, recorded: float, model: str, provider: str, at: datetime | None
) -> Cost | None:
    """What opencode wrote down; its 0 means "not known" as often as "free", so then the list price."""
    if usage is None:
        return None
    return (prices.recorded(recorded) if recorded else None) or prices.computed(usage, model, provider, at)


def _extra(message: MessageRecord) -> Record:
    extra = {
        name: value for name, value in message.record.items() if name not in _PLACED and value is not None
    }
    silent = [part for part in message.parts if _is_silent(part)]
    return {**extra, "parts": silent} if silent else extra


def _is_silent(part: Record) -> bool:
    return short_text(part.get("type")) in _SILENT_PARTS


def _blocks(parts: Iterable[Record]) -> list[Block]:
    return [_block(part) for part in parts if not _is_silent(part)]


def _block(part: Record) -> Block:
    kind, text, state = part.get("type"), part.get("text"), part.get("state")
    if kind == "text" and isinstance(text, str):
        return text_block(text)
    if kind == "reasoning" and isinstance(text, str):
        return {"type": "thinking", "text": text}
    if kind == "tool" and isinstance(state, dict):
        given = state.get("input")
        named = short_text(part.get("callID")), short_text(part.get("tool"))
        return call_block(*named, given if isinstance(given, dict) else {})
    if kind == "file" and isinstance(part.get("url"), str) and str(part.get("mime")).startswith("image/"):
        return _image(part["url"], part["mime"])
    return kept_block(
        {name: value for name, value in part.items() if name not in ("id", "messageID", "sessionID")}
    )


def _image(url: str, mime: str) -> Block:
    head, _, data = url.partition(";base64,")
    if data and head.startswith("data:"):
        return {"type": "image", "image_base64": data, "media_type": mime}
    return {"type": "image", "image_url": url}


def _results(part: Record) -> Iterator[Block]:
    """What a tool answered; nothing while it runs. A command that exits with another code than 0 has failed, too."""
    state = part.get("state")
    if (
        part.get("type") != "tool"
        or not isinstance(state, dict)
        or state.get("status") not in ("completed", "error")
    ):
        return
    failed = state["status"] == "error"
    metadata = state.get("metadata")
    code = metadata.get("exit") if isinstance(metadata, dict) else None
    output = state.get("error" if failed else "output")
    text = output if isinstance(output, str) else ""
    yield result_block(
        short_text(part.get("callID")), text, failed=failed or (isinstance(code, int) and code != 0)
    )


def _moment(time: Any, name: str = "created") -> datetime | None:
    """A time in milliseconds since 1970; None for what is no such time."""
    value = time.get(name) if isinstance(time, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _ended(message: MessageRecord) -> datetime | None:
    time = message.record.get("time")
    return _moment(time, "completed") or _moment(time)
