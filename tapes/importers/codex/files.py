"""Finding Codex rollouts: which file of several copies counts, and a plain view of the compressed ones.

`<CODEX_HOME>/sessions/YYYY/MM/DD/rollout-<time>-<uuid>.jsonl[.zst]` and, moved there later, `archived_sessions/`. The name stays
the same wherever a rollout goes, so it, not the path, is what an import remembers.
"""

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from crypto.errors import UsageError
from store.limits import MIB
from tapes.importers.walking import files_below

unpacked_bytes_max: Final = (
    16 * 1024 * MIB
)  # of one compressed rollout: a small file may claim to hold any amount
window_bytes_max: Final = 128 * MIB  # of zstd's history; more is memory that a hostile file asks for
_SKIP_BYTES: Final = 1 * MIB
_NAME: Final = re.compile(r"rollout-.+\.jsonl(\.zst)?\Z")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_HINT: Final = "give a Codex home, its sessions folder, or a rollout-….jsonl file"


def default_roots(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Where Codex keeps its rollouts; UsageError when there are none."""
    root = Path(environ.get("CODEX_HOME") or home / ".codex").expanduser()
    found = _below(root)
    if not found:
        raise UsageError(f"no Codex logs here: {root} has no sessions folder", hint=_HINT)
    return found


def find_rollouts(paths: Sequence[Path]) -> list[Path]:
    """All rollouts under `paths`, each once, in the order they were begun: a fork comes after its parent.

    Of copies the plain one wins, then the one in `sessions`. UsageError for a path that is not there.
    """
    best: dict[str, Path] = {}
    for path in paths:
        for file in _candidates(path):
            kept = best.get(rollout_name(file))
            if kept is None or _rank(file) < _rank(kept):
                best[rollout_name(file)] = file
    return [best[name] for name in sorted(best)]


def rollout_name(file: Path) -> str:
    """The rollout's own name: the file's, without what compression adds."""
    return os.fsencode(file.name.removesuffix(".zst").removesuffix(".jsonl")).decode(
        errors="backslashreplace"
    )


def thread_id(file: Path) -> str:
    """The thread by the file's name, for a rollout whose first line is lost."""
    found = _UUID.search(rollout_name(file))
    return found.group() if found else rollout_name(file)


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The rollout's lines as bytes, unpacked; seeks forward only when it is compressed. OSError when it cannot be read."""
    with file.open("rb") as raw:
        if file.suffix != ".zst":
            yield raw
            return
        with io.BufferedReader(_Unpacked(raw)) as plain:
            yield plain


class _Unpacked(io.RawIOBase):
    """A zstd stream that can be read, and skipped forward."""

    def __init__(self, raw: BinaryIO) -> None:
        unpacker = zstandard.ZstdDecompressor(max_window_size=window_bytes_max)
        self._stream = unpacker.stream_reader(raw, read_across_frames=True)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence != os.SEEK_SET or offset < self._at:
            raise OSError(0, "a compressed rollout is read forward only")
        while self._at < offset and self.readinto(bytearray(min(_SKIP_BYTES, offset - self._at))):
            pass
        return self._at

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]  # typeshed: any buffer
        try:
            got: int = self._stream.readinto(buffer)
        except zstandard.ZstdError as problem:
            raise OSError(0, f"not whole zstd data ({type(problem).__name__})") from None
        self._at += got
        if self._at > unpacked_bytes_max:
            raise OSError(0, f"unpacks to more than {unpacked_bytes_max // MIB} MiB")
        return got


def _below(root: Path) -> list[Path]:
    return [folder for folder in (root / "sessions", root / "archived_sessions") if folder.is_dir()]


def _candidates(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for root in _below(path) or [path]:
            yield from files_below(root, lambda name: _NAME.match(name) is not None)
    else:
        raise UsageError(f"there is nothing at {path}", hint=_HINT)


def _rank(file: Path) -> tuple[bool, bool, str]:
    return file.suffix == ".zst", "archived_sessions" in file.parts, str(file)
