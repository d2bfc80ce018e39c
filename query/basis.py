"""What a kept catalog was made of, and by which rules: it is gone on with only where both still hold."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from query.path_table import PATHS
from query.paths import FOLDING
from query.rollup import ROLLUP
from query.rules import STEPS
from store.manifest_schema import MANIFEST_SCHEMA

kept_version: Final = (
    1  # raised when how rows are judged or kept changes; texts of SQL and schemas are looked at anyway
)
manifest_rows: Final = 50  # opening a manifest costs as much as so many rows


@dataclass(frozen=True, slots=True)
class Basis:
    """What a kept source was made of. `origins`: by number, slot and digest of the manifest; None for own rows."""

    form: str
    origins: list[list[Any] | None]
    own: list[Any] | None  # the local store's id, its last change, whose its rows are; None: there was none
    costs: str | None  # which costs lie over the rows


def form_of() -> str:
    """By which rules rows are judged and folded: another program's work is not gone on with."""
    rules = (*STEPS, *FOLDING, ROLLUP, str(MANIFEST_SCHEMA), str(PATHS))
    return f"{kept_version}-{hashlib.sha256(''.join(rules).encode()).hexdigest()[:16]}"
