"""A bandwidth limit, as a wrapper of a store: the average over objects stays under it, in each direction.

An upload waits before it begins, a download after it came: so that many short processes, one after the other, keep to the limit
as one long one does. A single object still goes as fast as the line takes it; it is at most a pack (store/limits.py).
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from store.blobs import BlobInfo, BlobStore, PutOutcome

burst_seconds: Final = 1.0  # of the rate, free after a quiet while: small requests are not held up one by one


class Bucket:
    """A token bucket. Thread-safe; waiting threads are served in the order in which they asked."""

    def __init__(
        self,
        bytes_per_second: int,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = float("-inf")  # when all that was taken so far is paid for

    def take(self, number_bytes: int) -> None:
        """Wait until so many bytes are within the limit."""
        with self._lock:
            now = self._monotonic()
            self._free_at = max(self._free_at, now - burst_seconds) + number_bytes / self._rate
            wait_seconds = self._free_at - now
        if wait_seconds > 0:
            self._sleep(wait_seconds)


class LimitedStore:
    """A store whose objects go up and come down no faster than the buckets allow; None: as fast as they can."""

    def __init__(self, inner: BlobStore, up: Bucket | None, down: Bucket | None) -> None:
        self._inner = inner
        self._up = up
        self._down = down

    def describe(self) -> str:
        """As the store inside."""
        return self._inner.describe()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """After the upload's turn has come."""
        _take(self._up, data)
        return self._inner.put_if_absent(name, data)

    def put_projection(self, name: str, data: bytes) -> None:
        """After the upload's turn has come."""
        _take(self._up, data)
        self._inner.put_projection(name, data)

    def get(self, name: str) -> bytes:
        """Then waits until it is paid for."""
        data = self._inner.get(name)
        _take(self._down, data)
        return data

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Then waits until it is paid for."""
        data = self._inner.get_range(name, offset, length)
        _take(self._down, data)
        return data

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """Not counted: a page of a thousand names is small beside one pack."""
        return self._inner.list(prefix, start_after)

    def delete(self, name: str) -> None:
        """Not counted."""
        self._inner.delete(name)


def _take(bucket: Bucket | None, data: bytes) -> None:
    if bucket is not None:
        bucket.take(len(data))
