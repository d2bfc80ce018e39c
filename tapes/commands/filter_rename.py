"""`tapes filter rename`."""

from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, begin, no_flags
from tapes.saved_filters import SavedFilters


def filter_rename(
    name: Annotated[str, Parameter(help="As `tapes filter list` prints it.")],
    new: Annotated[str, Parameter(help="What it is called from now on.")],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Call a saved filter otherwise."""
    run = begin(flags)
    line = SavedFilters(run.home.path).rename(name, new)
    if flags.json:
        run.out.answer("filter-rename", {"name": new, "line": line})
    else:
        run.out.say(f"{name} is called {new} now")
    return 0
