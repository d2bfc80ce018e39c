"""`tapes config set`."""

from typing import Annotated, Final

from cyclopts import Parameter

from tapes.commands.context import Flags, begin, no_flags

_CONSEQUENCE: Final = {
    "full": "From the next sync on, what was said goes along: also that of turns whose metadata is there already.",
    "metadata": "From the next sync on, only metadata is pushed; what was said in turns pushed before stays pushed.",
    "team": "From the next sync on, the whole team can read these conversations, their earlier turns included.",
    "private": "Only what is pushed from now on is private; what the team has, it keeps.",
}


def config_set(
    key: Annotated[str, Parameter(help="As default-visibility.PROJECT.")],
    value: Annotated[str, Parameter(help="The new value.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Change one setting in the home's config.toml; comments in it stay."""
    run = begin(flags)
    run.home.prepare()
    run.config.set({key: value})
    now = run.config.get(key)
    if now.value != value:
        run.out.warn(f"{now.origin} says {now.value!r}, and wins over the file")
    if flags.json:
        run.out.answer("config-set", {"key": key, "value": now.value, "origin": now.origin})
    else:
        run.out.say(f"{key} = {value}")
    if key.startswith(("default-visibility", "sync.content")):
        run.out.say(_CONSEQUENCE[value])
    return 0
