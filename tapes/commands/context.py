"""What every command has: its common flags, the home, the settings, the two output channels."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from tapes.config import Config
from tapes.home import Home, current_home
from tapes.render.output import Output, open_output


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Flags:
    """Flags of every command."""

    json: Annotated[bool, Parameter(help="Answer with one JSON object (docs/json.md).")] = False
    no_input: Annotated[bool, Parameter(help="Never ask; fail instead.")] = False
    color: Annotated[
        Literal["auto", "always", "never"] | None, Parameter(help="Colours; auto: only in a terminal.")
    ] = None


no_flags = Flags()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command."""

    home: Home
    config: Config
    out: Output
    flags: Flags


def begin(flags: Flags) -> Run:
    """Read home and settings. UsageError for a settings file that cannot be read."""
    home = current_home()
    config = Config(home.config)
    color = config.text("ui.color", flags.color) or "auto"
    return Run(home, config, open_output(json_wanted=flags.json, color=color), flags)


def nothing_yet(run: Run) -> str:
    """What a home without sessions says, and what brings some."""
    shared = run.config.text("storage.provider") != "local" and run.config.text("storage.bucket") is not None
    return f"No sessions yet. Next: tapes import all{', or tapes storage sync' if shared else ''}"
