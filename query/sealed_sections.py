"""One file of sealed sections, read by range: what a device keeps for itself, as ciphertext that DuckDB can still look into.

    file      = section ‖ … ‖ directory ‖ bytes of the directory u32 big-endian
    section   = sealed object (crypto/sealing.py, Kind.PROJECTION)
    directory = sealed JSON {"about": …, "sections": {name: [offset, stored bytes, object id]}}

The directory names each section's object id: one taken from another file of the same key is refused. A file is written beside
its place and renamed into it, so that it is there whole or not at all; what a power cut leaves does not open, and is made anew.
"""

import io
import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from crypto.errors import FormatBroken, SealBroken, StoreError, TapesError
from crypto.sealing import (
    BLOCK_BYTES,
    Kind,
    SealHeader,
    Sealing,
    SealKey,
    block_overhead_bytes,
    check_header,
    header_bytes,
    open_block,
    open_sealed,
    plain_length,
    read_header,
    seal,
)

directory_bytes_max: Final = 256 * 1024 * 1024
_LENGTH: Final = struct.Struct(">I")
_step: Final = BLOCK_BYTES[Kind.PROJECTION]
_stored_step: Final = _step + block_overhead_bytes


class SectionsBroken(TapesError):
    """The file is damaged, of another version or another device's: delete it and write a new one."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, hint="run the command again: it is made anew")


class SectionWriter:
    """Fills a file; use it through `writing`."""

    def __init__(self, file: io.BufferedWriter, key: SealKey) -> None:
        self._file, self._key = file, key
        self._places: dict[str, tuple[int, int, str]] = {}

    @contextmanager
    def section(self, name: str) -> Iterator["Sink"]:
        """Write to what is given; the section ends with the block."""
        offset = self._file.tell()
        sealing = Sealing(self._key, Kind.PROJECTION, self._file.write)
        yield Sink(sealing)
        sealing.close()
        self._places[name] = (offset, sealing.stored_bytes, sealing.object_id.hex())

    def end(self, about: Any) -> None:
        """The directory, and with it the file. `about`: JSON."""
        plain = json.dumps({"about": about, "sections": self._places}).encode()
        sealed = seal(self._key, Kind.PROJECTION, plain)
        self._file.write(sealed + _LENGTH.pack(len(sealed)))


class Sink(io.RawIOBase):
    """A section as a file that is written from one end to the other. Closing it leaves the section open."""

    def __init__(self, sealing: Sealing) -> None:
        super().__init__()
        self._sealing, self._at = sealing, 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How much was written."""
        return self._at

    def write(self, data: Any) -> int:
        """Write all of it."""
        written = self._sealing.write(data)
        self._at += written
        return written


@contextmanager
def writing(path: Path, key: SealKey) -> Iterator[SectionWriter]:
    """Write a file in place of a former one, for its owner only. Nothing is there if the block fails, or is killed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(path)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield SectionWriter(file, key)
        beside.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", hint="check the disk") from error
    finally:
        beside.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove what processes that were killed left beside it: it may be as large as the file itself."""
    for left in path.parent.glob(f".{path.name}.*"):
        writer = left.name.rpartition(".")[2]
        try:
            os.kill(int(writer), 0)
        except (ProcessLookupError, ValueError):
            left.unlink(missing_ok=True)
        except PermissionError:
            continue  # somebody else's process bears its number now; `forget_all` removes it


def forget_all(path: Path) -> None:
    """Remove the file, and whatever is left beside it. StoreError for what does not go."""
    for each in (path, *path.parent.glob(f".{path.name}.*")):
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{each} cannot be removed: {error.strerror}", hint="remove it by hand"
            ) from error


class Sections:
    """An open file. It stays what it is when another process puts a new one in its place."""

    def __init__(self, path: Path, key: SealKey) -> None:
        """Open it. FileNotFoundError when there is none, SectionsBroken for what is not as it was written."""
        self.name = path.name
        self.broken: SectionsBroken | None = None
        self._path, self._key = path, key
        try:
            self._file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SectionsBroken(f"{path} cannot be read: {error.strerror}") from error
        try:
            self.about, self._places = self._directory()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what reads a section of it is of no use any more."""
        os.close(self._file)

    def read(self, name: str) -> bytes:
        """All of a section."""
        return self.file(name).readall()

    def file(self, name: str) -> "SectionFile":
        """A section as a file that is opened block by block."""
        if name not in self._places:
            raise self.refuse(name, "is missing")
        return SectionFile(self, name, *self._places[name])

    def stored(self, offset: int, length: int) -> bytes:
        """Bytes of the file, as they are."""
        try:
            return os.pread(self._file, length, offset)
        except OSError as error:
            raise self.refuse("the disk", str(error.strerror)) from error

    def opened(self, header: SealHeader, number: int, stored: bytes, *, last: bool) -> bytes:
        """One block."""
        return open_block(self._key, header, number, stored, last=last, name=self.name)

    def checked(self, header: SealHeader, stored_bytes: int) -> int:
        """How many plain bytes a section has. SealBroken or FormatBroken for one of another key or kind."""
        check_header(self._key, Kind.PROJECTION, header, self.name)
        return plain_length(Kind.PROJECTION, stored_bytes, self.name)

    def refuse(self, section: str, problem: str) -> "SectionsBroken":
        """The error about a damaged file, which is deleted: whoever comes next makes it anew.

        What reads a section may be a library that tells its caller of an error in words of its own; `broken` says which it was.
        """
        with suppress(OSError):
            if self._path.stat().st_ino == os.fstat(self._file).st_ino:
                self._path.unlink()
        self.broken = SectionsBroken(f"{self.name} is damaged ({section} {problem})")
        return self.broken

    def _directory(self) -> tuple[Any, dict[str, tuple[int, int, str]]]:
        try:
            end = os.fstat(self._file).st_size - _LENGTH.size
            (length,) = _LENGTH.unpack(self.stored(max(0, end), _LENGTH.size))
            if length > min(directory_bytes_max, end):
                raise self.refuse("directory", "is cut")
            told = json.loads(
                open_sealed(self._key, Kind.PROJECTION, self.stored(end - length, length), self.name)
            )
        except (struct.error, SealBroken, FormatBroken) as broken:
            raise self.refuse("directory", "does not open") from broken
        return told["about"], told["sections"]


class SectionFile(io.RawIOBase):
    """The plain bytes of a section, for reading at any place. SectionsBroken where a block is not what was written."""

    def __init__(self, sections: Sections, name: str, offset: int, stored_bytes: int, object_id: str) -> None:
        super().__init__()
        self._sections, self._name = sections, name
        self._offset, self._stored_bytes = offset, stored_bytes
        try:
            self._header = read_header(sections.stored(offset, header_bytes), name)
            self._bytes = sections.checked(self._header, stored_bytes)
        except (SealBroken, FormatBroken) as broken:
            raise sections.refuse(name, "does not open") from broken
        if self._header.object_id.hex() != object_id:
            raise sections.refuse(name, "is of another file")
        self._at = 0
        self._last = (-1, b"")  # readers ask for neighbouring bytes one after the other

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go there."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._bytes}[whence]
        self._at = base + offset
        return self._at

    def readall(self) -> bytes:
        """All that is left."""
        return self.read(self._bytes - self._at)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, fewer at the end."""
        wanted = self._bytes if size is None or size < 0 else size
        start, end = self._at, min(self._at + wanted, self._bytes)
        if end <= start:
            return b""
        first = start // _step
        blocks = b"".join(self._blocks(first, (end - 1) // _step))
        self._at = end
        return blocks[start - first * _step : end - first * _step]

    def _blocks(self, first: int, last: int) -> Iterator[bytes]:
        if first == self._last[0]:
            yield self._last[1]
            first += 1
        if first > last:
            return
        start = header_bytes + first * _stored_step
        length = min((last - first + 1) * _stored_step, self._stored_bytes - start)
        stored = self._sections.stored(self._offset + start, length)
        final = (self._bytes - 1) // _step
        for number in range(first, last + 1):
            at = (number - first) * _stored_step
            block = stored[at : at + _stored_step]
            try:
                plain = self._sections.opened(self._header, number, block, last=number == final)
            except SealBroken as broken:
                raise self._sections.refuse(self._name, "was altered") from broken
            self._last = (number, plain)
            yield plain
