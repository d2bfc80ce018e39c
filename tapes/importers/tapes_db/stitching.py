"""Finding what belongs together in classic data, where most turns fork the chain (tapes.md §3.5, decision 0007).

The next request resends an answer under the request's model name, with its tool calls (the stream lost them) or with another
system-reminder: another hash, so another branch. No hash is changed. A chain's alias is the hash its root has in the newest era,
where such noise is left out; a resent answer gets the usage id of the call that it repeats, so that the call counts once,
whichever of the two a path goes through, and the abandoned original is no session of its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from store.eras import ERAS, HashUndefined, hash_bucket
from store.nodes import Node
from store.projection import TAGS_E6, project_blocks
from tapes.importers.lines import BadLine
from tapes.importers.tapes_db.database import NodesTable
from tapes.importers.tapes_db.rows import Row, row_of

places_kept_max: Final = 100_000  # some 30 MB; a chain that fell out is walked again
alias_chars: Final = 16
_NEWEST: Final = tuple(ERAS)[-1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands: `stem` is a digest of all that was said up to it, noise left out; `alias` names its chain."""

    stem: str
    alias: str


class Places:
    """The places of a database's nodes, computed from the parents down; remembers the latest."""

    def __init__(self, table: NodesTable) -> None:
        self._table = table
        self._kept: OrderedDict[str, Place] = OrderedDict()

    def of(self, row: Row) -> Place:
        """The place of a row."""
        missing = [row]
        above: Place | None = None
        for ancestor in self._ancestors(row):
            if isinstance(ancestor, Place):
                above = ancestor
                break
            missing.append(ancestor)
        for each in reversed(missing):
            above = self._keep(each.hash, _place(each, above))
        return above or _place(row, None)

    def _ancestors(self, row: Row) -> Iterator["Row | Place"]:
        """The rows above one, up to the first whose place is known; a parent that is not there or a circle ends them."""
        seen = {row.hash}
        step = row.parent_hash
        while step is not None and step not in seen:
            seen.add(step)
            if step in self._kept:
                yield self._kept[step]
                return
            values = self._table.of_hash(step)
            if values is None:
                return
            try:
                parent = row_of(values)
            except BadLine:  # reported where the row itself is imported
                return
            yield parent
            step = parent.parent_hash

    def _keep(self, node_hash: str, place: Place) -> Place:
        self._kept[node_hash] = place
        if len(self._kept) > places_kept_max:
            self._kept.popitem(last=False)
        return place


def stitched(node: Node, place: Place, call_of: Callable[[str], Node | None]) -> Node:
    """The node, with the usage of the call it resends if it does. `call_of` finds the first call at a stem."""
    if node.usage is not None or node.bucket.get("role") != "assistant":
        return node
    call = call_of(place.stem)
    if call is None or call.hash == node.hash or call.source is None or node.source is None:
        return node
    source = replace(node.source, usage_id=call.source.usage_id, extra={"resends": call.hash})
    return replace(
        node,
        usage=call.usage,
        cost=call.cost,
        stop_reason=node.stop_reason or call.stop_reason,
        source=source,
    )


def _place(row: Row, above: Place | None) -> Place:
    said = _words(row)
    stem = sha256(
        "\0".join((above.stem if above else "", str(row.bucket.get("role")), said)).encode()
    ).hexdigest()
    return Place(stem, above.alias if above else _alias(row))


def _words(row: Row) -> str:
    """What a turn says, without noise and without what early versions lost: tool calls and their results."""
    content = row.bucket.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    kept = project_blocks([{"type": "text", "text": text} for text in texts], TAGS_E6, outputs=False)
    return "\n".join(str(block["text"]) for block in kept)


def _alias(row: Row) -> str:
    """As today's Go tool names a session that no harness named: the start of its root's hash."""
    try:
        projected = hash_bucket(row.bucket, None, _NEWEST)
    except HashUndefined:
        return row.hash[:alias_chars]
    # A root of nothing but noise projects to nothing: its alias would glue all such chains together.
    return (projected if _words(row) else row.hash)[:alias_chars]
