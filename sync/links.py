"""The invite link: everything a joiner needs, in a fragment that no server is ever sent.

`tapes://join#` ‖ base64url(SHA-256(body)[:4] ‖ body)
body = canonical JSON {v, secret, team, seq, head, bucket, endpoint, region}
The team id and the head pin the log: a joiner refuses a bucket that does not contain exactly them. Never credentials.
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from pydantic import ValidationError

from crypto.errors import FormatBroken, UsageError
from store.canonical import canonical, parse_canonical
from store.fields import Count, Hex32, Stored

PREFIX = "tapes://join#"
link_chars_max = 8192
_checksum_bytes = 4


class _Body(Stored):
    v: Literal[0]
    secret: Hex32
    team: Hex32
    seq: Count
    head: Hex32
    bucket: str
    endpoint: str | None
    region: str | None


@dataclass(frozen=True, slots=True, repr=False)
class InviteLink:
    """An opened link. Has no repr: it holds the invite's secret."""

    secret: bytes
    team: bytes
    head_seq: int
    head_hash: bytes
    bucket_url: str
    endpoint_url: str | None
    region: str | None


def format_link(link: InviteLink) -> str:
    """The link as text to send over a channel you trust."""
    body = canonical(
        {
            "v": 0,
            "secret": link.secret.hex(),
            "team": link.team.hex(),
            "seq": link.head_seq,
            "head": link.head_hash.hex(),
            "bucket": link.bucket_url,
            "endpoint": link.endpoint_url,
            "region": link.region,
        }
    )
    packed = sha256(body).digest()[:_checksum_bytes] + body
    return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def parse_link(text: str) -> InviteLink:
    """Open a link; UsageError for anything that is not one, whole and unaltered. The text itself is never repeated."""
    text = text.strip()
    hint = "copy the whole link, from tapes:// to its last character"
    if not text.startswith(PREFIX) or len(text) > link_chars_max:
        raise UsageError("this is not a tapes invite link", hint=hint)
    coded = text.removeprefix(PREFIX)
    try:
        packed = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("the invite link is damaged", hint=hint) from None
    body = packed[_checksum_bytes:]
    if sha256(body).digest()[:_checksum_bytes] != packed[:_checksum_bytes]:
        raise UsageError("the invite link is cut or altered: its checksum does not fit", hint=hint)
    try:
        fields = _Body.model_validate(parse_canonical(body, "invite link"))
    except (ValidationError, FormatBroken):
        raise UsageError(
            "the invite link is of an unknown form", hint="upgrade tapes, or ask for a new link"
        ) from None
    return InviteLink(
        bytes.fromhex(fields.secret),
        bytes.fromhex(fields.team),
        fields.seq,
        bytes.fromhex(fields.head),
        fields.bucket,
        fields.endpoint,
        fields.region,
    )
