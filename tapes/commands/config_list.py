"""`tapes config list`."""

from dataclasses import asdict

from tapes.commands.context import Flags, begin, no_flags
from tapes.render.tables import Column, plain_lines


def config_list(*, flags: Flags = no_flags) -> int:
    """Print all settings, what is in force, and where it comes from."""
    run = begin(flags)
    values = list(run.config.all())
    if flags.json:
        run.out.answer(
            "config-list", {"settings": [asdict(value) | {"value": value.shown} for value in values]}
        )
        return 0
    rows = [(value.key, value.shown or "", value.origin) for value in values]
    run.out.lines(plain_lines((Column("key"), Column("value"), Column("origin")), rows))
    return 0
