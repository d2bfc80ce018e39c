"""Where pulled ciphertext is kept: a folder, or this process's memory for a device that keeps nothing. By SHA-256, in hex."""

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from crypto.errors import StoreError
from store.limits import MIB

memory_bytes_max: Final = 64 * MIB  # of objects and frames that a device without a cache holds at once


class Shelf(Protocol):
    """Keeps bytes by name, or not: whoever reads must be able to fetch them again."""

    def read(self, digest: str) -> bytes | None:
        """What was kept, perhaps damaged, or None."""
        ...

    def write(self, digest: str, data: bytes) -> None:
        """Keep it. StoreError when there is no room."""
        ...

    def has(self, digest: str) -> bool:
        """Whether something of that name is kept."""
        ...


class FolderShelf:
    """One file per object."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, digest: str) -> bytes | None:
        """See Shelf."""
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, digest: str, data: bytes) -> None:
        """Beside, then rename. Not fsynced: a torn file fails its digest and is fetched again."""
        path = self._path(digest)
        beside = path.with_name(f".{digest}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.write_bytes(data)
            beside.replace(path)
        except OSError as error:
            with suppress(OSError):  # half a file on a full disk would only keep it full
                beside.unlink()
            raise StoreError(
                f"{path}: {error.strerror}", hint="free some space, or move the cache; nothing is lost"
            ) from error

    def has(self, digest: str) -> bool:
        """See Shelf."""
        return self._path(digest).exists()

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest


class MemoryShelf:
    """The objects used last, `bytes_max` of them at most; a larger object is not kept at all."""

    def __init__(self, bytes_max: int = memory_bytes_max) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def read(self, digest: str) -> bytes | None:
        """See Shelf."""
        data = self._kept.get(digest)
        if data is not None:
            self._kept.move_to_end(digest)
        return data

    def write(self, digest: str, data: bytes) -> None:
        """Keep it, in place of what was not used for longest."""
        if len(data) > self._bytes_max or digest in self._kept:
            return
        self._kept[digest] = data
        self._bytes += len(data)
        while self._bytes > self._bytes_max:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest)

    def has(self, digest: str) -> bool:
        """See Shelf."""
        return digest in self._kept
