"""Content blocks as the API writes them -> content blocks as nodes hash them (era E3's ContentBlock fields).

Era E3 hashes only its own field names, so whatever a reader must be able to trust goes into one of them: thinking into `text`,
a block of unknown type as compact JSON into `text`. What a known block says besides (citations, a tool's caller) is returned
apart and kept beside the node.
"""

from dataclasses import dataclass, field
from typing import Any

from tapes.importers.lines import Block, compact


@dataclass(slots=True)
class Blocks:
    """Mapped blocks, and per index what they said that has no field of its own."""

    content: list[Block] = field(default_factory=list)
    besides: dict[int, Block] = field(default_factory=dict)

    def add(self, block: Block, rest: Block | None = None) -> None:
        """Append a mapped block and what is left of the original."""
        if rest:
            self.besides[len(self.content)] = rest
        self.content.append(block)


def map_content(content: Any) -> Blocks | None:
    """Map a message's `content`: text, or a list of blocks; None when it is neither."""
    mapped = Blocks()
    if isinstance(content, str):
        mapped.add({"type": "text", "text": content})
    elif isinstance(content, list):
        for block in content:
            _map(block, mapped)
    elif content is not None:
        return None
    return mapped


def _map(block: Any, out: Blocks) -> None:
    if isinstance(block, str):
        out.add({"type": "text", "text": block})
        return
    kind = block.get("type") if isinstance(block, dict) else None
    mapper = _MAPPERS.get(kind) if isinstance(kind, str) else None
    if mapper is None or not mapper(block, out):
        _keep_whole(block, out)


def _keep_whole(block: Any, out: Blocks, **fields: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    out.add({"type": kind if isinstance(kind, str) and kind else "unknown", "text": compact(block), **fields})


def _rest(block: Block, *taken: str) -> Block:
    return {name: value for name, value in block.items() if name not in taken and value is not None}


def _text(block: Block, out: Blocks) -> bool:
    text = block.get("text")
    if not isinstance(text, str):
        return False
    out.add({"type": "text", "text": text}, _rest(block, "type", "text"))
    return True


def _thinking(block: Block, out: Blocks) -> bool:
    text, signature = block.get("thinking"), block.get("signature")
    if not isinstance(text, str) or not (signature is None or isinstance(signature, str)):
        return False
    mapped = {"type": "thinking", "text": text}
    if signature:
        mapped["thinking_signature"] = signature
    out.add(mapped, _rest(block, "type", "thinking", "signature"))
    return True


def _tool_use(block: Block, out: Blocks) -> bool:
    tool_id, name, tool_input = block.get("id"), block.get("name"), block.get("input")
    if not (
        isinstance(tool_id, str)
        and isinstance(name, str)
        and (tool_input is None or isinstance(tool_input, dict))
    ):
        return False
    mapped = {"type": "tool_use", "tool_use_id": tool_id, "tool_name": name, "tool_input": tool_input or {}}
    out.add(mapped, _rest(block, "type", "id", "name", "input"))
    return True


def _image(block: Block, out: Blocks) -> bool:
    mapped = _image_fields(block)
    if mapped is None:
        return False
    out.add(mapped, _rest(block, "type", "source"))
    return True


def _image_fields(block: Block) -> Block | None:
    source = block.get("source")
    if not isinstance(source, dict) or not all(isinstance(value, str) for value in source.values()):
        return None
    if source.get("type") == "base64" and source.keys() == {"type", "media_type", "data"}:
        return {"type": "image", "image_base64": source["data"], "media_type": source["media_type"]}
    if source.get("type") == "url" and source.keys() == {"type", "url"}:
        return {"type": "image", "image_url": source["url"]}
    return None


def _tool_result(block: Block, out: Blocks) -> bool:
    result_id, content, is_error = block.get("tool_use_id"), block.get("content"), block.get("is_error")
    if not (isinstance(result_id, str) and (content is None or isinstance(content, (str, list)))):
        return False
    mapped: Block = {"type": "tool_result", "tool_result_id": result_id}
    parts = [content] if isinstance(content, str) else content or []
    texts = [text for text in map(_plain_text, parts) if text is not None]
    if texts:
        mapped["tool_output"] = "\n".join(texts)
    if is_error is True:
        mapped["is_error"] = True
    out.add(mapped, _rest(block, "type", "tool_use_id", "content", "is_error"))
    for part in parts:
        if _plain_text(part) is None:
            _result_part(part, result_id, out)
    return True


def _plain_text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return text if isinstance(text, str) else None


def _result_part(part: Any, result_id: str, out: Blocks) -> None:
    """What a tool answered besides text stands in blocks of its own that name the result they belong to."""
    image = _image_fields(part) if isinstance(part, dict) and part.get("type") == "image" else None
    if image is None:
        _keep_whole(part, out, tool_result_id=result_id)
    else:
        out.add({**image, "tool_result_id": result_id}, _rest(part, "type", "source"))


_MAPPERS = {
    "text": _text,
    "thinking": _thinking,
    "tool_use": _tool_use,
    "image": _image,
    "tool_result": _tool_result,
}
