"""The invite link: everything a joiner needs, in a fragment that no server is ever sent.

`tapes://join#` ‖ base64url(SHA-256(body)[:4] ‖ body)
body = canonical JSON {v, secret, team, seq, head, bucket, endpoint, region}
The team id and the head pin the log: a joiner refuses a bucket that does not contain exactly them. Never credentials.
"""

from dataclasses import dataclass
from typing import Literal

from store.fields import Count, Hex32, Stored
from sync.fragments import fragment_chars_max, of_fragment, to_fragment

PREFIX = "tapes://join#"
link_chars_max = fragment_chars_max


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
    body = _Body(
        v=0,
        secret=link.secret.hex(),
        team=link.team.hex(),
        seq=link.head_seq,
        head=link.head_hash.hex(),
        bucket=link.bucket_url,
        endpoint=link.endpoint_url,
        region=link.region,
    )
    return to_fragment(PREFIX, body)


def parse_link(text: str) -> InviteLink:
    """Open a link; UsageError for anything that is not one, whole and unaltered. The text itself is never repeated."""
    fields = of_fragment(PREFIX, text, _Body, "invite link")
    return InviteLink(
        bytes.fromhex(fields.secret),
        bytes.fromhex(fields.team),
        fields.seq,
        bytes.fromhex(fields.head),
        fields.bucket,
        fields.endpoint,
        fields.region,
    )
