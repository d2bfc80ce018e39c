"""Importing the Go tool's database into the local store: `import_tapes_db`."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from crypto.errors import StoreError, UsageError
from store.local import LocalStore
from store.nodes import Json, Node
from tapes.importers.lines import BadLine
from tapes.importers.report import ImportReport, ProgressHook, Tally
from tapes.importers.running import run_files
from tapes.importers.tapes_db.database import NodesTable, Values, reading
from tapes.importers.tapes_db.files import databases_at, find_database
from tapes.importers.tapes_db.rows import HARNESS, node_of, row_of
from tapes.importers.tapes_db.stitching import Places, stitched
from tapes.importers.whole_session import path_name

batch_nodes_max: Final = 1_000
conversations_kept_max: Final = 50_000  # in the cursor, for the report on an unchanged file
_VERSION: Final = 1


def import_tapes_db(
    store: LocalStore,
    paths: Sequence[Path] | None = None,
    *,
    progress: ProgressHook | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import every node of the Go tool's databases at `paths` (None: where it keeps its own), only what is new or changed.

    Hashes stay what they are; one that fits no era is kept, unverified. A row that is no node is a row of the report, its rowid
    in the place of a line number. UsageError for a path that is not there, or is this tool's own store.
    """
    files = (
        [find_database(os.environ, Path.home(), Path.cwd())]
        if paths is None
        else databases_at([path.expanduser() for path in paths])
    )

    def take(file: Path, tally: Tally, tell: Callable[[int], None]) -> None:
        tally.files += 1
        try:
            with reading(file) as table:
                DatabaseImport(store, file, table, tally, atomic=not dry_run).run()
        except (UsageError, StoreError) as problem:
            if len(files) == 1:
                raise
            tally.note(path_name(file), 0, problem.message, skipped=False)
        tell(file.stat().st_size)

    return run_files(store, files, take, progress=progress, dry_run=dry_run)


class DatabaseImport:
    """The import of one database, in batches that each are one transaction with the cursor."""

    def __init__(
        self, store: LocalStore, path: Path, table: NodesTable, tally: Tally, *, atomic: bool
    ) -> None:
        self._store = store
        self._name = path_name(path)
        self._source = f"{HARNESS}:{path_name(path.resolve())}"
        self._table = table
        self._tally = tally
        self._atomic = atomic
        self._places = Places(table)
        self._batch: dict[str, Node] = {}
        self._calls: dict[str, str] = {}  # key of a stem -> the first call there, of this batch
        self._ahead: set[str] = set()  # rows taken before their turn, because a row below them came first

    def run(self) -> None:
        """Go on after the last row imported, or from the first if rows before it have changed since."""
        state = self._resumed()
        nodes, last = state["nodes"], state["rowid"]
        self._tally.nodes_known += nodes
        self._tally.conversations.update(state["conversations"])
        for rowid, values in self._table.after(last):
            nodes += self._take(rowid, values)
            last = rowid
            if len(self._batch) >= batch_nodes_max:
                self._write({"rowid": last, "nodes": nodes, "conversations": []})
        if last == state["rowid"]:
            return
        self._write({"rowid": last, "nodes": nodes, "conversations": []})
        self._write({"rowid": last, "nodes": nodes, "conversations": self._kept_conversations()})

    def _kept_conversations(self) -> list[Json]:
        return sorted(self._tally.conversations)[:conversations_kept_max]

    def _resumed(self) -> dict[str, Json]:
        state = self._store.cursor(self._source)
        if (
            state
            and state.get("version") == _VERSION
            and self._table.print_of(state["rowid"]) == state["print"]
        ):
            return state
        return {"rowid": 0, "nodes": 0, "conversations": []}

    def _take(self, rowid: int, values: Values) -> int:
        """Take a row after those above it that were not taken yet; answers how many rows that came to."""
        if values["hash"] in self._ahead:
            self._ahead.remove(values["hash"])
            return 0
        above = list(self._above(values))
        self._ahead.update(above)
        rows = [*map(self._table.of_hash, reversed(above)), values]
        return sum(self._take_one(rowid, each) for each in rows if each is not None)

    def _above(self, values: Values) -> Iterator[str]:
        """The hashes above a row that are there but not stored yet, nearest first: rows need not have come in that order."""
        seen, step = {values["hash"]}, values["parent_hash"]
        while isinstance(step, str) and step not in seen and not self._taken(step):
            there, above = self._table.parent_of(step)
            if not there:
                return
            yield step
            seen.add(step)
            step = above

    def _taken(self, node_hash: str) -> bool:
        return node_hash in self._batch or node_hash in self._ahead or bool(self._store.has([node_hash]))

    def _take_one(self, rowid: int, values: Values) -> bool:
        try:
            row = row_of(values)
        except BadLine as bad:
            self._tally.note(self._name, rowid, str(bad), skipped=True)
            return False
        place = self._places.of(row)
        node = stitched(node_of(row, place.alias), place, self._call_at)
        if node.usage is not None:
            self._calls.setdefault(_key(place.stem), node.hash)
        self._batch[node.hash] = node
        return True

    def _call_at(self, stem: str) -> Node | None:
        """The first call whose answer stands at a stem."""
        stored = self._store.line_nodes(HARNESS, [_key(stem)]).get(_key(stem))
        if stored is not None:
            return self._store.get(stored)
        found = self._calls.get(_key(stem))
        return None if found is None else self._batch.get(found)

    def _write(self, state: dict[str, Json]) -> None:
        """Store the batch and move the cursor, all or nothing."""
        batch, self._batch = self._batch, {}
        calls, self._calls = self._calls, {}
        with self._store.transaction() if self._atomic else nullcontext():
            added = self._store.add(batch.values())
            self._store.remember_lines(HARNESS, calls)
            kept = {"version": _VERSION, "print": self._table.print_of(state["rowid"]), **state}
            self._store.set_cursor(self._source, kept)
        tops = (node for node in batch.values() if node.parent_hash not in batch)
        found = {self._store.conversation_of(node.hash) for node in tops}
        conversations = {conversation for conversation in found if conversation}
        self._tally.take(Tally(conversations, added.new, added.known, added.unverified))


def _key(stem: str) -> str:
    return f"stem:{stem}"
