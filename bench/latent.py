"""A store at a distance: each request first waits as long as a round trip does. Retries and meters stand around it."""

import time
from collections.abc import Iterator

from store.blobs import BlobInfo, BlobStore, PutOutcome


class LatentStore:
    """See `store.blobs.BlobStore`. Threads wait side by side, as requests on several connections do; bandwidth is not limited."""

    def __init__(self, inner: BlobStore, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds

    def describe(self) -> str:
        """As the store inside."""
        return self._inner.describe()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """One put, after the wait."""
        time.sleep(self._seconds)
        return self._inner.put_if_absent(name, data)

    def put_projection(self, name: str, data: bytes) -> None:
        """One put, after the wait."""
        time.sleep(self._seconds)
        self._inner.put_projection(name, data)

    def get(self, name: str) -> bytes:
        """One get, after the wait."""
        time.sleep(self._seconds)
        return self._inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """One get, after the wait."""
        time.sleep(self._seconds)
        return self._inner.get_range(name, offset, length)

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """One list, after the wait."""
        time.sleep(self._seconds)
        yield from self._inner.list(prefix, start_after)

    def delete(self, name: str) -> None:
        """One delete, after the wait."""
        time.sleep(self._seconds)
        self._inner.delete(name)
