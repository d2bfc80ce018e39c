"""A directory as the bucket: the embedded default, and the way a shared folder or a USB disk carries a team.

What a crash leaves. A name appears by link(2) of a file that is already whole and flushed, so a name is either absent or holds
all its bytes. A crash before the link leaves a file in `.tmp/`, which no list shows and no name reaches; it may be deleted while
nobody writes. A power cut between the link and the folder's flush leaves the name present or absent, and nobody was told either.
An NFS server that loses the link's reply answers "exists" to its own success: EXISTS is never "I lost" (blobs.py). A filesystem
whose link is not atomic is caught by the probe, not by a list of names.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from crypto.errors import BlobNotFound, StoreError, StoreRefused, StoreUnknown
from store.blobs import BlobInfo, PutOutcome, check_name, check_put, check_range, is_name, object_bytes_max
from store.names import TOP_FOLDERS

TEMP: Final = ".tmp"  # beside the objects: link(2) does not cross filesystems
temp_token_bytes: Final = 16  # random, so that processes never meet
_OURS: Final = {TEMP, *TOP_FOLDERS}  # any of them is the trace of a bucket; `.tmp` is made by the first write
# O_NOFOLLOW on every part: a symbolic link planted in a shared folder must not lead a write or a read out of it.
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = (
    os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
)  # a planted pipe must not block the open
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HINT_OF_REFUSAL: Final = {
    errno.EACCES: "check who owns the folder",
    errno.EPERM: "the folder's filesystem must allow hard links (ext4, xfs, apfs, …; not FAT)",
    errno.EOPNOTSUPP: "the folder's filesystem must allow hard links (ext4, xfs, apfs, …; not FAT)",
    errno.EROFS: "the filesystem is mounted read-only",
    errno.ELOOP: "there is a symbolic link inside the bucket folder: remove it",
    errno.ENOTDIR: "a file or link stands where the bucket needs a folder",
    errno.EISDIR: "a folder stands where the bucket needs a file",
    errno.ENAMETOOLONG: "the folder's path is too long for this filesystem",
}
_HINT_OF_TROUBLE: Final = {
    errno.ENOSPC: "the disk is full: free some space and try again",
    errno.EDQUOT: "the quota is used up: free some space and try again",
}


class DirectoryStore:
    """A bucket prefix as a folder. Safe for several threads and processes on a filesystem with atomic link(2)."""

    def __init__(self, root: Path, *, may_be_new: bool = True) -> None:
        """Use `root`. Only one that may be new is made, if its parent exists, and only in one is nothing an answer.

        Any other was a bucket before. Missing, or with nothing of a bucket in it, it is the mount point of a share that is away:
        taken for a bucket, it would look like a log that was rolled back, and what is written there would vanish under the
        share when that comes. Opening asks nothing of the disk: what needs no bucket works while it is away. Every request
        then says so.
        """
        self._root = root.resolve()
        self._may_be_new = may_be_new
        if not may_be_new:
            return
        try:
            self._root.mkdir(exist_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _error_of(str(self._root), error) from error

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._root)!r})"

    def describe(self) -> str:
        """The folder as a URL."""
        return self._root.as_uri()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """Write beside, flush, link: the link is the one moment the name appears."""
        check_put(name, data)
        folders, base = _split(name)
        with _translated(name), self._temp_file(data) as (temp_folder, temp), self._folder(folders) as folder:
            try:
                os.link(temp, base, src_dir_fd=temp_folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                outcome = PutOutcome.EXISTS
            else:
                outcome = PutOutcome.CREATED
            # Also after EXISTS: the winner may have died between its link and its flush, and our caller will build on the name.
            self._flush(name, folders)
        return outcome

    def put_projection(self, name: str, data: bytes) -> None:
        """Write beside, flush, rename over: a reader sees the old bytes or the new ones."""
        check_put(name, data)
        folders, base = _split(name)
        with _translated(name), self._temp_file(data) as (temp_folder, temp), self._folder(folders) as folder:
            os.rename(temp, base, src_dir_fd=temp_folder, dst_dir_fd=folder)
            self._flush(name, folders)

    def get(self, name: str) -> bytes:
        """The whole file."""
        check_name(name)
        with self._open(name) as (file, size_bytes):
            if size_bytes > object_bytes_max:
                raise StoreRefused(f"{name}: {size_bytes} bytes; an object has at most {object_bytes_max}")
            return _read_exactly(name, file, 0, size_bytes)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """A part of the file, whole or not at all."""
        check_range(name, offset, length)
        with self._open(name) as (file, size_bytes):
            if offset + length > size_bytes:
                raise StoreRefused(f"{name}: has {size_bytes} bytes, asked for {length} from {offset}")
            return _read_exactly(name, file, offset, length)

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """Walk the folders in the byte order of full names; what vanishes meanwhile is left out."""
        with _translated(prefix):
            yield from self._walk("", prefix, start_after)

    def delete(self, name: str) -> None:
        """Unlink and flush."""
        check_name(name)
        folders, base = _split(name)
        with _translated(name):
            try:
                with self._folder(folders, create=False) as folder:
                    os.unlink(base, dir_fd=folder)
            except FileNotFoundError:
                self._check_root()
            else:
                self._flush(name, folders)

    def _walk(self, folder: str, prefix: str, start_after: str) -> Iterator[BlobInfo]:
        for path, size_bytes in self._entries(folder, prefix, start_after):
            if size_bytes is None:
                yield from self._walk(path, prefix, start_after)
            else:
                yield BlobInfo(path, size_bytes)

    def _entries(self, folder: str, prefix: str, start_after: str) -> Sequence[tuple[str, int | None]]:
        """What stands in `folder` ("" or ending in "/"): files with their size, folders with a last "/" and None.

        The slash also makes folders sort where the names inside them belong.
        """
        found: dict[str, int | None] = {}
        try:
            with self._folder(tuple(folder.split("/")[:-1]), create=False) as handle:
                if not folder:
                    self._check_used(handle)
                with os.scandir(handle) as scan:
                    for entry in filter(lambda each: is_name(each.name), scan):
                        path = folder + entry.name
                        if entry.is_dir(follow_symlinks=False) and _may_hold(path + "/", prefix, start_after):
                            found[path + "/"] = None
                        elif path.startswith(prefix) and path > start_after:
                            found.update(_size_if_file(path, entry))
        except FileNotFoundError:
            self._check_root()
        return sorted(found.items())

    @contextmanager
    def _folder(self, folders: tuple[str, ...], *, create: bool = True) -> Iterator[int]:
        """A descriptor of a folder below the root, walked part by part so that no symbolic link is followed."""
        handle = self._open_root()
        try:
            if create:
                self._check_used(handle)
            for part in folders:
                if create:
                    _make_folder(part, handle)
                inner = os.open(part, _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = inner
            yield handle
        finally:
            os.close(handle)

    def _open_root(self) -> int:
        try:
            return os.open(self._root, _FOLDER)
        except FileNotFoundError as error:
            if not self._may_be_new:
                raise self._away("not there") from error
            if not self._root.parent.exists():  # asking again a moment later mounts no disk
                raise StoreRefused(
                    f"{self._root.parent}: no such folder", hint="make it first, or mount the disk it is on"
                ) from error
            raise StoreError(
                f"{self._root}: the bucket folder is gone", hint="is its disk mounted?"
            ) from error

    def _check_root(self) -> None:
        """A missing file means "absent" only while the bucket itself is there."""
        handle = self._open_root()
        try:
            self._check_used(handle)
        finally:
            os.close(handle)

    def _check_used(self, root: int) -> None:
        if not self._may_be_new and not any(name in _OURS for name in os.listdir(root)):
            raise self._away("empty")

    def _away(self, how: str) -> StoreRefused:
        return StoreRefused(
            f"{self._root}: the bucket's folder is {how}: is the share mounted?",
            hint="mount it and try again; a new bucket is made by `tapes storage configure` alone; one that is lost: "
            "docs/recovery.md, chapter 5",
        )

    @contextmanager
    def _temp_file(self, data: bytes) -> Iterator[tuple[int, str]]:
        """A flushed file with `data` in the hidden folder, gone afterwards: (folder descriptor, file name)."""
        temp = secrets.token_hex(temp_token_bytes)
        with self._folder((TEMP,)) as folder:
            try:
                handle = os.open(temp, _CREATE, 0o666, dir_fd=folder)
                with os.fdopen(handle, "wb") as file:
                    os.fchmod(handle, stat.S_IMODE(os.fstat(folder).st_mode) & 0o666)  # as open as the bucket
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                yield folder, temp
            finally:
                _unlink_if_there(temp, folder)

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[int, int]]:
        """A descriptor of the file and its size in bytes."""
        folders, base = _split(name)
        with _translated(name):
            try:
                with self._folder(folders, create=False) as folder:
                    file = os.open(base, _READ, dir_fd=folder)
            except FileNotFoundError as error:
                self._check_root()
                raise BlobNotFound(f"{name}: not in {self.describe()}") from error
            try:
                status = os.fstat(file)
                if not stat.S_ISREG(status.st_mode):
                    raise StoreRefused(f"{name}: not a plain file", hint=_HINT_OF_REFUSAL[errno.EISDIR])
                yield file, status.st_size
            finally:
                os.close(file)

    def _flush(self, name: str, folders: tuple[str, ...]) -> None:
        """Make the name durable: its folder and every folder above, any of which may be new."""
        try:
            for depth in range(len(folders), -1, -1):
                with self._folder(folders[:depth], create=False) as handle:
                    os.fsync(handle)
        except OSError as error:
            raise StoreUnknown(f"{name}: written, but not known to be on disk ({error.strerror})") from error


def _split(name: str) -> tuple[tuple[str, ...], str]:
    *folders, base = name.split("/")
    return tuple(folders), base


def _may_hold(inside: str, prefix: str, start_after: str) -> bool:
    """Whether a folder (ending in "/") can hold a wanted name: nobody walks all packs to list the log's tail."""
    if not (inside.startswith(prefix) or prefix.startswith(inside)):
        return False
    return start_after.startswith(inside) or inside > start_after


def _size_if_file(path: str, entry: "os.DirEntry[str]") -> dict[str, int]:
    """`{path: size in bytes}` of a plain file; nothing for a link, a pipe, or what vanished since the scan."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return {}
    return {path: status.st_size} if stat.S_ISREG(status.st_mode) else {}


def _make_folder(part: str, parent: int) -> None:
    """A folder as open as the one it is in: the process's umask must not shut out the others who share the bucket."""
    try:
        os.mkdir(part, dir_fd=parent)
        os.chmod(part, stat.S_IMODE(os.fstat(parent).st_mode), dir_fd=parent)
    except FileExistsError:
        return  # another writer's, or ours from before; opening it next tells whether it is a folder


def _unlink_if_there(temp: str, folder: int) -> None:
    try:
        os.unlink(temp, dir_fd=folder)
    except FileNotFoundError:
        return  # renamed into place, or never made


def _read_exactly(name: str, file: int, offset: int, length: int) -> bytes:
    """A read may return less than asked, and a file may shrink under us: a short result is an error, never a result."""
    whole = os.pread(file, length, offset)
    if len(whole) == length:
        return whole  # nearly always; gathering would copy it twice
    data = bytearray(whole)
    while len(data) < length:
        piece = os.pread(file, length - len(data), offset + len(data))
        if not piece:
            raise StoreError(f"{name}: ended after {len(data)} of {length} bytes", hint="read it again")
        data += piece
    return bytes(data)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """The one place where an OSError becomes a store error."""
    try:
        yield
    except OSError as error:
        raise _error_of(name, error) from error


def _error_of(name: str, error: OSError) -> StoreError:
    number = error.errno or 0
    message = f"{name}: {error.strerror or type(error).__name__}"
    if number in _HINT_OF_REFUSAL:
        return StoreRefused(message, hint=_HINT_OF_REFUSAL[number])
    return StoreError(message, hint=_HINT_OF_TROUBLE.get(number, "look at the disk, then try again"))
