"""Keeping what an opened source was made into, and going on from there: only what came in since is read.

    catalog.sealed        everything at one moment (query/kept_catalog.py)
    catalog-more.sealed   rows of the manifests that came in since, as they are, end to end

Both are this device's alone, sealed under a key of its own, and may be deleted at any time. When more came in than is worth
being looked at each time, everything is made anew. No process waits for another: each reads whole files, replaces whole files,
and takes rows of another catalog than it opened for none.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crypto.errors import StoreError
from crypto.identities import derive_seed
from crypto.sealing import SealKey
from query.basis import Basis, form_of, manifest_rows
from query.batches import own_origin
from query.intake import Origin
from query.sealed_sections import SectionsBroken, forget_all
from query.source import Source
from sync.identity import Identity

if TYPE_CHECKING:
    from pyarrow import Table

FILES: Final = ("catalog.sealed", "catalog-more.sealed")
kept_rows_min: Final = 10_000  # less than that is opened in a moment
_KEY_LABEL: Final = b"tapes/v0/catalog"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where and how. `costs`: which ones lie over the rows; `say`: who hears of a file that was of no use."""

    folder: Path
    key: SealKey
    say: Callable[[str], None]
    costs: str | None = None
    rows_min: int = kept_rows_min

    def open(self, source: Source, costs: "Table | None") -> bool:
        """Open a source from what was kept; False where that does not fit what there is now."""
        if not (self.folder / FILES[0]).exists():
            return False
        try:
            if self._opened(source, costs):
                return True
        except SectionsBroken as broken:
            self.say(f"{broken.message}; it is made anew")
            forget(self.folder)
        source.begin_anew()
        return False

    def _opened(self, source: Source, costs: "Table | None") -> bool:
        from query.kept_catalog import Kept  # noqa: PLC0415 - who has too little to keep does without
        from query.newer_rows import NewerRows, Noted  # noqa: PLC0415
        from query.overlaid_source import Overlaid  # noqa: PLC0415

        kept = Kept(self.folder / FILES[0], self.key)
        try:
            noted = Noted(self.folder / FILES[1], self.key, self.say)
            news = NewerRows(source, kept, noted).read(self.basis(source))
            if news is not None:
                overlaid = Overlaid(source.tableless, kept)
                overlaid.lay(news, source.origins, costs)
                source.overlaid = overlaid
        finally:
            if source.overlaid is None:
                kept.close()
        return source.overlaid is not None

    def basis(self, source: Source) -> Basis:
        """What a source opened from now on is made of, its manifests still unknown."""
        local = source.local
        own = own_origin(source.client).member
        state = [local.id(), local.last_change(), own and own.hex()] if local is not None else None
        return Basis(form_of(), [], state, self.costs)

    def keep(self, source: Source, basis: Basis) -> None:
        """Keep an opened source. `basis`: from before it was opened. A disk that refuses is said to be so."""
        from query.kept_catalog_writer import keep  # noqa: PLC0415 - what is kept already is read without it

        [(rows,)] = source.engine.all("SELECT count(*) FROM rows")
        if rows + manifest_rows * len(source.origins) < self.rows_min:
            return
        seen = [_seen(origin) for origin in source.origins]
        try:
            keep(self.folder / FILES[0], self.key, source, replace(basis, origins=seen))
            with suppress(OSError):  # rows beside another catalog are taken for none, wherever they lie
                (self.folder / FILES[1]).unlink(missing_ok=True)
        except StoreError as error:
            self.say(f"the catalog cannot be kept, so the next answer takes as long: {error.message}")


def catalog_key(identity: Identity) -> SealKey:
    """Of no team and no space: it never leaves this home."""
    return SealKey(bytes(32), bytes(16), 1, derive_seed(identity.device.box_seed, _KEY_LABEL))


def forget(folder: Path) -> None:
    """Delete what is kept."""
    for name in FILES:
        forget_all(folder / name)


def _seen(origin: Origin) -> list[Any] | None:
    return None if origin.manifest is None else [origin.manifest.seq, origin.manifest.ref.sha256]
