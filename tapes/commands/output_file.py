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
    """A binary stream to `path`, or to stdout for None. StoreError when the disk refuses; then `path` is as it was."""
    if path is None:
        yield from _to_stdout()
        return
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


def _to_stdout() -> Iterator[BinaryIO]:
    """A reader that goes away (`| head`) ends the output, not the command."""
    sys.stdout.flush()
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        silence_stdout()
