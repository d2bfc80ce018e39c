"""What agents log of edits and commands in a shape of their own, as a reader wants it: a diff, an output with its exit code."""

import json
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

# Claude Code and Gemini CLI; opencode.
_OLD_AND_NEW: Final = (("old_string", "new_string"), ("oldString", "newString"))
_COMMAND_FACTS: Final = {"exit_code", "duration_seconds"}
compared_lines_max: Final = 500  # comparing is quadratic, and what is stored may be hostile


def edits_of(fields: Mapping[str, Any]) -> tuple[list[tuple[str, str]], Mapping[str, Any]]:
    """The (old, new) texts that a tool's input replaces, and the rest of its fields; nothing is in neither."""
    for names in _OLD_AND_NEW:
        pair = _pair(fields, names)
        if pair is not None:
            return [pair], {name: value for name, value in fields.items() if name not in names}
        several = fields.get("edits")
        if isinstance(several, list) and several:
            pairs = [_pair(one, names) if _only(one, names) else None for one in several]
            whole = [pair for pair in pairs if pair is not None]
            if len(whole) == len(several):
                return whole, {name: value for name, value in fields.items() if name != "edits"}
    return [], fields


def diff_lines(old: str, new: str) -> Iterator[str]:
    """The lines of both texts, each with `-`, `+` or a blank before it."""
    before, after = _lines(old), _lines(new)
    if len(before) + len(after) > compared_lines_max:
        yield from (f"- {line}" for line in before)
        yield from (f"+ {line}" for line in after)
        return
    for kind, old_at, old_end, new_at, new_end in SequenceMatcher(
        a=before, b=after, autojunk=False
    ).get_opcodes():
        if kind == "equal":
            yield from (f"  {line}" for line in before[old_at:old_end])
            continue
        yield from (f"- {line}" for line in before[old_at:old_end])
        yield from (f"+ {line}" for line in after[new_at:new_end])


def command_output(words: str) -> str:
    """What a command said, out of the JSON that Codex keeps it in; any other text as it is."""
    if not words.startswith("{"):
        return words
    try:
        told = json.loads(words)
    except (ValueError, RecursionError):
        return words
    facts = told.get("metadata", {})
    said = told.get("output")
    if told.keys() - {"output", "metadata"} or not isinstance(said, str) or not isinstance(facts, dict):
        return words
    if facts.keys() - _COMMAND_FACTS or any(isinstance(fact, dict | list) for fact in facts.values()):
        return words
    code = facts.get("exit_code")
    return said if code in {0, None} else f"exit code {code}\n{said}"


def _pair(fields: Mapping[str, Any], names: tuple[str, str]) -> tuple[str, str] | None:
    old, new = (fields.get(name) for name in names)
    return (old, new) if isinstance(old, str) and isinstance(new, str) else None


def _only(one: Any, names: tuple[str, str]) -> bool:
    """Whether an edit is a pair and no more: what else it says, as `replace_all`, must not vanish."""
    return isinstance(one, dict) and not one.keys() - {*names}


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []
