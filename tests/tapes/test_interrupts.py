"""Ctrl-C while a library is at work: an interrupt is an interrupt, whatever the library makes of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
_SCRIPT = """
import os, signal, sys
from tapes.interrupts import interrupts_kept, listen
listen()
try:
    with interrupts_kept():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted")
except KeyboardInterrupt:
    print("interrupted")
try:
    with interrupts_kept():
        raise RuntimeError("of its own")
except RuntimeError as error:
    print(error)
"""


@pytest.mark.parametrize(("ignored", "said"), [(False, "interrupted\nof its own\n"), (True, "of its own\n")])
def test_an_error_made_of_an_interrupt_is_an_interrupt(*, ignored: bool, said: str) -> None:
    """What surfaces after the signal is KeyboardInterrupt, an error without a signal stays itself, and nohup's choice holds."""
    ran = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=HOUSE,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL),
    )

    assert said == ran.stdout
