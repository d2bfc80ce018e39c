"""The way in: `tapes`, `python -m tapes`. Closes what could leak secrets, then hands over to the command line."""

import os
import sys

_PR_SET_DUMPABLE = 4


def main() -> int:
    """Run one command; the exit code (DESIGN §9)."""
    try:
        keep_secrets_in()
        keep_libraries_lean()
        from tapes.cli import run  # noqa: PLC0415 - inside the try: Ctrl-C while importing is no traceback either
        from tapes.interrupts import listen  # noqa: PLC0415 - as above

        listen()
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


def keep_secrets_in() -> None:
    """No core file and no debugger of the same user sees keys in memory; new files are for their owner only."""
    os.umask(0o077)
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not there on Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only here

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def keep_libraries_lean() -> None:
    """Before any is imported. Whoever set these variables otherwise has their way."""
    # numpy's OpenBLAS starts a thread a core when it is loaded, for products of matrices that nothing here asks for.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # pydantic would look through every installed package for plugins, and hand each of them what our models read.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


if __name__ == "__main__":
    sys.exit(main())
