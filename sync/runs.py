"""Runs: what a space lacks, cut into commits that stay within every limit of the format, however odd the nodes are.

A commit over a limit is void for everybody, and a manifest over its own goes into no bucket: a push that made one would upload
the same again and never end. Held here are rows, leaves, bytes of content and bytes of labels; what follows from them (packs, the
sizes of commit and manifest) is arithmetic that tests/sync/test_runs.py does with the real encoders.
"""

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from store.facts import NodeFacts
from store.limits import MIB, commit_leaves_max, label_bytes_max, manifest_rows_max
from store.local import LocalFacts
from sync.outbox import Outgoing

run_raw_bytes_max: Final = 256 * MIB  # of content in one commit: progress that a kill cannot take
run_label_bytes_max: Final = 32 * MIB  # of labels in one manifest, which with all else must fit one object
LABELS: Final = (
    *("hash_version", "harness", "harness_session", "usage_id", "project", "agent", "provider"),
    *("model", "role", "kind", "stop_reason", "cost_source", "cost_table", "tools"),
)  # every text column of a manifest
_row_label_bytes_max: Final = len(LABELS) * label_bytes_max
_labels_of: Final = attrgetter(*LABELS)

Run = list[tuple[Outgoing, list[LocalFacts]]]  # one commit's worth: of some conversations, nodes


@dataclass(slots=True)
class RunCutter:
    """Fills one run after the other: `take` every node, and `cut` what is left in the end."""

    run: Run = field(default_factory=list)
    raw_bytes: int = 0  # of content in it
    _rows: int = 0
    _label_bytes: int = 0

    def take(self, outgoing: Outgoing, node: LocalFacts) -> Run | None:
        """Take the next node, a conversation's one after the other; the run before it, if that is full without this node."""
        raw = node.stored_bytes if outgoing.content == "full" else 0
        labels = label_bytes(node.facts)
        new_leaf = not self.run or self.run[-1][0] is not outgoing
        full = bool(self.run) and (
            self._rows == manifest_rows_max
            or len(self.run) + new_leaf > commit_leaves_max
            or self.raw_bytes + raw > run_raw_bytes_max
            or self._label_bytes + labels > run_label_bytes_max
        )
        before = self.cut() if full else None
        if full or new_leaf:
            self.run.append((outgoing, []))
        self.run[-1][1].append(node)
        self._rows += 1
        self.raw_bytes += raw
        self._label_bytes += labels
        return before

    def cut(self) -> Run:
        """What was filled; the next node begins another."""
        run, self.run = self.run, []
        self._rows = self.raw_bytes = self._label_bytes = 0
        return run


def label_bytes(facts: NodeFacts) -> int:
    """The bytes of a node's text columns, each of which is cut at `label_bytes_max` when it becomes a row."""
    text = "".join(filter(None, _labels_of(facts)))
    size_bytes = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return min(size_bytes, _row_label_bytes_max)
