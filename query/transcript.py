"""A session's nodes, root first: the same on every laptop that pulled the same log.

A node comes from the local store where the shown row says that this very device pushed those very bytes, or nobody pushed any;
else its frame is fetched, even if the node is here too: another device's import of the same turn may differ in what the hash does
not cover, and `show` must not depend on who looks. Where its author pushed metadata only, that is all there is: `Node.withheld`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from crypto.errors import StoreError, TapesError, UsageError, VerificationFailed
from query.forest import nowhere
from query.moments import rfc3339
from query.placed import PLACE, Place, checked_node, node_of_others, place_of, read_frame
from query.source import Source
from store.local import local_node_bytes_max
from store.node_parse import node_from_bytes
from store.nodes import Cost, Node, Usage
from store.nodes import Source as Found
from store.packs import FramePlace
from sync.placed_frames import ReadFrame

_STEPS: Final = f"""
SELECT rows.hash, rows.parent, seq, device, stop_reason, input_uncached, cache_read, cache_write, output, cache_write_1h,
    cost_usd_micro, cost_source, cost_table, {PLACE},
    rows.kind, rows.role, rows.provider, rows.model, rows.agent, rows.project, epoch_us(rows.created_us), rows.harness,
    rows.harness_session, rows.usage_id
FROM path JOIN rows USING (id) LEFT JOIN stored ON stored.hash = rows.hash ORDER BY step
"""  # noqa: S608 - a constant
_shown_columns = 8
_place_columns = 9


@dataclass(frozen=True, slots=True)
class _Step:
    """One node of the path as its shown row has it; `committed` False: only on this device."""

    hash: str
    parent: str | None
    committed: bool
    device: bytes | None
    stop_reason: str | None
    usage: Usage | None
    cost: Cost | None
    place: Place | None
    labels: tuple[Any, ...]  # the rest of the row, in the order of `_STEPS`


def load(source: Source, head: str, parents: Sequence[int] | None = None) -> list[Node]:
    """The nodes from root to `head` (64 hex digits). A missing parent ends the way up; nodes that fit no era are marked.

    Who loads many heads reads `parents` (`Source.parents`) once.

    UsageError for a head that is not in the source, VerificationFailed naming pack and frame for bytes that are not what their
    manifest says, StoreError when the bucket is needed and away.
    """
    steps = list(_steps(source, head, parents))
    reader = _Reader(source)
    found: dict[str, Node] = {}
    frames: dict[tuple[int, FramePlace], list[tuple[_Step, Place]]] = {}
    for step in steps:
        node, place = reader.near(step), step.place
        if node is not None:
            found[step.hash] = node
        elif place is not None:
            frames.setdefault((place.origin, place.frame), []).append((step, place))
        else:
            found[step.hash] = _withheld(step)
    for neighbours in frames.values():  # one frame holds many nodes of a session: it is read and opened once
        found.update(reader.far(neighbours))
    if source.repriced:  # else a turn would say another cost than the sums it is in
        return [replace(found[step.hash], cost=step.cost) for step in steps]
    return [found[step.hash] for step in steps]


class _Reader:
    """Reads nodes from here or from the bucket."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._device = source.client.identity.device_id if source.client else None

    def near(self, step: _Step) -> Node | None:
        """The node from the local store, if that is what everybody else sees."""
        place = step.place
        if not step.committed or place is None:
            return self._unplaced(step)
        if place.elsewhere or step.device != self._device:
            return None
        # The local store only ever betters a node's usage: equal output and length mean that it is as it was when pushed.
        node, size_bytes = self._local(step.hash)
        if node is None or size_bytes != place.stored_bytes:
            return None
        return node if _output(node.usage) == _output(step.usage) else None

    def far(self, steps: Sequence[tuple[_Step, Place]]) -> dict[str, Node]:
        """Nodes of one frame. Without the bucket, local copies do: a laptop on a train still shows its own sessions."""
        try:
            frame = read_frame(self._source, steps[0][1])
        except StoreError:
            copies = {step.hash: self._local(step.hash)[0] for step, _ in steps}
            here = {node_hash: node for node_hash, node in copies.items() if node is not None}
            if len(here) < len(copies):
                raise
            return here
        except VerificationFailed as lost:
            return {step.hash: self._by_others(step, lost) for step, _ in steps}
        return {step.hash: self._at(step, place, frame) for step, place in steps}

    def _at(self, step: _Step, place: Place, frame: ReadFrame) -> Node:
        try:
            return _checked(step, place, frame)
        except VerificationFailed as lie:
            return self._by_others(step, lie)

    def _by_others(self, step: _Step, lie: VerificationFailed) -> Node:
        """The node as another row has it, with that row's metadata: the shown one has nothing behind it."""
        node = node_of_others(self._source, step.hash)
        if node is None or node.parent_hash != step.parent:
            raise lie
        return node

    def _unplaced(self, step: _Step) -> Node | None:
        """A node that only the local store can have; None where even that lacks what some commit speaks of."""
        node, _ = self._local(step.hash)
        if step.committed:
            return node and _with_metadata(node, step)
        if node is None:
            raise TapesError(f"node {step.hash} vanished from the local store", hint="run the command again")
        return node

    def _local(self, node_hash: str) -> tuple[Node | None, int]:
        data = self._source.local.get_bytes(node_hash) if self._source.local else None
        if data is None:
            return None, 0
        return node_from_bytes(data, f"local node {node_hash}", bytes_max=local_node_bytes_max), len(data)


def _checked(step: _Step, place: Place, frame: ReadFrame) -> Node:
    node = checked_node(step.hash, place, frame)
    if node.parent_hash != step.parent:
        raise VerificationFailed(frame.name, f"node {node.hash} has another parent than its manifest says")
    return _with_metadata(node, step) if place.elsewhere else node


def _with_metadata(node: Node, step: _Step) -> Node:
    """The node with what the shown row alone knows better: a model call's usage, cost and end."""
    return replace(node, stop_reason=step.stop_reason, usage=step.usage, cost=step.cost)


def _withheld(step: _Step) -> Node:
    """A node as its row alone tells of it. Its hash cannot be recomputed, so it is of no era."""
    kind, role, provider, model, agent, project, created_us, harness, session, usage_id = step.labels
    labels = {"type": kind, "role": role, "model": model, "provider": provider, "agent_name": agent}
    return Node(
        hash=step.hash,
        hash_version=None,
        parent_hash=step.parent,
        bucket={name: label for name, label in labels.items() if label is not None},
        stop_reason=step.stop_reason,
        usage=step.usage,
        cost=step.cost,
        project=project,
        created_at=rfc3339(created_us),
        source=Found(harness, session, usage_id) if harness is not None else None,
        withheld=True,
    )


def _output(usage: Usage | None) -> int | None:
    return usage.output if usage is not None else None


def _steps(source: Source, head: str, parents: Sequence[int] | None) -> Iterator[_Step]:
    """The path from the root to `head`, from the rows alone. Hostile rows may go in a circle: the second meeting ends it."""
    engine = source.engine
    known = engine.all("SELECT id FROM rows WHERE hash = unhex(?)", [head])
    if not known:
        raise UsageError(f"no node {head}", hint="`tapes sessions` lists what there is")
    if parents is None:
        parents = source.parents()
    path: dict[int, None] = {}
    node = known[0][0]
    while node != nowhere and node not in path:
        path[node] = None
        node = parents[node]
    steps = pa.table(
        {"id": pa.array(path, pa.int64()), "step": pa.array(range(len(path), 0, -1), pa.int64())}
    )
    with engine.table("path", steps):
        for digest, parent, seq, device, stop_reason, *rest in engine.stream(_STEPS):
            yield _Step(
                hash=digest.hex(),
                parent=parent and parent.hex(),
                committed=seq is not None,
                device=device,
                stop_reason=stop_reason,
                usage=_usage(rest[:5]),
                cost=_cost(rest[5:_shown_columns]),
                place=place_of(rest[_shown_columns : _shown_columns + _place_columns]),
                labels=tuple(rest[_shown_columns + _place_columns :]),
            )


def _usage(counts: list[int | None]) -> Usage | None:
    """Counts in the order of Usage; none of them known means that the node is no model call."""
    if all(count is None for count in counts):
        return None
    fresh, read, written, output, written_1h = (count or 0 for count in counts)
    return Usage(fresh, read, written, output, written_1h)


def _cost(columns: list[Any]) -> Cost | None:
    usd_micro, origin, table = columns
    return Cost(usd_micro, origin, table) if origin is not None else None
