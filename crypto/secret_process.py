"""What every process that holds keys does first: nobody else of this machine is to read them out of it."""

import os
import sys

_PR_SET_DUMPABLE = 4


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
