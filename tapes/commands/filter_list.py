"""`tapes filter list`."""

from tapes.commands.context import Flags, begin, no_flags
from tapes.render.tables import Column, plain_lines
from tapes.saved_filters import SavedFilters


def filter_list(*, flags: Flags = no_flags) -> int:
    """Print the saved filters: name and line."""
    run = begin(flags)
    lines = SavedFilters(run.home.path).all()
    if flags.json:
        run.out.answer(
            "filter-list", {"filters": [{"name": name, "line": line} for name, line in lines.items()]}
        )
    elif lines:
        run.out.lines(plain_lines((Column("name"), Column("filter")), list(lines.items())))
    else:
        run.out.say("No filters are saved. One is: tapes filter save costly 'cost:>1 since:7d'")
    return 0
