"""`tapes config unset`."""

from typing import Annotated

from cyclopts import Parameter

from tapes.commands.config_set import CONSEQUENCE, HAS_CONSEQUENCE
from tapes.commands.context import Flags, begin, no_flags


def config_unset(
    key: Annotated[str, Parameter(help="As default-visibility.PROJECT.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Take one setting out of the home's config.toml: from then on the environment or the default holds."""
    run = begin(flags)
    was = run.config.get(key)
    run.home.prepare()
    run.config.set({key: None})
    now = run.config.get(key)
    if flags.json:
        run.out.answer("config-unset", {"key": key, "value": now.shown, "origin": now.origin})
    else:
        run.out.say(f"{key} = {now.shown or '-'} ({now.origin})")
    if key.startswith(HAS_CONSEQUENCE) and now.value is not None and now.value != was.value:
        run.out.say(CONSEQUENCE[now.value])
    return 0
