"""Handing a new recovery kit to its owner, before anything that needs it exists: into a file, or on the screen and confirmed."""

import random
from pathlib import Path
from typing import Final

from crypto.errors import UsageError
from crypto.identities import member_keys
from crypto.kit import mark_of, words_of
from tapes.commands.context import Run
from tapes.commands.prompts import ask, can_ask
from tapes.identity import write_private
from tapes.render.kit import kit_text, words_table

confirm_words: Final = 2
confirm_attempts_max: Final = 3


def require_a_place(run: Run, kit_out: Path | None, instead: str) -> None:
    """UsageError when a kit could be handed to nobody; `instead` is the command line that could."""
    if kit_out is None and not can_ask(run):
        raise UsageError("there is no terminal to show the recovery kit on", hint=instead)


def hand_over_kit(run: Run, name: str, secret: bytes, kit_out: Path | None, *, confirm: bool) -> None:
    """Returns once the kit is in a new file (durable, mode 0600), or was shown and, if `confirm`, typed back in part."""
    words, mark = words_of(secret), mark_of(member_keys(secret).public)
    if kit_out is not None:
        write_private(kit_out.expanduser(), kit_text(name, words, mark))
        return
    run.out.say("Your recovery kit. Write it down or print it: it is shown only now.", "bold")
    run.out.stderr.print(words_table(words))
    run.out.say(f"Its mark: {mark}")
    run.out.say(
        "Whoever has these words is you. They are kept nowhere else: without them,\n"
        "losing this device means losing your sessions."
    )
    if confirm:
        _confirm(run, words)


def _confirm(run: Run, words: list[str]) -> None:
    for _ in range(confirm_attempts_max):
        places = sorted(random.SystemRandom().sample(range(len(words)), confirm_words))
        answers = [ask(run, f"Type word {place + 1} of the kit:").lower() for place in places]
        if answers == [words[place] for place in places]:
            return
        run.out.say("That is not what the kit says.", "yellow")
    raise UsageError(
        "the kit was not confirmed; nothing was made", hint="run the command again for another new kit"
    )
