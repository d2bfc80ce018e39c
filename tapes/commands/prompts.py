"""Asking a person: only at a terminal, only when allowed, and never on stdout."""

import sys

from crypto.errors import UsageError
from tapes.commands.context import Run


def can_ask(run: Run) -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not run.flags.no_input


def ask(run: Run, question: str) -> str:
    """One line of answer, stripped; UsageError when the input ends."""
    run.out.stderr.print(question, end=" ")
    answer = sys.stdin.readline()
    if not answer:
        raise UsageError("the input ended before the question was answered")
    return answer.strip()
