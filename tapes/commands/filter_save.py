"""`tapes filter save`."""

from typing import Annotated

from cyclopts import Parameter

from tapes.commands.context import Flags, begin, no_flags
from tapes.saved_filters import SavedFilters


def filter_save(
    name: Annotated[str, Parameter(help="What it is called: a-z, 0-9 and -.")],
    line: Annotated[
        str, Parameter(help="Filters and words, as `tapes search` takes them.", allow_leading_hyphen=True)
    ],
    /,
    *,
    flags: Flags = no_flags,
) -> int:
    """Keep a filter under a name, for @NAME in a search and --filter NAME; a former one of that name goes."""
    run = begin(flags)
    chosen = SavedFilters(run.home.path).save(name, line)
    fields = chosen.model_dump(mode="json", exclude_defaults=True)
    if flags.json:
        run.out.answer(
            "filter-save",
            {"name": name, "line": line, "filter": fields},
        )
    else:
        run.out.say(f"saved; use it as @{name} in a search, or with --filter {name}")
    return 0
