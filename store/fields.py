"""The field types of stored JSON: strict, closed models and the few spellings of bytes (hex for ids, base64 for boxes)."""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

int_json_max = 2**53 - 1  # beyond this a JSON number is not one number everywhere (RFC 8785 §3.2.2.3)


class Stored(BaseModel):
    """A JSON object of a stored format: no coercion, no unknown field, no change after parsing."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _canonical_base64(text: str) -> str:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if base64.b64encode(decoded).decode() != text:  # padding bits would give one value two spellings
        raise ValueError("not canonical base64")
    return text


Hex16 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
Base64 = Annotated[str, AfterValidator(_canonical_base64)]
Count = Annotated[int, Field(ge=0, le=int_json_max)]


def to_base64(data: bytes) -> str:
    """Bytes as the one spelling `Base64` accepts."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Bytes of an already validated `Base64`."""
    return base64.b64decode(text)
