"""What a redacted export hides: patterns for secrets, addresses and whose home a path is in; and a team's own beside them.

Patterns find what looks like a secret. They cannot know that a word is one: read an export before you hand it out.
"""

import re
import tomllib
from dataclasses import dataclass
from typing import Final

from crypto.errors import UsageError

rules_max: Final = 256
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Every repetition that may stand anywhere in a text is bounded, so that no log makes an export take for ever.
_DEFAULTS: Final = {
    "private-key": r"(?s)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    "aws-key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "token": (
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}|glpat-[\w-]{20,255}|xox[abeoprs]-[\w-]{10,255}"
        r"|AIza[\w-]{35}|sk-[\w-]{20,255}|[rsp]k_(?:live|test)_\w{16,255}|npm_\w{36}|hf_\w{30,64}|ya29\.[\w-]{20,512}"
        r"|SG\.[\w-]{16,64}\.[\w-]{16,64}|AGE-SECRET-KEY-1[A-Z0-9]{50,64})"
    ),
    "jwt": r"\beyJ[\w-]{10,8192}\.[\w-]{10,8192}\.[\w-]{0,1024}",
    "authorization": r"(?i)\b(?:bearer|basic)\s{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{16,8192})",
    "url-password": r"://[^\s/:@]{0,256}:(?P<secret>[^\s/@]{1,256})@",
    "assignment": (
        r"(?i)(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
        r"[\"']?\s{0,4}(?:=|:|=>)\s{0,4}[\"']?(?P<secret>[^\s\"',;&<>(){}\[\]]{6,1024})"
    ),
    "email": r"(?<![\w.%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
    "home": (
        r"(?:/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2}|(?<![\w-])-(?:home|Users)-)(?P<secret>[^/\\\s:\"'<>|-][^/\\\s:\"'<>|]{0,63}?)"
        r"(?=[/\\\s:\"'<>|-]|\Z)"
    ),
}
# A value under such a name is hidden whatever it looks like.
_SECRET_NAME: Final = re.compile(
    r"(?i)passw(?:or)?d|passphrase|secret|(?:^|[_-])token$|api[_-]?key|access[_-]?key|private[_-]?key|authorization|^cookie$"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to hide: its whole match, or, where the pattern has a group `secret`, that alone."""

    name: str
    pattern: re.Pattern[str]


def default_rules() -> tuple[Rule, ...]:
    """The rules that hold without a file."""
    return tuple(Rule(name, re.compile(pattern)) for name, pattern in _DEFAULTS.items())


def names_a_secret(key: str) -> bool:
    """Whether what stands under this key in a tool's input is hidden without looking at it."""
    return _SECRET_NAME.search(key) is not None


def read_rules(text: str, where: str) -> tuple[Rule, ...]:
    r"""The rules of a file: the defaults but those in `keep`, and those of `[hide]`. UsageError, calling it `where`.

    keep = ["email"]

    [hide]
    ticket = 'ACME-\d+'
    """
    try:
        settings = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is not TOML: {error}", hint="docs/analysts.md shows one") from None
    keep, hide = settings.pop("keep", []), settings.pop("hide", {})
    if settings or not isinstance(keep, list) or not isinstance(hide, dict) or len(hide) > rules_max:
        raise UsageError(
            f"{where} has something else than keep = […] and [hide]", hint="docs/analysts.md shows one"
        )
    for name in keep:
        if name not in _DEFAULTS:
            raise UsageError(
                f"{where}: there is no rule {name!r} to keep", hint=f"rules are {', '.join(_DEFAULTS)}"
            )
    kept = [rule for rule in default_rules() if rule.name not in keep]
    return (*kept, *(_rule(name, pattern, where) for name, pattern in hide.items()))


def _rule(name: str, pattern: object, where: str) -> Rule:
    if not _NAME.fullmatch(name) or name in _DEFAULTS:
        raise UsageError(
            f"{where}: {name!r} cannot be a rule's name", hint="a new name of a-z, 0-9 and -, up to 32"
        )
    if not isinstance(pattern, str) or not pattern:
        raise UsageError(f"{where}: {name} is no pattern", hint="a regular expression in quotes")
    try:
        made = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{where}: {name}: {error}", hint="Python's regular expressions are meant") from None
    if made.fullmatch(""):
        raise UsageError(f"{where}: {name} matches nothing at all", hint="give it at least one character")
    return Rule(name, made)
