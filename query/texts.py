"""What was said, by node: from the local store where that has the node, else from the frame its bytes lie in.

A node's words are taken from its own bytes, re-hashed, and from nothing beside them: nobody puts words into another's turn, and a
search finds what `show` shows. Of withheld content there are no words.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from crypto.errors import KeyNeeded, StoreError, TapesError, VerificationFailed
from query.placed import PLACE, Place, checked_node, node_of_others, pack_of, place_of, read_frame
from query.source import Source
from store.local import local_node_bytes_max
from store.names import object_name
from store.node_parse import node_from_bytes
from store.texts import searchable_text

if TYPE_CHECKING:  # the type only: a home where nothing is kept does without
    from query.overlaid_source import Overlaid

kept_chars_max = 32 * 1024 * 1024
near_nodes_max = 4096  # so many are looked up one by one; for more, all rows are looked through
_PACKS = "SELECT DISTINCT origin, pack FROM stored JOIN wanted USING (hash) ORDER BY origin, pack"
_PACKS_OF = "SELECT DISTINCT origin, pack FROM stored JOIN wanted USING (hash) WHERE origin = ? ORDER BY pack"
_PLACES = (
    f"SELECT hash, {PLACE} FROM stored JOIN wanted USING (hash)"  # noqa: S608 - a constant
    " WHERE origin = ? AND pack = ? ORDER BY frame_offset, frame_index"
)
_NEAR = (
    f"SELECT stored.origin, stored.pack, hash, {PLACE} FROM {{near}} AS stored"  # noqa: S608 - constants
    " ORDER BY stored.origin, stored.pack, stored.frame_offset, stored.frame_index"
)
# A comparison, not the column by itself: only that is told to whoever reads the rows, and lets a million be passed over.
_WORDLESS = (
    "SELECT count(*) FROM rows WHERE withheld = true AND kind = 'message' AND device IS DISTINCT FROM ?"
)
_Placed = list[tuple[bytes, Place]]


@dataclass(slots=True)
class Kept:
    """Texts that were read lately, for a process that is asked again: a snippet is cut out of a frame of a megabyte."""

    by_hash: dict[bytes, str] = field(default_factory=dict)
    chars: int = 0

    def put(self, node_hash: bytes, text: str) -> None:
        """Keep one more; when there is too much, begin anew."""
        if self.chars + len(text) > kept_chars_max:
            self.by_hash.clear()
            self.chars = 0
        if len(text) <= kept_chars_max and node_hash not in self.by_hash:
            self.by_hash[node_hash] = text
            self.chars += len(text)


@dataclass(slots=True)
class Texts:
    """Reads texts. `unread`: what could not be read and why; those turns are not searched, which answers must say."""

    source: Source
    unread: dict[str, TapesError] = field(default_factory=dict)  # by the pack's name
    kept: Kept | None = None
    here_only: bool = False  # reads what is on this device and makes no request
    elsewhere: set[bytes] = field(default_factory=set)  # what was left out for that
    heed: Callable[[], None] | None = None  # called before each text; may raise, and ends the reading
    _away: StoreError | None = None
    _wordless: int | None = None

    def every(self, wanted: set[bytes]) -> Iterator[tuple[bytes, str]]:
        """(hash, text) of the wanted nodes, each at most once; a node in which nothing was said is left out."""
        if self.kept is None:
            yield from self._read(wanted)
            return
        here = {node_hash: self.kept.by_hash[node_hash] for node_hash in wanted & self.kept.by_hash.keys()}
        yield from here.items()
        for node_hash, text in self._read(wanted - here.keys()):
            self.kept.put(node_hash, text)
            yield node_hash, text

    def _read(self, wanted: set[bytes]) -> Iterator[tuple[bytes, str]]:
        left = set(wanted)
        for node_hash, text in self._heeded(self.of_local(wanted)):
            left.discard(node_hash)
            if text:
                yield node_hash, text
        yield from ((node_hash, text) for node_hash, text in self._heeded(self.of_bucket(left)) if text)

    def _heeded(self, read: Iterator[tuple[bytes, str]]) -> Iterator[tuple[bytes, str]]:
        for one in read:
            if self.heed is not None:
                self.heed()
            yield one

    def wordless(self) -> int:
        """How many turns of other devices are metadata only: no search finds them, which answers must say."""
        if self._wordless is None:
            device = self.source.client.identity.device_id if self.source.client else None
            [(self._wordless,)] = self.source.engine.all(_WORDLESS, [device])
        return self._wordless

    def of_local(self, wanted: Iterable[bytes]) -> Iterator[tuple[bytes, str]]:
        """(hash, text) of the nodes that the local store has; the text may be empty."""
        local = self.source.local
        if local is None:
            return
        for node_hash in wanted:
            data = local.get_bytes(node_hash.hex())
            if data is not None:
                name = f"local node {node_hash.hex()}"
                node = node_from_bytes(data, name, verify=False, bytes_max=local_node_bytes_max)
                yield node_hash, searchable_text(node)

    def of_bucket(self, wanted: Iterable[bytes], origin: int | None = None) -> Iterator[tuple[bytes, str]]:
        """(hash, text) of the nodes whose bytes were pushed, as far as they can be read; the text may be empty.

        `origin`: the number of the commit that all of them are read from. Then only its rows are looked through, not the team's.
        """
        table = pa.table({"hash": pa.array(wanted, pa.binary())})
        if origin is None and self.source.lazy is not None and table.num_rows <= near_nodes_max:
            yield from self._of_near(self.source.lazy, table)
            return
        engine = self.source.engine
        with engine.table("wanted", table):
            packs = engine.all(_PACKS) if origin is None else engine.all(_PACKS_OF, [origin])
        for number, pack in packs:  # one after the other: the places of a million nodes take half a gigabyte
            with engine.table("wanted", table):
                rows = engine.all(_PLACES, [number, pack])
            yield from self._of_pack(
                [(h, place) for h, *rest in rows if (place := place_of(rest)) is not None]
            )

    def _of_near(self, overlaid: "Overlaid", wanted: pa.Table) -> Iterator[tuple[bytes, str]]:
        with overlaid.near(wanted) as near:
            rows = self.source.engine.all(_NEAR.format(near=near))
        for _, pack in groupby(rows, lambda row: row[:2]):
            placed = [(h, place) for _, _, h, *rest in pack if (place := place_of(rest)) is not None]
            yield from self._of_pack(placed)

    def _of_pack(self, placed: _Placed) -> Iterator[tuple[bytes, str]]:
        """The texts of nodes in one pack."""
        lost: VerificationFailed | None = None
        try:
            self._bring(placed)
        except VerificationFailed as problem:
            lost = problem
        except (KeyNeeded, StoreError) as problem:
            self._leave(placed[0][1], problem)
        for _, frame in groupby(placed, lambda one: one[1].frame):
            yield from self._of_frame(list(frame), lost=lost)

    def _bring(self, placed: _Placed) -> None:
        """Fetch the pack whole if most of its bytes are wanted and not here: one request instead of many."""
        if self.here_only:
            return
        client, _, ref = pack_of(self.source, placed[0][1])
        frames = {place.frame for _, place in placed}
        lacking = [frame for frame in frames if not client.cache.has_frame(frame.sha256.hex())]
        if self._away is None and 2 * sum(frame.length for frame in lacking) > ref.bytes:
            data = client.cache.fetch(ref)
            for frame in lacking:
                client.cache.keep_frame(frame.sha256.hex(), data[frame.offset : frame.offset + frame.length])

    def _of_frame(self, placed: _Placed, *, lost: VerificationFailed | None) -> Iterator[tuple[bytes, str]]:
        client, first = self.source.client, placed[0][1]
        if client is None:
            return
        here = client.cache.has_frame(first.frame.sha256.hex())
        if self.here_only and not here:
            self.elsewhere.update(node_hash for node_hash, _ in placed)
            return
        try:
            # Each attempt would wait for the same network, or ask for the same lost object, again.
            if self._away and not here:
                self._leave(first, self._away)
                return
            if lost and not here:
                raise lost
            frame = read_frame(self.source, first)
        except VerificationFailed as gone:  # one lost object must not end everybody's search
            yield from self._by_others(placed, gone)
            return
        except (KeyNeeded, StoreError) as locked:
            self._leave(first, locked)
            return
        for node_hash, place in placed:
            try:
                yield node_hash, searchable_text(checked_node(node_hash.hex(), place, frame))
            except VerificationFailed as lie:  # one member's junk
                yield from self._by_others([(node_hash, place)], lie)

    def _by_others(self, placed: _Placed, problem: VerificationFailed) -> Iterator[tuple[bytes, str]]:
        if self.here_only:
            self.elsewhere.update(node_hash for node_hash, _ in placed)
            return
        for node_hash, place in placed:
            try:
                node = node_of_others(self.source, node_hash.hex())
            except StoreError as away:
                self._leave(place, away)
                return
            if node is None:
                self._leave(place, problem)
            else:
                yield node_hash, searchable_text(node)

    def _leave(self, place: Place, problem: TapesError | None) -> None:
        """Remember what keeps some of a pack's nodes from being read."""
        name = f"pack {place.pack}"  # for one that no commit names
        with suppress(VerificationFailed):
            _, _, ref = pack_of(self.source, place)
            name = object_name("pack", ref.base, ref.sha256)
        if problem is not None:
            self.unread.setdefault(name, problem)
        if isinstance(problem, StoreError):
            self._away = problem
