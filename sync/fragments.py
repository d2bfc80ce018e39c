"""Secrets to copy from one screen to another: canonical JSON behind a checksum, in one word that survives mail and chat.

PREFIX ‖ base64url without padding of (SHA-256(body)[:4] ‖ body)
The part behind `#` is a fragment: no server is ever sent it. The checksum finds a cut or mistyped character; it is no proof.
"""

import base64
import binascii
from hashlib import sha256
from typing import TypeVar

from pydantic import ValidationError

from crypto.errors import FormatBroken, UsageError
from store.canonical import canonical, parse_canonical
from store.fields import Stored

fragment_chars_max = 8192
_checksum_bytes = 4
Body = TypeVar("Body", bound=Stored)


def to_fragment(prefix: str, body: Stored) -> str:
    """The text of a body."""
    data = canonical(body.model_dump())
    packed = sha256(data).digest()[:_checksum_bytes] + data
    return prefix + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def of_fragment(prefix: str, text: str, model: type[Body], called: str) -> Body:
    """The body of a text; UsageError for anything that is not one, whole and unaltered. The text itself is never repeated."""
    text = text.strip()
    hint = "copy all of it, from tapes:// to its last character"
    if not text.startswith(prefix) or len(text) > fragment_chars_max:
        raise UsageError(f"this is not a tapes {called}", hint=hint)
    coded = text.removeprefix(prefix)
    try:
        packed = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"the {called} is damaged", hint=hint) from None
    data = packed[_checksum_bytes:]
    if sha256(data).digest()[:_checksum_bytes] != packed[:_checksum_bytes]:
        raise UsageError(f"the {called} is cut or altered: its checksum does not fit", hint=hint)
    try:
        return model.model_validate(parse_canonical(data, called))
    except (ValidationError, FormatBroken):
        raise UsageError(
            f"the {called} is of an unknown form", hint="upgrade tapes, or ask for a new one"
        ) from None
