"""`tapes config set`."""

import sys
from typing import Annotated, Final

from cyclopts import Parameter

from crypto.errors import UsageError
from store.network import check_ca_bundle, check_ca_path, has_password
from tapes.commands.context import Flags, begin, no_flags
from tapes.config import Value

CONSEQUENCE: Final = {
    "off": "At the next sync what was published is taken back; who read it before has read it.",
    "totals": "From the next sync on, the team sees what your private sessions use per day and model; nothing that was said.",
    "by-project": "From the next sync on, the team sees what your private sessions use per day, model and project's name.",
    "full": "From the next sync on, what was said goes along: also that of turns whose metadata is there already.",
    "metadata": "From the next sync on, only metadata is pushed; what was said in turns pushed before stays pushed.",
    "team": "From the next sync on, the whole team can read these conversations, their earlier turns included.",
    "private": "Only what is pushed from now on is private; what the team has, it keeps.",
}
HAS_CONSEQUENCE: Final = ("default-visibility", "sync.content", "team.publish_stats")


def config_set(
    key: Annotated[str, Parameter(help="As default-visibility.PROJECT.")],
    value: Annotated[str, Parameter(help="The new value; - reads it from stdin.", allow_leading_hyphen=True)],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Change one setting in the home's config.toml; comments in it stay."""
    run = begin(flags)
    value = _stdin_line() if value == "-" else _sayable(key, value)
    if key == "storage.ca_bundle":
        check_ca_bundle(check_ca_path(value))
    if (key, value) == ("storage.provider", "cloud"):
        raise UsageError(
            "what this device holds must be in the bucket first", hint="tapes storage set-provider cloud"
        )
    run.home.prepare()
    run.config.set({key: value})
    now = run.config.get(key)
    if now.value != value:
        run.out.warn(f"{now.origin} says {now.shown!r}, and wins over the file")
    if flags.json:
        run.out.answer("config-set", {"key": key, "value": now.shown, "origin": now.origin})
    else:
        run.out.say(f"{key} = {Value(key, value, 'file').shown}")
    if key.startswith(HAS_CONSEQUENCE):
        run.out.say(CONSEQUENCE[value])
    project = key.removeprefix("default-visibility.")
    if value == "team" and project != key:
        run.out.say(f"A project is the last part of a path: every directory called {project} is meant.")
    return 0


def _stdin_line() -> str:
    value = sys.stdin.readline().strip()
    if not value:
        raise UsageError("stdin holds no value", hint="write it in one line")
    return value


def _sayable(key: str, value: str) -> str:
    """Refuse a password in argv: every process of the machine may read it there, and the shell keeps it."""
    if key == "storage.proxy" and has_password(value):
        raise UsageError(
            "a password on the command line can be read by others",
            hint="`tapes config set storage.proxy -` reads the URL from stdin; then change that password",
        )
    return value
