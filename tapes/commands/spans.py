"""Spans of time and amounts of data as people type them: 12h, 7d, 2w; 500MB, 2GB."""

import re
from typing import Final

from crypto.errors import UsageError

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])\Z")
_BYTES: Final = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_AMOUNT: Final = re.compile(r"([0-9]{1,15})(|kB|MB|GB|TB)\Z")


def seconds_of(text: str, option: str) -> int:
    """The seconds a span means, as 90m; UsageError naming the option otherwise."""
    match = _SPAN.match(text)
    if match is None:
        raise UsageError(f"{option} {text!r} is no span of time", hint="as 90m, 12h, 7d, 2w or 30s")
    return int(match[1]) * _SECONDS[match[2]]


def bytes_of(text: str, option: str) -> int:
    """The bytes an amount means, as 500MB; UsageError naming the option otherwise."""
    match = _AMOUNT.match(text)
    if match is None:
        raise UsageError(f"{option} {text!r} is no amount of data", hint="as 500MB or 2GB")
    return int(match[1]) * _BYTES[match[2]]
