"""What came in since a catalog was kept: manifests that were taken in, own turns that changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from crypto.errors import StoreError
from crypto.sealing import SealKey
from query.basis import Basis, manifest_rows
from query.batches import committed_rows, origin_of, own_batches, own_links, own_origin
from query.intake import Origin, Tagging, no_rows
from query.kept_catalog import Kept
from query.overlaid_source import News
from query.sealed_sections import Sections, SectionsBroken, writing
from query.source import Source
from store.local_rows import LocalFacts
from sync.replica import PendingManifest

news_rows_min: Final = 20_000  # so many are laid over in a moment, however little there is below them
news_share: Final = 16  # more than one in so many of what is kept: it is made anew
noted_rows_min: Final = 500  # fewer new ones are read again next time
Seen = tuple[int, str]  # a manifest: its slot, its digest


class NewerRows:
    """What came in since a catalog was kept."""

    def __init__(self, source: Source, kept: Kept, noted: "Noted") -> None:
        self._source, self._kept, self._noted = source, kept, noted
        self._rows_max = max(news_rows_min, kept.rows // news_share)

    def read(self, now: Basis) -> News | None:
        """The news, their origins added to the source's; None when everything is to be made anew. `now`: what there is."""
        changed = self._changed(now)
        if changed is None:
            return None
        applied = self._applied()
        old = [tuple(origin) if origin else None for origin in self._kept.basis.origins]
        if not {seen for seen in old if seen} <= applied.keys():
            return None  # a manifest is gone: given up, or the team another one
        self._source.origins += [self._origin(applied, seen) for seen in old]
        committed = self._committed(applied, {seen for seen in old if seen})
        if committed is None:
            return None
        own = list(own_batches(changed, self._source.client))
        return News(committed, own, own_links(changed))

    def _changed(self, now: Basis) -> list[LocalFacts] | None:
        """Own nodes that changed; None where another store took the place of the one that was read, or too much changed."""
        local, then = self._source.local, self._kept.basis
        if (then.form, then.costs) != (now.form, now.costs) or (then.own is None) != (now.own is None):
            return None
        if local is None or then.own is None or now.own is None:
            return []
        (store, since, whose), (same_store, last, same_whose) = then.own, now.own
        if (store, whose) != (same_store, same_whose) or not since <= last <= since + self._rows_max:
            return None
        return local.changed_facts(since)

    def _applied(self) -> dict[Seen, PendingManifest]:
        client = self._source.client
        manifests = client.replica.manifests("applied") if client is not None else []
        return {(one.seq, one.ref.sha256): one for one in manifests}

    def _origin(self, applied: dict[Seen, PendingManifest], seen: Any) -> Origin:
        client = self._source.client
        return own_origin(client) if seen is None or client is None else origin_of(client, applied[seen])

    def _committed(self, applied: dict[Seen, PendingManifest], old: set[Any]) -> pa.Table | None:
        """The rows of manifests that are new; None where they are too many, or do not come after what was kept.

        Rows of one slot are counted through: a manifest that comes in beside one of its slot would take numbers that are taken.
        """
        noted, noted_seen = self._noted.read(self._kept.id)
        if not set(noted_seen) <= applied.keys() - old:
            noted, noted_seen = no_rows(), []
        new = applied.keys() - old - set(noted_seen)
        slots = {seq for seq, _ in (*old, *noted_seen)}
        if any(seq in slots for seq, _ in new):
            return None
        self._source.origins += [self._origin(applied, seen) for seen in noted_seen]
        brought = self._brought(new, noted.num_rows)
        if brought is None:
            return None
        tables, seen = brought
        committed = pa.concat_tables([noted, *tables])
        if manifest_rows * len(tables) + committed.num_rows - noted.num_rows >= noted_rows_min:
            self._noted.write(self._kept.id, committed, [*noted_seen, *seen])
        return committed

    def _brought(self, new: set[Seen], there: int) -> tuple[list[pa.Table], list[Seen]] | None:
        client = self._source.client
        if client is None or not new:
            return [], []
        tagging, tables, seen, rows = Tagging(self._source.origins), list[pa.Table](), list[Seen](), there
        for origin, table in committed_rows(client, lambda one: (one.seq, one.ref.sha256) in new):
            rows += table.num_rows
            if rows > self._rows_max:
                return None
            tables.append(tagging.tagged(origin, table))
            seen += [(one.seq, one.ref.sha256)] if (one := origin.manifest) else []
        return tables, seen


@dataclass(frozen=True, slots=True)
class Noted:
    """Rows of manifests that came in since, as they are, so that no manifest is opened each time. Belongs to one catalog.

    A kill leaves the former file, and so does a disk that refuses, which is said.
    """

    path: Path
    key: SealKey
    say: Callable[[str], None]

    def read(self, of: str) -> tuple[pa.Table, list[Seen]]:
        """What was noted beside the catalog of that id: rows, and their manifests in the order of their origins."""
        try:
            with Sections(self.path, self.key) as sections:
                about = sections.about
                if about.get("of") != of:
                    return no_rows(), []
                table = pq.read_table(pa.BufferReader(sections.read("rows")), use_threads=False)
        except FileNotFoundError:
            return no_rows(), []
        except SectionsBroken as broken:
            self.say(f"{broken.message}; it is made anew")
            return no_rows(), []
        return table.cast(no_rows().schema), [(seq, sha256) for seq, sha256 in about["origins"]]

    def write(self, of: str, rows: pa.Table, seen: Sequence[Seen]) -> None:
        """Note these in place of the former."""
        try:
            with writing(self.path, self.key) as out:
                with (
                    out.section("rows") as sink,
                    pq.ParquetWriter(sink, rows.schema, store_schema=False) as file,
                ):
                    file.write_table(rows)
                out.end({"of": of, "origins": list(seen)})
        except StoreError as error:
            self.say(f"what came in cannot be kept, so the next answer takes as long: {error.message}")
