"""`tapes config get`."""

from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, begin, no_flags


def config_get(
    key: Annotated[str, Parameter(help="As storage.bucket or default-visibility.PROJECT.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Print one setting: flag, then environment (TAPES_STORAGE_BUCKET …), then file, then default."""
    run = begin(flags)
    value = run.config.get(key)
    if flags.json:
        run.out.answer("config-get", {"key": key, "value": value.shown, "origin": value.origin})
    elif value.shown is not None:
        run.out.lines([value.shown])
    else:
        run.out.say(f"{key} is not set")
    return 0
