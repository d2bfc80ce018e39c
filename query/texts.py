"""What was said, by node: from the local store where that has the node, else from the text objects of the commit it came with.

A text row is a member's word. It counts only for nodes whose content its own commit brought first, by the member who committed
the node first: nobody puts words into another's turn by committing the hash again. Of withheld content there are no words.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from crypto.errors import KeyNeeded, StoreError, TapesError, VerificationFailed
from query.source import Source
from store.commits import ObjectRef
from store.local import local_node_bytes_max
from store.names import object_name
from store.node_parse import node_from_bytes
from store.texts import open_text, searchable_text
from sync.client import Client
from sync.replica import PendingManifest

_WORDLESS: Final = """
SELECT count(*) FROM rows
WHERE seq IS NOT NULL AND content_seq IS NULL AND kind = 'message' AND device IS DISTINCT FROM ?
"""


@dataclass(slots=True)
class Texts:
    """Reads texts. `unread`: what could not be read and why; those turns are not searched, which answers must say."""

    source: Source
    unread: dict[str, TapesError] = field(default_factory=dict)  # by the object's name
    _commits: "dict[int, _Commit] | None" = None
    _away: StoreError | None = None

    def commits(self) -> list[int]:
        """The slots of all commits whose manifests were taken in, in log order."""
        return sorted(self._known())

    def every(self, wanted: set[bytes]) -> Iterator[tuple[bytes, str]]:
        """(hash, text) of the wanted nodes, each at most once; a node in which nothing was said is left out."""
        left = set(wanted)
        for node_hash, text in self.of_local(wanted):
            left.discard(node_hash)
            if text:
                yield node_hash, text
        for seq, nodes in self._by_commit(left):
            yield from self.of_commit(seq, nodes)

    def wordless(self) -> int:
        """How many turns of other devices are metadata only: no search finds them, which answers must say."""
        device = self.source.client.identity.device_id if self.source.client else None
        [(turns,)] = self.source.engine.all(_WORDLESS, [device])
        return int(turns)

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

    def of_commit(self, seq: int, wanted: Collection[bytes]) -> Iterator[tuple[bytes, str]]:
        """(hash, text) of the wanted nodes that a commit's text objects speak of, each once."""
        client, commit = self.source.client, self._known().get(seq)
        if client is None or commit is None:
            return
        left = set(wanted)
        for ref in commit.refs:
            if not left:
                return
            for node_hash, text in self._object(client, commit.manifest, ref, left):
                left.discard(node_hash)
                yield node_hash, text

    def _object(
        self, client: Client, manifest: PendingManifest, ref: ObjectRef, wanted: set[bytes]
    ) -> Iterator[tuple[bytes, str]]:
        name = object_name("text", ref.base, ref.sha256)
        if self._away is not None and not client.cache.has(ref.sha256):
            self.unread[name] = self._away  # each attempt would wait for the same network again
            return
        try:
            key = client.keychain.at(client.roster, manifest.space, manifest.epoch)
            table = open_text(key, client.cache.whole(ref), name)
        except (KeyNeeded, StoreError, VerificationFailed) as problem:
            self.unread[name] = (
                problem  # one lost object, or one member's junk, must not end everybody's search
            )
            return
        hashes = table.column("hash").to_pylist()
        rows = {node_hash: row for row, node_hash in enumerate(hashes) if node_hash in wanted}
        texts = table.column("text").take(pa.array(rows.values(), pa.int64())).to_pylist()
        yield from zip(rows, texts, strict=True)

    def _by_commit(self, wanted: Collection[bytes]) -> Iterator[tuple[int, set[bytes]]]:
        engine = self.source.engine
        with engine.table("wanted", pa.table({"hash": pa.array(wanted, pa.binary())})):
            found = engine.all(
                "SELECT content_seq, list(hash) FROM rows JOIN wanted USING (hash)"
                " WHERE content_seq IS NOT NULL GROUP BY content_seq ORDER BY content_seq"
            )
        yield from ((seq, set(hashes)) for seq, hashes in found)

    def _known(self) -> "dict[int, _Commit]":
        if self._commits is None:
            self._commits = _commits(self.source.client) if self.source.client else {}
        return self._commits


@dataclass(frozen=True, slots=True)
class _Commit:
    manifest: PendingManifest
    refs: list[ObjectRef]


def _commits(client: Client) -> dict[int, _Commit]:
    """Commits that were taken in, by slot, with their text objects."""
    return {
        pending.seq: _Commit(
            pending, [ref for ref in client.commit_at(pending.seq).objects if ref.kind == "text"]
        )
        for pending in client.replica.manifests("applied")
    }
