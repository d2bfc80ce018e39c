"""Hiding in texts and JSON values what rules find, and counting it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from query.redaction_rules import Rule, names_a_secret
from store.nodes import Json

depth_max: Final = 100  # of nested JSON; what is deeper is hidden as a whole
opaque_chars_min: Final = 64
# What cannot be looked into: pictures, and a provider's own sealed thinking.
_OPAQUE: Final = frozenset({"image_base64", "data", "thinking_signature", "signature", "encrypted_content"})
_BLANK: Final = re.compile(r"\s")


@dataclass(slots=True)
class Hiding:
    """`hidden`: how many parts were hidden so far."""

    rules: Sequence[Rule]
    hidden: int = 0

    def text(self, text: str) -> str:
        """The text with `[redacted:rule]` where something was."""
        for rule in self.rules:
            text = rule.pattern.sub(lambda match, name=rule.name: self._found(name, match), text)  # type: ignore[misc]
        return text

    def label(self, text: str | None) -> str | None:
        """As `text`, for what may be absent."""
        return text and self.text(text)

    def value(self, value: Json, depth: int = 0) -> Json:
        """A JSON value with everything in it hidden that rules find, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if depth == depth_max and isinstance(value, dict | list):
            return self._whole("nested")
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, dict):
            keys = self._keys(value)
            return {keys[key]: self._entry(key, item, depth + 1) for key, item in value.items()}
        return value

    def _keys(self, value: Mapping[str, Json]) -> dict[str, str]:
        """Two keys that hide alike stay two."""
        shown = {key: self.text(key) for key in value}
        return {
            key: new if new == key else f"{new} {number}" for number, (key, new) in enumerate(shown.items())
        }

    def _entry(self, key: str, item: Json, depth: int) -> Json:
        if isinstance(item, str) and item:
            if key in _OPAQUE and len(item) >= opaque_chars_min and not _BLANK.search(item):
                return self._whole("opaque")
            if names_a_secret(key):
                return self._whole("named")
        return self.value(item, depth)

    def _found(self, name: str, match: re.Match[str]) -> str:
        whole = match[0]
        if not whole:
            return whole  # a pattern that may match nothing hides nothing there
        if "secret" not in match.re.groupindex or match["secret"] is None:
            return self._whole(name)
        start, end = (place - match.start() for place in match.span("secret"))
        return f"{whole[:start]}{self._whole(name)}{whole[end:]}"

    def _whole(self, name: str) -> str:
        self.hidden += 1
        return f"[redacted:{name}]"
