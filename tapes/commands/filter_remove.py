"""`tapes filter remove`."""

from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, begin, no_flags
from tapes.saved_filters import SavedFilters


def filter_remove(
    name: Annotated[str, Parameter(help="As `tapes filter list` prints it.")], /, *, flags: Flags = no_flags
) -> int:
    """Forget a saved filter."""
    run = begin(flags)
    SavedFilters(run.home.path).remove(name)
    if flags.json:
        run.out.answer("filter-remove", {"name": name})
    else:
        run.out.say(f"{name} is forgotten")
    return 0
