"""Every object name in the bucket, in one place (DESIGN §4).

A name tells the bucket's operator a kind, the log head when the upload began, and the SHA-256 of sealed bytes. Nothing of a
plaintext: an unsalted plaintext hash in a name would let the operator confirm a guessed message.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

ObjectKind = Literal["pack", "manifest", "stats", "share"]

LOG: Final = "log/"
PROBE: Final = "probe/"
LINKS: Final = "links/"
SEGMENTS: Final = "segments/"
PREFIX_OF_KIND: Final[dict[ObjectKind, str]] = {
    "pack": "packs/",
    "manifest": "manifests/",
    "stats": "stats/",
    "share": "shares/",
}
TOP_FOLDERS: Final = frozenset(
    prefix.rstrip("/") for prefix in (LOG, PROBE, LINKS, SEGMENTS, *PREFIX_OF_KIND.values())
)
seq_digits: Final = 12
seq_max: Final = 10**seq_digits - 1
_SLOT = re.compile(r"log/([0-9]{12})\Z")
_SEGMENT = re.compile(r"segments/([0-9]{12})/([0-9]{12})/([0-9a-f]{64})\Z")


def slot_name(seq: int) -> str:
    """The name of log slot `seq`, as `log/000000000042`."""
    if not 0 <= seq <= seq_max:
        raise ValueError(f"log slot out of range: {seq}")
    return f"{LOG}{seq:0{seq_digits}d}"


def slot_seq(name: str) -> int | None:
    """The slot number a name stands for, or None when it is not a slot (a stranger's file)."""
    match = _SLOT.match(name)
    return int(match.group(1)) if match else None


def object_name(kind: ObjectKind, base: int, sha256_hex: str) -> str:
    """The name of an immutable object, as `packs/000000000041/<sha256>`."""
    return f"{PREFIX_OF_KIND[kind]}{base:0{seq_digits}d}/{sha256_hex}"


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What a segment's name claims: its first and last slot, and the SHA-256 of its bytes."""

    first: int
    last: int
    sha256: str

    def __str__(self) -> str:
        return f"{SEGMENTS}{self.first:0{seq_digits}d}/{self.last:0{seq_digits}d}/{self.sha256}"


def segment_of(name: str) -> SegmentName | None:
    """What a name under segments/ claims; None when it is no name of the format, or of no range."""
    match = _SEGMENT.match(name)
    if match is None or int(match[1]) > int(match[2]):
        return None
    return SegmentName(int(match[1]), int(match[2]), match[3])


def probe_name(token: str) -> str:
    """A throw-away name for the put-if-absent probe."""
    return f"{PROBE}{token}"


def link_name(link_id: bytes) -> str:
    """Where a new device leaves its request to be linked; `link_id` is 16 bytes that only the code's holders can compute."""
    return f"{LINKS}{link_id.hex()}"
