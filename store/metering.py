"""Counting what a store is asked: requests are what a bucket bills, so every command can say what it cost."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from store.blobs import BlobInfo, BlobStore, PutOutcome

names_per_list_request: Final = 1000  # one ListObjectsV2 page; a directory's list is counted alike


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests and bytes since the store was made. Failed attempts count: they are billed too."""

    puts: int = 0
    gets: int = 0
    lists: int = 0
    deletes: int = 0
    up_bytes: int = 0
    down_bytes: int = 0

    def requests(self) -> dict[str, int]:
        """`{put, get, list, delete}`, as `--json` shows it."""
        return {"put": self.puts, "get": self.gets, "list": self.lists, "delete": self.deletes}

    def bytes(self) -> dict[str, int]:
        """`{up, down}`, as `--json` shows it."""
        return {"up": self.up_bytes, "down": self.down_bytes}


class MeteredStore:
    """A store that counts. Stand it inside the retrying one, so that every attempt is seen."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._traffic = Traffic()

    def traffic(self) -> Traffic:
        """The counts so far; the value does not change afterwards."""
        return self._traffic

    def describe(self) -> str:
        """As the store inside."""
        return self._inner.describe()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """One put."""
        self._count(puts=1, up_bytes=len(data))
        return self._inner.put_if_absent(name, data)

    def put_projection(self, name: str, data: bytes) -> None:
        """One put."""
        self._count(puts=1, up_bytes=len(data))
        self._inner.put_projection(name, data)

    def get(self, name: str) -> bytes:
        """One get."""
        self._count(gets=1)
        data = self._inner.get(name)
        self._count(down_bytes=len(data))
        return data

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """One get."""
        self._count(gets=1)
        data = self._inner.get_range(name, offset, length)
        self._count(down_bytes=len(data))
        return data

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """One list for every thousand names begun."""
        self._count(lists=1)
        for number, info in enumerate(self._inner.list(prefix, start_after)):
            if number and number % names_per_list_request == 0:
                self._count(lists=1)
            yield info

    def delete(self, name: str) -> None:
        """One delete."""
        self._count(deletes=1)
        self._inner.delete(name)

    def _count(self, **more: int) -> None:
        with self._lock:
            was = self._traffic
            self._traffic = replace(
                was, **{field: getattr(was, field) + number for field, number in more.items()}
            )
