"""Redaction: sessions with what must not leave taken out, under hashes of their own (DESIGN §6).

A node's hash is over its content and its parent, so a hidden word changes the hash of its turn and of all turns after it. The
old hash would confirm a guess at the word: of such a turn none stays, neither as id, nor as parent, nor as conversation. In its
place stand, as a block at the end of the turn and under `source.extra.redacted`, how many parts were hidden and a commitment to
the original; being hashed, it also keeps forks apart that differ only in what was hidden. The commitment is the one that the
log's leaf is made of (crypto/leaves.py), so a proof of the original speaks of the redacted turn as well; before a turn is
pushed its salt comes from the device's key. A turn whose content is not here counts as one hidden part. Equal sessions, rules
and keys give equal bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from crypto.identities import derive_seed
from crypto.leaves import node_commitment
from query.answers import Session
from query.hiding import Hiding
from query.redaction_rules import Rule
from query.source import Source
from query.table_rows import Loader
from store.eras import HashUndefined, make_node
from store.nodes import Json, Node, node_to_bytes
from store.nodes import Source as FoundAt
from sync.client import Client
from sync.identity import Identity
from sync.pull import applied_manifests

_SALT_LABEL: Final = b"tapes/v0/redaction"
_LABELS: Final = ("harness_session", "project", "agent", "provider", "model", "role", "kind", "stop_reason")
_EMPTY: Final = {"type": "message", "role": "", "content": [], "model": "", "provider": ""}
_HASHES: Final = ("hash", "parent", "conversation")

Salt = Callable[[str], bytes]  # a node's hash, hex → the 32 bytes that its commitment is salted with


def salts(client: Client | None, identity: Identity) -> Salt:
    """A pushed node's salt is its opening, from the first manifest that has it; another's comes from this device's key."""
    openings: dict[bytes, bytes] = {}
    for _, manifest in applied_manifests(client) if client is not None else ():
        columns = (manifest.table.column(name).to_pylist() for name in ("hash", "opening"))
        for node_hash, opening in zip(*columns, strict=True):
            if opening is not None:
                openings.setdefault(node_hash, opening)

    def salt(node_hash: str) -> bytes:
        digest = bytes.fromhex(node_hash)
        return openings.get(digest) or derive_seed(identity.device.box_seed, _SALT_LABEL + b"\0" + digest)

    return salt


class RedactedLoader(Loader):
    """Loads redacted sessions by the ids they have now. `sessions`: those, in order of their id."""

    def __init__(
        self, source: Source, sessions: Iterable[Session], rules: Sequence[Rule], salt: Salt
    ) -> None:
        super().__init__(source)
        self._rules = rules
        self._salt = salt
        self._names: dict[bytes, bytes] = {}  # of every node met: the hash it has now
        self._heads: dict[str, str] = {}  # head as it is now → as it was
        self.hidden_parts = 0
        self.hidden_turns = 0
        # All ids must be known before the first is written: formats want them in order.
        self.sessions = tuple(sorted(map(self._met, sessions), key=lambda session: session.id))

    def nodes(self, head: str) -> list[Node]:
        """The redacted nodes of a session, root first."""
        return [self._node(node) for node in super().nodes(self._heads[head])]

    @contextmanager
    def chosen(self, heads: Iterable[str]) -> Iterator[None]:
        """As Loader.chosen."""
        with super().chosen(self._heads[head] for head in heads):
            yield

    def shown(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows of NODES as they leave."""
        columns = {name: batch.column(name).to_pylist() for name in (*_HASHES, *_LABELS, "tools", "verified")}
        changed = [self._new(old) != old for old in columns["hash"]]
        hiding = Hiding(self._rules)
        shown: dict[str, list[Any]] = {
            name: [hiding.label(text) for text in columns[name]] for name in _LABELS
        }
        shown |= {name: [old and self._new(old) for old in columns[name]] for name in _HASHES}
        shown["tools"] = [names and [hiding.text(name) for name in names] for names in columns["tools"]]
        shown["verified"] = [was or is_new for was, is_new in zip(columns["verified"], changed, strict=True)]
        arrays = [
            pa.array(shown[field.name], field.type) if field.name in shown else batch.column(field.name)
            for field in batch.schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)

    def _met(self, session: Session) -> Session:
        nodes = [self._node(node, first=True) for node in super().nodes(session.id)]
        head = self._new(session.id)
        self._heads[head or session.id] = session.id
        hiding = Hiding(self._rules)
        return replace(
            session,
            id=head or session.id,
            conversation=self._new(session.conversation) or nodes[0].hash,
            project=hiding.label(session.project),
            agent=hiding.label(session.agent),
            models=tuple(map(hiding.text, session.models)),
        )

    def _new(self, node_hash: str) -> str | None:
        """The hash that a node has now; None for one that is not exported: its old hash may say too much."""
        new = self._names.get(bytes.fromhex(node_hash))
        return new.hex() if new is not None else None

    def _node(self, node: Node, *, first: bool = False) -> Node:
        hiding = Hiding(self._rules)
        bucket, project, source = hiding.value(node.bucket), hiding.label(node.project), node.source
        parent = self._new(node.parent_hash) if node.parent_hash else None
        if source is not None:
            source = FoundAt(source.harness, hiding.label(source.session), source.usage_id)
        usage = replace(node.usage, raw=None) if node.usage is not None else None
        made = replace(node, project=project, source=source, usage=usage)
        if node.withheld:
            hiding.hidden += 1
        if hiding.hidden or bucket != node.bucket or parent != node.parent_hash:
            made = _rehashed(made, bucket, parent, hiding, self._commitment(node))
        if first and bytes.fromhex(node.hash) not in self._names:
            self._names[bytes.fromhex(node.hash)] = bytes.fromhex(made.hash)
            self.hidden_parts += hiding.hidden
            self.hidden_turns += hiding.hidden > 0
        return made

    def _commitment(self, node: Node) -> str:
        opening = self._salt(node.hash)
        return node_commitment(opening, bytes.fromhex(node.hash), node_to_bytes(node)).hex()


def _rehashed(node: Node, bucket: Json, parent: str | None, hiding: Hiding, commitment: str) -> Node:
    """The node under the hash of what is left of it."""
    metadata: dict[str, Any] = {
        name: getattr(node, name) for name in ("stop_reason", "usage", "cost", "project", "created_at")
    }
    try:
        made = make_node(_noted(bucket, hiding.hidden, commitment), parent)
    except HashUndefined:  # a bucket that Go's tapes cannot hold: nothing of it could be named
        hiding.hidden += 1
        made = make_node(_noted(_EMPTY, hiding.hidden, commitment), parent)
    found = node.source or FoundAt("unknown")
    extra = {"redacted": {"commitment": commitment, "hidden": hiding.hidden}}
    return replace(made, **metadata, source=replace(found, extra=extra), withheld=node.withheld)


def _noted(bucket: Json, hidden: int, commitment: str) -> Json:
    """The bucket with a block that says what was hidden; as it is where nothing was."""
    if not hidden:
        return bucket
    content = bucket.get("content")
    if not isinstance(content, list):
        content = [] if content is None else [{"type": "text", "text": content}]
    many = f"{hidden} part" + ("s" if hidden != 1 else "")
    return {**bucket, "content": [*content, {"type": "text", "text": f"[redacted: {many} of {commitment}]"}]}
