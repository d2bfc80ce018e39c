"""The outbox: what is counted is what would go out."""

from dataclasses import replace
from pathlib import Path

import pytest

from store.nodes import Usage
from sync import outbox
from sync.outbox import SpaceKind
from sync.push import space_of
from tests.actors import founded
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, conversation

KINDS: tuple[SpaceKind, ...] = ("team", "private")


def walked(laptop: Laptop) -> int:
    """How many nodes a push would find, by looking at each whole."""
    return sum(
        len(list(laptop.outbox.pending(outgoing, space_of(laptop.client, kind))))
        for kind in KINDS
        for outgoing in laptop.outbox.conversations(kind, space_of(laptop.client, kind))
    )


def test_the_count_is_that_of_the_nodes_that_go_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never synced, partly there, better, replaced, too large, withheld, meant for another space: the number that goes out."""
    monkeypatch.setattr(outbox, "node_bytes_max", 4_000)
    laptop = Laptop(founded(StrictStore(), tmp_path / "ana"), tmp_path / "ana")

    def waits(nodes: int) -> None:
        assert nodes == walked(laptop) == laptop.provider.sync_status().pending_push

    first, second = conversation("first", 4), conversation("second", 3, project="beta")
    waits(0)
    laptop.local.add(first)
    laptop.local.add(conversation("large " + "x" * 5_000, 2))
    waits(4)
    laptop.provider.sync()
    waits(0)
    assert first[1].usage is not None
    laptop.local.add([replace(first[1], usage=Usage(output=first[1].usage.output + 1)), *second])
    waits(4)
    laptop.local.supersede(second[1].hash, second[2].hash)
    waits(3)
    laptop.bare.add("beta")
    laptop.provider.sync()
    waits(0)
    laptop.bare.clear()
    waits(2)
    laptop.provider.sync()
    laptop.hidden.add("alpha")
    waits(4)
    outbox.look_again(laptop.client.replica)
    waits(4)
    laptop.close()
