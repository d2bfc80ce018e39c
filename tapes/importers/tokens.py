"""Token counts as foreign logs write them -> usage in classes that do not overlap."""

from typing import Any, TypeGuard

from store.nodes import Usage

count_max = 2**40  # no call has a trillion tokens; what it costs stays far below 63 bits


def is_count(value: Any) -> TypeGuard[int | float]:
    """Whether `value` is a whole number from 0 to `count_max`; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= count_max and value == int(value)


def count(value: Any) -> int:
    """The count; 0 for what is none."""
    return int(value) if is_count(value) else 0


def bad_counts(raw: dict[str, Any], *names: str) -> str:
    """The first of the named fields that holds something other than a count, or ""."""
    return next((name for name in names if raw.get(name) is not None and not is_count(raw[name])), "")


def from_inclusive(raw: dict[str, Any], *, whole: int, read: int, write: int, output: int) -> Usage:
    """Usage of an API whose input count includes what came from and went to the cache (OpenAI, Gemini, Codex).

    More cached than there was input is a broken count: the input is then taken to have been cached as far as it goes.
    """
    read = min(read, whole)
    write = min(write, whole - read)
    return Usage(
        input_uncached=whole - read - write, cache_read=read, cache_write=write, output=output, raw=raw
    )
