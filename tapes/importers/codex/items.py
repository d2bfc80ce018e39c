"""A `response_item` -> a block of a node: what the model said, what it called, what the call answered."""

import json
from typing import Any

from tapes.importers.lines import BadLine, Block, Record, decode
from tapes.importers.turns import call_block, kept_block, result_block, short_text, text_block

_TEXTS = ("input_text", "output_text", "text")
_CALLS = ("function_call", "custom_tool_call", "local_shell_call")
# What says nothing but what `type` and the mapped fields say already.
_PLACED = frozenset({"type", "role", "content", "name", "arguments", "input", "call_id", "output", "summary"})


def is_input(item: Record) -> bool:
    """Whether the item goes to the model (a message to it, a tool's answer) rather than comes from it."""
    kind = item.get("type")
    if kind == "message":
        return item.get("role") != "assistant"
    return isinstance(kind, str) and kind.endswith("_output")


def role_of(item: Record) -> str:
    """Who speaks: `assistant`, or for input the message's own role, tool answers counting as the user's."""
    if not is_input(item):
        return "assistant"
    return short_text(item.get("role")) or "user"


def blocks_of(item: Record) -> list[Block]:
    """The item's blocks. What has no field of its own stands as its JSON."""
    kind = item.get("type")
    if kind == "message":
        return _message(item.get("content"))
    if kind == "reasoning":
        return _reasoning(item)
    if kind in _CALLS:
        return _call(item)
    if isinstance(kind, str) and kind.endswith("_call_output"):
        return _output(item)
    return [kept_block(item)]


def rest_of(item: Record) -> Record:
    """What the item says besides, to be kept beside the node."""
    return {name: value for name, value in item.items() if name not in _PLACED and value is not None}


def _message(content: Any) -> list[Block]:
    if isinstance(content, str):
        return [text_block(content)]
    if not isinstance(content, list):
        raise BadLine("a message whose content is neither text nor a list")
    return [_part(part) for part in content]


def _part(part: Any) -> Block:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXTS and isinstance(part.get("text"), str):
        return text_block(part["text"])
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return _image(part["image_url"])
    return kept_block(part)


def _image(url: str) -> Block:
    head, _, data = url.partition(";base64,")
    if data and head.startswith("data:"):
        return {"type": "image", "image_base64": data, "media_type": head.removeprefix("data:")}
    return {"type": "image", "image_url": url}


def _reasoning(item: Record) -> list[Block]:
    """The summary as thinking. The thoughts themselves are encrypted for the provider; that blob is the block's signature."""
    told = [item.get("summary"), item.get("content")]
    parts = [part for parts in told if isinstance(parts, list) for part in parts if isinstance(part, dict)]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    block: Block = {"type": "thinking", "text": "\n\n".join(texts)}
    if isinstance(item.get("encrypted_content"), str):
        block["thinking_signature"] = item["encrypted_content"]
    return [block]


def _call(item: Record) -> list[Block]:
    """A call's input: an object from the JSON in `arguments`, or raw text (apply_patch is no JSON) under `input`."""
    call_id, kind = short_text(item.get("call_id")) or short_text(item.get("id")), item["type"]
    name = short_text(item.get("name")) or kind.removesuffix("_call")
    if kind == "local_shell_call":
        action = item.get("action")
        return [call_block(call_id, name, action)] if isinstance(action, dict) else [kept_block(item)]
    raw = item.get("arguments" if kind == "function_call" else "input")
    if not isinstance(raw, str):
        return [kept_block(item)]
    if kind == "function_call":
        return [call_block(call_id, name, _arguments(raw))]
    return [call_block(call_id, name, {"input": raw})]


def _arguments(raw: str) -> Record:
    """The JSON a model wrote; it may have written something else, which stays as text."""
    try:
        return decode(raw.encode())
    except BadLine:
        return {"arguments": raw}


def _output(item: Record) -> list[Block]:
    call_id, output = short_text(item.get("call_id")), item.get("output")
    failed = False
    if isinstance(output, dict):  # an older shape: {content, success}
        failed = output.get("success") is False
        output = output.get("content")
    parts = output if isinstance(output, list) else [output]
    blocks = [_part(part) for part in parts if not isinstance(part, str) and part is not None]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    texts += [part for part in parts if isinstance(part, str)]
    text = "\n".join(texts)
    others = [{**block, "tool_result_id": call_id} for block in blocks if block["type"] != "text"]
    return [result_block(call_id, text, failed=failed or _exit_code(text) != 0), *others]


def _exit_code(text: str) -> int:
    """The exit code in `{"output": …, "metadata": {"exit_code": n}}`, the wrapping of shell calls; 0 for anything else."""
    if not text.startswith('{"'):
        return 0
    try:
        code = json.loads(text)["metadata"]["exit_code"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
    return code if isinstance(code, int) else 0
