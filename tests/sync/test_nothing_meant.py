"""A space that nothing of this device is meant for costs a sync nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.local import LocalStore
from tests.actors import founded
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, conversation


def test_no_walk_for_a_space_that_nothing_is_meant_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every project is the team's, a sync with nothing new never asks for all conversations; what is new still goes out."""
    ana = Laptop(founded(StrictStore(), tmp_path), tmp_path)
    ana.local.add(conversation("first", 3))
    ana.provider.sync()
    asked: list[int] = []
    walk = LocalStore.changed_conversations

    def heard(local: LocalStore, since: int) -> Iterator[tuple[str, str | None]]:
        asked.append(since)
        return walk(local, since)

    monkeypatch.setattr(LocalStore, "changed_conversations", heard)

    assert ana.provider.sync().pushed_nodes == 0
    assert asked
    assert 0 not in asked
    ana.local.add(conversation("second", 2))
    assert ana.provider.sync().pushed_nodes == 2
    ana.close()
