"""Where a command's file goes: stdout, or a file that appears whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from crypto.errors import StoreError
from tapes.render.output import silence_stdout


@contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """A binary stream to `path`, or to stdout for None. StoreError when the disk refuses; then `path` is as it was.

    A file that is there is replaced when the new one is whole; where a link stands, the file it points to.
    """
    if path is None:
        yield from _to_stdout()
        return
    if _is_special(path):
        with _into(path) as out:
            yield out
        return
    path = Path(os.path.realpath(path))  # Path.resolve raises for links in a circle
    partial = path.with_name(f".{path.name}.{token_hex(4)}.partial")
    try:
        with partial.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _is_special(path: Path) -> bool:
    """Whether something else than a file is there. Asked of the name as given: that of /dev/stdout's pipe leads nowhere."""
    return path.exists() and not path.is_file()


@contextmanager
def _into(device: Path) -> Iterator[BinaryIO]:
    """A device or a named pipe takes bytes as they come: a file put in its place would take it from everybody."""
    try:
        with device.open("wb") as out:
            yield out
    except BrokenPipeError:
        return  # its reader has what it wanted
    except OSError as error:
        raise StoreError(f"cannot write {device}: {error.strerror}") from error


def _to_stdout() -> Iterator[BinaryIO]:
    """A reader that goes away (`| head`) ends the output, not the command."""
    sys.stdout.flush()
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        silence_stdout()
