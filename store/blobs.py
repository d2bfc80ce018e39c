"""The port to a bucket: immutable blobs by name. Implementations raise; they neither retry nor log."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


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

    Names are relative to the prefix, `/`-separated, ASCII. Every method is one attempt (a wrapper retries) and thread-safe.
    Errors: `BlobNotFound` (404 only), `StoreUnknown` (a write whose reply was lost, also 409 and 5xx after sending),
    `StoreRefused` (403 and other refusals), `StoreError` (anything else that may pass).
    """

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """Create `name` durably, or change nothing and answer EXISTS. Linearisable per name; the SHA-256 of `data` is sent along."""
        ...

    def put_projection(self, name: str, data: bytes) -> None:
        """Write `name` whether or not it exists; only for what can be rebuilt from the log."""
        ...

    def get(self, name: str) -> bytes:
        """All bytes of `name`; an answer shorter than announced is a StoreError, never a short result."""
        ...

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; an object that ends earlier raises StoreRefused."""
        ...

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """Objects whose name starts with `prefix`, after `start_after`, in byte order of the names; may be stale."""
        ...

    def delete(self, name: str) -> None:
        """Remove `name`; nothing happens when it is not there."""
        ...

    def describe(self) -> str:
        """Where this is, for messages and for keying the probe record; no credentials."""
        ...
