"""What is left of an unexpected error: one line for the user, the details in a private file."""

import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from crypto.errors import TapesError
from tapes.home import current_home


def keep_crash(error: Exception) -> TapesError:
    """Write the traceback (code lines, no values of variables) to the home, and say where it is."""
    text = "".join(traceback.format_exception(error))
    name = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
    try:
        folder = current_home().crashes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / name
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, TapesError):  # the disk may be what failed: a temporary folder may still take it
        return _elsewhere(error, name, text)
    return _told(error, path)


def _elsewhere(error: Exception, name: str, text: str) -> TapesError:
    try:
        path = Path(tempfile.mkdtemp(prefix="tapes-")) / name
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:
        return TapesError(f"unexpected {type(error).__name__}, and its details could not be written anywhere")
    return _told(error, path)


def _told(error: Exception, path: Path) -> TapesError:
    # Only OSError's words are shown: they name a file and a reason; other messages may quote what was being read.
    what = f": {error}" if isinstance(error, OSError) else ""
    return TapesError(
        f"unexpected {type(error).__name__}{what}",
        hint=f"details are in {path}; read it before you send it to anybody",
    )
