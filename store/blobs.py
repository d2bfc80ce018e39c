"""The port to a bucket: immutable blobs by name. Implementations raise; they neither retry nor log."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from crypto.errors import StoreRefused
from store.limits import MIB, pack_bytes_max

object_bytes_max: Final = pack_bytes_max + 1 * MIB  # a hostile bucket cannot make a reader buffer more
name_bytes_max: Final = 512  # S3 allows 1024 for prefix and name together
# Lower case only: macOS and Windows folders fold case, and two names would be one. A part never starts with a dot, so neither
# `..` nor a directory's own `.tmp` is a name.
_NAME: Final = re.compile(r"[a-z0-9_-][a-z0-9._-]*(?:/[a-z0-9_-][a-z0-9._-]*)*\Z")


class PutOutcome(Enum):
    """What a put-if-absent came to. EXISTS is not "I lost": the same bytes may be there already."""

    CREATED = "created"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One listed object: its name below the prefix and its size in bytes."""

    name: str
    size_bytes: int


class BlobStore(Protocol):
    """A bucket prefix.

    Names are relative to the prefix and are what `is_name` admits; every store refuses others, empty data, and objects over
    `object_bytes_max`. Every method is one attempt (a wrapper retries) and thread-safe.
    Errors: `BlobNotFound` (404 only), `StoreUnknown` (a write whose reply was lost, also 409 and 5xx after sending),
    `StoreRefused` (403 and other refusals), `StoreError` (anything else that may pass).
    """

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """Create `name` durably, or change nothing and answer EXISTS. Linearisable per name; the SHA-256 is sent along."""
        ...

    def put_projection(self, name: str, data: bytes) -> None:
        """Write `name` whether or not it exists; only for what can be rebuilt from the log."""
        ...

    def get(self, name: str) -> bytes:
        """All bytes of `name`; an answer shorter than announced is a StoreError, never a short result."""
        ...

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` ≥ 1 bytes from `offset`; an object that ends earlier raises StoreRefused."""
        ...

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """Objects whose name starts with `prefix`, after `start_after`, in byte order of the names; may be stale.

        Strangers' objects whose names `is_name` refuses are left out: no other method could reach them.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove `name`; nothing happens when it is not there."""
        ...

    def describe(self) -> str:
        """Where this is, for messages and for keying the probe record; no credentials."""
        ...


def is_name(name: str) -> bool:
    """Whether a store takes this name: lower-case ASCII parts between slashes, none starting with a dot."""
    return len(name) <= name_bytes_max and _NAME.match(name) is not None


def check_name(name: str) -> None:
    """Refuse what is no object name, before it reaches a path or a URL. Raises StoreRefused."""
    if not is_name(name):
        raise StoreRefused(
            f"not an object name: {name[:80]!r}", hint="names are lower-case parts between slashes"
        )


def check_put(name: str, data: bytes) -> None:
    """Refuse a write that no reader could use: a bad name, no bytes, too many bytes. Raises StoreRefused."""
    check_name(name)
    if not 0 < len(data) <= object_bytes_max:
        raise StoreRefused(f"{name}: {len(data)} bytes; an object has 1 to {object_bytes_max}")


def check_range(name: str, offset: int, length: int) -> None:
    """Refuse a range that HTTP cannot express or that no object has. Raises StoreRefused."""
    check_name(name)
    if offset < 0 or length < 1 or offset + length > object_bytes_max:
        raise StoreRefused(f"{name}: no such range: {length} bytes from {offset}")
