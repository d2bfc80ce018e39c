"""What must be said whenever somebody loses a right: keys stop reading what comes, only credentials stop reading the bucket."""

from typing import Final

from tapes.commands.context import Run

_ROTATE: Final = "rotate the bucket credentials now: whoever lost the right may still have them, and can read and fill the bucket"


def say_rotate(run: Run) -> None:
    """Without a broker nobody but the bucket's owner can take access away."""
    run.out.warn(_ROTATE)
