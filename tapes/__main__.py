"""The way in: `tapes`, `python -m tapes`. Closes what could leak secrets, then hands over to the command line."""

import atexit
import gc
import os
import sys
import threading
from typing import Final, NoReturn

from crypto.secret_process import keep_secrets_in

_objects_between_collections: Final = 10_000  # the interpreter's own 700 is for programs that load less


def program() -> NoReturn:
    """`main`, and the end of the process."""
    try:
        code = main()
        _end_at_once(code)
    except KeyboardInterrupt:  # another, while the first was answered or the last output was taken
        os._exit(130)
    sys.exit(code)


def main() -> int:
    """Run one command; the exit code (DESIGN §9)."""
    try:
        gc.set_threshold(_objects_between_collections)
        keep_secrets_in()
        keep_libraries_lean()
        from tapes.cli import run  # noqa: PLC0415 - inside the try: Ctrl-C while importing is no traceback either
        from tapes.interrupts import listen  # noqa: PLC0415 - as above

        listen()
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


def _end_at_once(code: int) -> None:
    """End the process without taking the interpreter apart: it would look twice through all that was loaded for cycles to free.

    That was a sixth of a short command's time, for what the kernel frees anyway. What must be closed was closed by a `with`.
    Returns where the ordinary end has something to do: a thread still works, or output finds no taker, which has an exit code.
    """
    if threading.active_count() > 1:
        return
    atexit._run_exitfuncs()  # noqa: SLF001 - os._exit leaves them out; libraries count on them
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


def keep_libraries_lean() -> None:
    """Before any is imported. Whoever set these variables otherwise has their way."""
    # numpy's OpenBLAS starts a thread a core when it is loaded, for products of matrices that nothing here asks for.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # pydantic would look through every installed package for plugins, and hand each of them what our models read.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


if __name__ == "__main__":
    program()
